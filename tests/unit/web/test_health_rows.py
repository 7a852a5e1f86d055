"""What the page makes of the models' money, by its own script."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "bot" / "web" / "static"
ASK = """
import { modelsToday } from "./health.js";
console.log(JSON.stringify(modelsToday(JSON.parse(process.argv[2]))));
"""


def shown(folder: Path, figures: dict[str, object]) -> list[list[str]]:
    """The rows of the page for these figures."""
    if shutil.which("node") is None:
        pytest.skip("program absent: node is not installed")
    for script in STATIC.glob("*.js"):
        shutil.copy(script, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "ask.js").write_text(ASK)
    said = subprocess.run(
        ["node", "ask.js", json.dumps(figures)],
        cwd=folder,
        capture_output=True,
        timeout=30,
        check=True,
        text=True,
    )
    found: list[list[str]] = json.loads(said.stdout)
    return found


def test_cost_and_reserve_of_the_models_are_two_columns(tmp_path: Path) -> None:
    """What nobody answered is no cost; a sum of both would be a figure that nobody booked."""
    figures: dict[str, object] = {
        "cost_usd": "0.31",
        "reserved_usd": "0.40",
        "budget_usd": "5",
        "answers": 7,
        "abstentions": 2,
    }
    assert shown(tmp_path, figures) == [
        ["Models today", "$0.31 of $5.00, 7 answers, 2 abstentions"],
        ["Models, unanswered", "$0.40 reserved"],
    ]

"""What the page makes of health and the models' money, by its own scripts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

STATIC = Path(__file__).parents[3] / "bot" / "web" / "static"
ASK = """
import { modelsToday } from "./health.js";
console.log(JSON.stringify(modelsToday(JSON.parse(process.argv[2]))));
"""


TELL = """
import { unwell } from "./words.js";
console.log(JSON.stringify(unwell(JSON.parse(process.argv[2]))));
"""


def shown(folder: Path, figures: dict[str, object]) -> list[list[str]]:
    """The rows of the page for these figures."""
    found: list[list[str]] = ran(folder, ASK, figures)
    return found


def ran(folder: Path, script_text: str, given: dict[str, object]) -> Any:
    """What a script says beside those of the page."""
    if shutil.which("node") is None:
        pytest.skip("program absent: node is not installed")
    for script in STATIC.glob("*.js"):
        shutil.copy(script, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "ask.js").write_text(script_text)
    said = subprocess.run(
        ["node", "ask.js", json.dumps(given)],
        cwd=folder,
        capture_output=True,
        timeout=30,
        check=True,
        text=True,
    )
    return json.loads(said.stdout)


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


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("database", "Nothing new is opened until it is back"),
        ("venue", "Nothing new is opened until it answers"),
        ("clock", "Nothing new is opened until the clocks agree"),
        ("market_data", "nothing new is opened on a price that is too old"),
        ("scheduler", "No new signal is looked for"),
        ("services", "Open positions are looked after"),
    ],
)
def test_a_part_that_is_unwell_says_what_that_means(
    name: str, meaning: str, tmp_path: Path
) -> None:
    """Each its own sentence: with the database away nothing at all is opened."""
    told = ran(tmp_path, TELL, {"name": name, "state": "failing", "detail": "away"})
    assert "away. " in told and meaning in told
    assert ("too old" in told) is (name == "market_data")


@pytest.mark.parametrize("name", ["disk", "reconciliation", "model_openai"])
def test_a_part_that_stops_nothing_has_no_sentence(name: str, tmp_path: Path) -> None:
    """Its detail says it all; of positions and old data it would be no word to the point."""
    told = ran(tmp_path, TELL, {"name": name, "state": "degraded", "detail": "so it is"})
    assert told.endswith(": so it is.")

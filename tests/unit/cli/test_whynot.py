"""`main.py whynot`: what stands in the terminal and in the JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.cli import main as cli
from bot.domain.reasons import CheckCode
from tests.unit.research.recorded import World, no, record, rejected


@pytest.fixture
def world(tmp_path: Path) -> World:
    tier = no(CheckCode.TIER, 4.0, 3.0, "tier")
    made = World(tmp_path)
    made.records = [
        record(1, "propose", "no_signal"),
        record(2, "approve", "hold", body=rejected(tier), score=54.5),
    ]
    made.state = {"trading": {"state": "HALTED", "why": "by hand"}}
    return made.write()


def run(world: World, *more: str) -> int:
    flags = ["--data-dir", str(world.folder), "--http-port", "0", *more]
    return cli.main(["whynot", *flags], {}, None)


def test_the_answer_in_the_terminal(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The cause first, then what it rests on."""
    assert run(world) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == (
        "Nothing was traded in the last 24 h of market time: the trading state is HALTED (by hand)."
    )
    for title in ("What holds", "Capital", "Funnel", "Nearest", "Strategies", "Confidence", "Data"):
        assert any(line.startswith(title) for line in rest), title
    miss = next(line.split() for line in rest if line.startswith("  BTC-"))
    assert miss[1:8] == ["scalper.standard", "approved", "tier", "54.5", "55", "score", "0.9"]


def test_the_answer_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """One document with every part."""
    assert run(world, "--json", "--hours", "1") == 0
    answer: Any = json.loads(capsys.readouterr().out)
    assert set(answer) == {
        "window", "verdict", "executed", "closed", "daemon", "trading", "capital", "funnel",
        "nearest_misses", "strategies", "confidence", "score", "data", "disk",
    }  # fmt: skip
    assert answer["window"]["hours"] == 1
    assert answer["daemon"] == {
        "process": None,
        "answers": False,
        "phase": None,
        "last_record_at": answer["window"]["to_at"],
        "skipped_symbols": {},
    }


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "a day", "1e9"])
def test_bad_hours_are_one_line(
    hours: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, on stderr."""
    assert run(world, f"--hours={hours}") == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "--hours" in output.err
    assert output.err.count("\n") == 1

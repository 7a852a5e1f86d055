"""Every measurement can be asked for by its name, and its own words name it rightly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.figures import Figure, tell
from tests.daemon import ROOT

FOLDER = ROOT / "benchmarks"
NAMES = {benchmark.name for benchmark in BENCHMARKS}
FILES = sorted(FOLDER.glob("*.py"))


def test_every_measurement_is_wired() -> None:
    measured = {f"benchmarks.{path.stem}" for path in FILES if "\ndef main(" in path.read_text()}
    assert measured - {"benchmarks.__main__"} == {benchmark.module for benchmark in BENCHMARKS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_words_name_subcommands_that_exist(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"python -m benchmarks (\w+)", text)) <= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_measurement_is_described(name: str) -> None:
    assert f"\n## {name}\n" in (ROOT / "docs" / "benchmarks.md").read_text()


def test_an_unknown_measurement_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed"]) == 2
    told = capsys.readouterr().out
    assert all(name in told for name in NAMES)


def test_one_missed_figure_misses(capsys: pytest.CaptureFixture[str]) -> None:
    met, missed = Figure("start", 1.0, 2.0, "s"), Figure("memory", 146.2, 140.0, "MB", 115.0)
    assert tell(met) == 0
    assert tell(met, missed) == 1
    assert "MISS by 6.20 MB" in capsys.readouterr().out

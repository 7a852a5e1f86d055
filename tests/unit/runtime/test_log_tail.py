"""The end of the log: newest first, by level, without a secret, and never more than asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.runtime import log_tail
from bot.runtime.log_tail import tail
from bot.runtime.mask import register_secret

CANARY = "canary-9f8e7d6c5b"


def write(path: Path, *entries: dict[str, object], end: str = "\n") -> None:
    path.write_text("\n".join(json.dumps(entry) for entry in entries) + end)


def entry(event: str, level: str = "info", **figures: object) -> dict[str, object]:
    return {"event": event, "level": level, "timestamp": "2026-01-31T12:00:00Z", **figures}


def test_the_newest_lines_come_first_by_level(tmp_path: Path) -> None:
    """With their figures; a level includes what is worse."""
    write(
        tmp_path / "keel.log",
        entry("started", logger="bot.app", mode="demo"),
        entry("breaker", "warning", code="drawdown", value=0.2),
        entry("fill_not_folded", "error"),
        entry("cycle_done", number=3),
    )
    assert [line.event for line in tail(tmp_path, 10)] == [
        "cycle_done",
        "fill_not_folded",
        "breaker",
        "started",
    ]
    worse = tail(tmp_path, 10, "warning")
    assert [line.event for line in worse] == ["fill_not_folded", "breaker"]
    assert (worse[1].level, worse[1].figures) == ("warning", "code=drawdown value=0.2")
    assert len({line.id for line in tail(tmp_path, 10)}) == 4
    assert [line.event for line in tail(tmp_path, 1)] == ["cycle_done"]


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    """Nor is one that is no JSON, nor one of which the beginning is not read."""
    write(tmp_path / "keel.log", entry("one"), entry("two"), end="")
    assert [line.event for line in tail(tmp_path, 10)] == ["one"]
    (tmp_path / "keel.log").write_text("not json\n[1]\n")
    assert tail(tmp_path, 10) == []


def test_only_the_end_of_a_large_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies before costs nothing, and the line that was cut is no line."""
    monkeypatch.setattr(log_tail, "READ_BYTES", 250)
    write(tmp_path / "keel.log", *(entry(f"event_{n}") for n in range(50)))
    found = tail(tmp_path, 50)
    assert [line.event for line in found] == ["event_49", "event_48", "event_47"]


def test_right_after_the_file_was_turned_the_old_one_goes_on(tmp_path: Path) -> None:
    """And without any file there are no lines."""
    assert tail(tmp_path, 10) == []
    write(tmp_path / "keel.log.1", entry("old"))
    write(tmp_path / "keel.log", entry("new"))
    assert [line.event for line in tail(tmp_path, 10)] == ["new", "old"]


def test_a_secret_is_masked_again(tmp_path: Path) -> None:
    """A line that was written before the secret was known shows none either."""
    write(
        tmp_path / "keel.log", entry("oops", key=CANARY), entry("trace", exception=f"a\n{CANARY}")
    )
    register_secret(CANARY)
    assert CANARY not in str(tail(tmp_path, 10))


def test_of_a_traceback_the_last_line_is_shown(tmp_path: Path) -> None:
    """The file has the rest."""
    write(tmp_path / "keel.log", entry("failed", "error", exception="Traceback\n  File\nOops: no"))
    assert tail(tmp_path, 1)[0].figures == "exception=Oops: no"

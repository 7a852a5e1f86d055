"""The daily jobs: done once a day, said when they fail, an alert when it has been too long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bot.adapters.store import Backup, Backups, Store
from bot.app.keeping import DAY_MS, HOUR_MS, Keeping
from bot.domain.errors import AlreadyRunning, TransientError
from bot.domain.types import Ms
from tests.unit.adapters.store.fakes import AT, FakeClock


class FakeBackups:
    """Makes nothing; counts."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.made: list[Backup] = []
        self.fails = False

    def newest(self) -> Backup | None:
        return self.made[-1] if self.made else None

    async def make(self) -> Backup:
        if self.fails:
            raise TransientError("the disk is full")
        self.made.append(Backup(Path("keel.db"), self._clock.wall()))
        return self.made[-1]


class FakeArchive:
    def __init__(self) -> None:
        self.asked: list[Ms] = []
        self.busy = False

    async def move_older(self, before: Ms) -> int:
        if self.busy:
            raise AlreadyRunning("another process archives")
        self.asked.append(before)
        return 0


class FakeRows:
    def __init__(self) -> None:
        self.asked: list[int] = []

    async def forget(self, before: int) -> int:
        self.asked.append(before)
        return 0


class Given:
    """A Keeping on fakes; market time is the fake clock's, as wall time is."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.backups = FakeBackups(self.clock)
        self.archive = FakeArchive()
        self.answers, self.attempts = FakeRows(), FakeRows()
        store = cast(
            Store,
            SimpleNamespace(archive=self.archive, answers=self.answers, attempts=self.attempts),
        )
        self.keeping = Keeping(store, cast(Backups, self.backups), self.clock, 90)


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


async def test_one_backup_a_day_of_wall_time(given: Given) -> None:
    """However often it is looked at; the first at once, the next on the next day."""
    assert given.keeping.backup_age_h() is None
    for _ in range(12):
        await given.keeping.step()
        given.clock.at = Ms(given.clock.at + 4 * HOUR_MS)
    days = {backup.made_at // DAY_MS for backup in given.backups.made}
    assert len(given.backups.made) == len(days) == 3
    assert given.keeping.backup_age_h() is not None


async def test_a_backup_of_today_is_enough_for_a_restart(given: Given) -> None:
    """What another process of this day made counts."""
    await given.backups.make()
    given.keeping._newest = given.backups.newest()
    await given.keeping.step()
    assert len(given.backups.made) == 1
    assert given.keeping.state() == {"last_backup_at": AT, "age_hours": 0.0, "error": ""}


async def test_a_backup_that_fails_is_said_once_and_tried_again(
    given: Given, logs: list[Any]
) -> None:
    """The next look tries again; the error stands in /status until one is made."""
    given.backups.fails = True
    for _ in range(3):
        await given.keeping.step()
    assert [line["event"] for line in logs] == ["backup_failed"]
    assert given.keeping.state()["error"] == "the disk is full"
    given.backups.fails = False
    await given.keeping.step()
    assert len(given.backups.made) == 1
    assert given.keeping.state()["error"] == ""


async def test_an_old_backup_is_an_alert_once(given: Given, logs: list[Any]) -> None:
    """Over 48 hours, at WARNING, once until there is a new one."""
    await given.keeping.step()
    given.backups.fails = True
    for _ in range(80):
        await given.keeping.step()
        given.clock.at = Ms(given.clock.at + HOUR_MS)
    old = [line for line in logs if line["event"] == "backup_old"]
    assert [(line["log_level"], line["age_hours"]) for line in old] == [("warning", 49)]
    given.backups.fails = False
    await given.keeping.step()
    given.backups.fails = True
    given.clock.at = Ms(given.clock.at + 60 * HOUR_MS)
    await given.keeping.step()
    assert sum(line["event"] == "backup_old" for line in logs) == 2


async def test_never_any_backup_is_an_alert_too(given: Given, logs: list[Any]) -> None:
    """Counted from the start."""
    given.backups.fails = True
    given.clock.at = Ms(given.clock.at + 49 * HOUR_MS)
    await given.keeping.step()
    assert "backup_old" in [line["event"] for line in logs]


async def test_traces_are_archived_once_a_day_of_market_time(given: Given) -> None:
    """Those older than the days kept; a failure is tried again at the next look."""
    given.archive.busy = True
    await given.keeping.step()
    given.archive.busy = False
    for _ in range(12):
        await given.keeping.step()
        given.clock.at = Ms(given.clock.at + 4 * HOUR_MS)
    assert given.archive.asked == [AT - 90 * DAY_MS, AT - 89 * DAY_MS]


async def test_rows_of_the_council_go_when_the_traces_that_hold_them_move(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers by market time, attempts by the wall clock that bills them; as old as traces."""
    monkeypatch.setattr(given.clock, "wall", lambda: AT + 5 * DAY_MS)
    await given.keeping.step()
    await given.keeping.step()
    assert given.answers.asked == given.archive.asked == [AT - 90 * DAY_MS]
    assert given.attempts.asked == [AT + 5 * DAY_MS - 90 * DAY_MS]

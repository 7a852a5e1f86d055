"""Money rows: strictly in order, ahead of an action or behind a fact, whatever the store does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.domain.errors import InvariantBroken, TransientError
from bot.pipeline.rows import Rows
from bot.ports import Changes
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryJournal
from tests.unit.pipeline.given import START


def row(number: int) -> Changes:
    return Changes(state={"n": number})


def numbers(journal: MemoryJournal) -> list[object]:
    return [changes.state["n"] for changes in journal.written if changes.state]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


class MemorySpool:
    """`bot.ports.MoneySpool` in front of the same journal."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal
        self.lines: list[Changes] = []
        self.refuses = False
        self.synced = 0
        self.disk = asyncio.Event()
        self.disk.set()
        self.while_probing: list[Callable[[], None]] = []

    @property
    def pending(self) -> int:
        return len(self.lines)

    def append(self, changes: Changes) -> None:
        if self.refuses:
            raise TransientError("the spool's disk is full")
        self.lines.append(changes)

    async def sync(self) -> None:
        lines = len(self.lines)
        await self.disk.wait()
        self.synced = lines

    async def catch_up(self) -> None:
        self._journal.attempts += 1
        if self._journal.away:
            raise TransientError("the database is away")
        if self.while_probing:
            self.while_probing.pop()()
            return
        while self.lines:
            await self._journal.record(self.lines[0])
            del self.lines[0]
            await asyncio.sleep(0)  # rows may come while it is replayed


async def served(rows: Rows) -> asyncio.Task[None]:
    return asyncio.create_task(rows.run())


async def test_rows_are_written_in_the_order_they_came(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """Ahead and behind share one line; `ahead` returns when all before it is durable."""
    rows = Rows(journal, clock)
    task = await served(rows)
    rows.behind(row(1))
    rows.behind(row(2))
    await rows.ahead(row(3))
    assert numbers(journal) == [1, 2, 3]
    task.cancel()


async def test_while_the_database_is_away_ahead_fails_at_once_and_behind_is_kept(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """Who waits is told not to act; a fact waits in its place."""
    rows = Rows(journal, clock)
    task = await served(rows)
    journal.away = True
    rows.behind(row(1))
    with pytest.raises(TransientError):
        await rows.ahead(row(2))
    before = clock.now()
    with pytest.raises(TransientError):
        await rows.ahead(row(3))
    assert clock.now() == before
    assert rows.away
    assert rows.backlog == 1
    task.cancel()


async def test_when_the_database_is_back_everything_is_written_once_and_in_order(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """What failed ahead is not written behind its caller's back."""
    rows = Rows(journal, clock)
    task = await served(rows)
    journal.away = True
    rows.behind(row(1))
    with pytest.raises(TransientError):
        await rows.ahead(row(2))
    rows.behind(row(3))
    await clock.run_for(20_000)
    journal.away = False
    await clock.run_for(20_000)
    assert numbers(journal) == [1, 3]
    assert not rows.away
    await rows.ahead(row(4))
    assert numbers(journal) == [1, 3, 4]
    task.cancel()


async def test_a_database_that_is_away_is_not_asked_all_the_time(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """Back-off doubles from 0.25 up to 5 s."""
    rows = Rows(journal, clock)
    task = await served(rows)
    journal.away = True
    rows.behind(row(1))
    await clock.run_for(60_000)
    assert 5 <= journal.attempts <= 20
    task.cancel()


async def test_drained_returns_when_nothing_is_queued(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """Not before the last row is durable."""
    rows = Rows(journal, clock)
    await rows.drained()
    rows.behind(row(1))
    waiting = asyncio.ensure_future(rows.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    task = await served(rows)
    await waiting
    assert numbers(journal) == [1]
    task.cancel()


async def test_a_caller_that_gave_up_does_not_stop_the_writer(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """Cancelled while it waited: its row is written all the same, and so is the next."""
    rows = Rows(journal, clock)
    caller = asyncio.ensure_future(rows.ahead(row(1)))
    await asyncio.sleep(0)
    caller.cancel()
    task = await served(rows)
    await rows.ahead(row(2))
    assert numbers(journal) == [1, 2]
    task.cancel()


@pytest.mark.parametrize("spooling", [False, True])
async def test_a_database_that_is_back_is_noticed_although_nothing_is_queued(
    clock: ManualClock, journal: MemoryJournal, spooling: bool
) -> None:
    """Only rows ahead had failed, and they were given back: the writer asks by itself."""
    rows = Rows(journal, clock, MemorySpool(journal) if spooling else None)
    task = await served(rows)
    journal.away = True
    with pytest.raises(TransientError):
        await rows.ahead(row(1))
    assert (rows.away, rows.backlog) == (True, 0)
    journal.away = False
    await clock.run_for(20_000)
    assert not rows.away
    await rows.ahead(row(2))
    assert numbers(journal) == [2]
    task.cancel()


async def test_what_is_behind_goes_to_the_disk_while_the_database_is_away(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """In its order and synced: a crash in the outage loses none of it."""
    spool = MemorySpool(journal)
    rows = Rows(journal, clock, spool)
    task = await served(rows)
    journal.away = True
    for number in (1, 2):
        rows.behind(row(number))
    await clock.run_for(100)
    assert rows.away
    rows.behind(row(3))
    await rows.drained()
    assert [changes.state for changes in spool.lines] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert spool.synced == 3
    assert rows.backlog == 3
    task.cancel()


async def test_spooled_rows_come_back_once_and_before_newer_ones(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """Also those that were spooled while the spool was being replayed."""
    spool = MemorySpool(journal)
    rows = Rows(journal, clock, spool)
    task = await served(rows)
    journal.away = True
    for number in range(1, 6):
        rows.behind(row(number))
    await clock.run_for(1_000)
    journal.away = False
    for number in range(6, 12):
        rows.behind(row(number))
        await clock.run_for(200)
    await clock.run_for(20_000)
    await rows.ahead(row(12))
    assert numbers(journal) == list(range(1, 13))
    assert not rows.away
    task.cancel()


async def test_drained_waits_for_the_disk_of_the_spool(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """An exit waits for its row, at most 20 ms: then it must be safe there, not on its way."""
    spool = MemorySpool(journal)
    rows = Rows(journal, clock, spool)
    task = await served(rows)
    journal.away = True
    rows.behind(row(1))
    await clock.run_for(100)
    spool.disk.clear()
    rows.behind(row(2))
    waiting = asyncio.ensure_future(rows.drained())
    await clock.run_for(2_000)  # the writer has asked the database meanwhile
    assert not waiting.done()
    spool.disk.set()
    await waiting
    assert spool.synced == 2
    task.cancel()


async def test_a_row_that_comes_while_the_writer_asks_is_written_too(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """It was spooled, since the database still counted as away; nobody else would fetch it."""
    spool = MemorySpool(journal)
    rows = Rows(journal, clock, spool)
    task = await served(rows)
    journal.away = True
    with pytest.raises(TransientError):
        await rows.ahead(row(1))
    journal.away = False
    spool.while_probing.append(lambda: rows.behind(row(2)))
    await clock.run_for(20_000)
    assert numbers(journal) == [2]
    assert rows.backlog == 0
    task.cancel()


async def test_rows_that_neither_database_nor_spool_take_stay_in_memory_and_in_order(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """A full disk takes both: nothing overtakes a row that could not be spooled."""
    spool = MemorySpool(journal)
    rows = Rows(journal, clock, spool)
    task = await served(rows)
    journal.away = True
    rows.behind(row(1))
    await clock.run_for(100)
    spool.refuses = True
    rows.behind(row(2))
    spool.refuses = False
    rows.behind(row(3))
    assert rows.backlog == 3
    journal.away = False
    await clock.run_for(20_000)
    assert numbers(journal) == [1, 2, 3]
    task.cancel()


async def test_a_row_that_no_table_takes_ends_the_writer_with_its_own_error(
    clock: ManualClock, journal: MemoryJournal
) -> None:
    """The supervisor sees what broke, not a group around it."""

    async def broken(changes: Changes) -> None:
        raise InvariantBroken("no table takes it")

    journal.record = broken  # type: ignore[method-assign]
    rows = Rows(journal, clock, MemorySpool(journal))
    rows.behind(row(1))
    with pytest.raises(InvariantBroken, match="no table takes it"):
        await rows.run()

"""The store under the one writer of money rows while its database is away: nothing lost, once."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store import Store
from bot.domain.breakers import ENTRIES_RESUMED, ENTRIES_STOPPED, BreakerEvent
from bot.domain.errors import TransientError
from bot.domain.types import Ms, OrderStatus
from bot.pipeline.rows import Rows
from bot.ports import Changes, EquityPoint
from tests.postgres import PostgresServer
from tests.unit.adapters.store.conftest import Opener
from tests.unit.adapters.store.fakes import (
    AT,
    FakeClock,
    fill,
    locked,
    order,
    position,
    query,
    record,
)
from tests.until import until

FLOWING = 40


@asynccontextmanager
async def writing(store: Store, clock: FakeClock) -> AsyncIterator[Rows]:
    """The services that write, as the daemon wires them."""
    rows = Rows(store.journal, clock, store.journal.spool)
    tasks = [asyncio.create_task(rows.run()), asyncio.create_task(store.traces.run())]
    try:
        yield rows
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def flow(number: int) -> Changes:
    """What one fill brings along; the order's state is newer with each number."""
    status = OrderStatus.FILLED if number == FLOWING else OrderStatus.PARTIAL
    return Changes(
        orders=(order(1, status, updated_at=Ms(AT + number)),),
        fills=(fill(number),),
        positions=(position(opened_at=AT + number),),
        state={"n": number, f"guard:{number}": "x" * 5_000},  # no page has room for it
        breaker_events=(breaker(number),),
        equity=(EquityPoint(Ms(AT + number), *([Decimal(number)] * 4)),),
    )


def breaker(number: int) -> BreakerEvent:
    """One breaker that opened at the first row and closed at the last."""
    value, over = Decimal("0.06"), number == FLOWING
    action = ENTRIES_RESUMED if over else ENTRIES_STOPPED
    cleared_at = Ms(AT + number) if over else None
    return BreakerEvent(AT, "daily_loss", value, Decimal("0.05"), action, cleared_at)


async def outage(
    store: Store, rows: Rows, begin: Callable[[], object], end: Callable[[], object]
) -> None:
    """Rows and traces flow on through an outage in their middle; afterwards all are there."""
    for number in range(1, FLOWING + 1):
        if number == 10:
            await rows.drained()
            await asyncio.to_thread(begin)
        rows.behind(flow(number))
        store.traces.put(record(number))
        await asyncio.sleep(0)
        if number == 15:
            await until(lambda: rows.away, 10)
            with pytest.raises(TransientError, match="could not be written"):
                await rows.ahead(Changes(orders=(order(99),)))
        if number == 30:
            await rows.drained()  # on the disk, in the spool
            assert store._spool.pending
            await asyncio.to_thread(end)
    await until(lambda: not rows.away and not rows.backlog and not store.traces.backlog(), 20)
    await rows.ahead(Changes(orders=(order(100),)))


async def complete(store: Store) -> None:
    """Each row once, the newest on top, and nothing of what was refused."""
    assert await store.journal.state_of("n") == FLOWING
    found = await store.journal.recover()
    assert [row.fill_id for row in found.fills] == list(range(1, FLOWING + 1))
    assert found.positions == (position(opened_at=AT + FLOWING),)
    assert found.open_orders == (order(100),)
    assert query(store, "select status from orders where cloid like '%01'") == [("FILLED",)]
    assert found.breaker_events == (breaker(FLOWING),)
    assert len(await store.journal.equity_since(Ms(0))) == FLOWING
    assert query(store, "select count(*) from orders") == [(2,)]
    assert query(store, "select count(*) from traces") == [(FLOWING,)]
    assert not store._spool.path.exists()


async def test_locked_by_another_program(store: Store, clock: FakeClock) -> None:
    """Somebody looks into the database with a tool and leaves a transaction open."""
    lock = locked(store)
    async with writing(store, clock) as rows:
        await outage(store, rows, lock.__enter__, lambda: lock.__exit__(None, None, None))
    await complete(store)


async def test_a_lock_that_lasts_is_not_taken_for_its_end(store: Store, clock: FakeClock) -> None:
    """Nothing waits to be written, so only a write of its own tells whether one can."""
    async with writing(store, clock) as rows:
        with locked(store):
            with pytest.raises(TransientError):
                await rows.ahead(Changes(orders=(order(1),)))
            asked = len(clock.pauses)
            await until(lambda: len(clock.pauses) > asked + 3)
            assert rows.away
        await until(lambda: not rows.away)
        await rows.ahead(Changes(orders=(order(2),)))
    assert query(store, "select count(*) from spool_marks") == [(0,)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_filled_up(store: Store, clock: FakeClock) -> None:
    """The disk is full, seen by SQLite as no page more; then there is room again."""

    async def pages(db: AsyncConnection, most: int) -> None:
        await db.exec_driver_sql(f"PRAGMA max_page_count={most}")

    async def both(most: int) -> None:
        for side in (store._money, store._behind):
            await side.write(lambda db: pages(db, most))

    loop = asyncio.get_running_loop()

    def set_pages(most: int) -> None:
        asyncio.run_coroutine_threadsafe(both(most), loop).result(10)

    await store.journal.record(Changes(state={"large": "x" * 100_000}))
    async with writing(store, clock) as rows:
        await outage(store, rows, lambda: set_pages(1), lambda: set_pages(1_000_000))
    await complete(store)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_taken_away_and_put_back(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    """Moved while open: SQLite would write on into the file, wherever it now lies."""
    elsewhere = tmp_path / "elsewhere"

    def take() -> None:
        store.path.rename(elsewhere)

    def put_back() -> None:
        assert not store.path.exists()  # none was made in its place
        elsewhere.rename(store.path)

    async with writing(store, clock) as rows:
        await outage(store, rows, take, put_back)
    await complete(store)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_replaced_by_another_file(store: Store, tmp_path: Path, clock: FakeClock) -> None:
    """A backup put under the same name is what is written to from then on, whole."""
    await store.journal.record(Changes(state={"old": 1}))
    copy = tmp_path / "copy"
    with (
        closing(sqlite3.connect(store.path)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    await store.journal.record(Changes(state={"lost": 1}))
    copy.replace(store.path)
    await store.journal.record(Changes(state={"new": 1}))
    assert (await store.journal.recover()).state == {"old": 1, "new": 1}
    await store.close()
    shutil.copyfile(store.path, copy)
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]
    assert query(copy, "select key from bot_state order by key") == [("new",), ("old",)]


async def test_killed_in_an_outage(opener: Opener, clock: FakeClock) -> None:
    """The next start writes what the last one spooled, then begins."""
    store = await opener()
    async with writing(store, clock) as rows:
        with locked(store):
            for number in range(1, FLOWING + 1):
                rows.behind(flow(number))
            await until(lambda: rows.away)
            await rows.drained()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()  # the writers never get another turn
            await asyncio.sleep(0)
    again = await opener()
    await again.journal.record(Changes(orders=(order(100),)))
    for number in range(1, FLOWING + 1):
        again.traces.put(record(number))
    await again.traces.flush()
    await complete(again)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_server_was_restarted(
    store: Store, clock: FakeClock, postgres: PostgresServer
) -> None:
    """It crashed, every connection with it, and came back."""
    async with writing(store, clock) as rows:
        await outage(store, rows, postgres.stop, postgres.start)
    await complete(store)

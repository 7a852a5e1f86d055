"""What every store must do, whatever database is behind it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from bot.adapters.store import Store
from bot.domain.breakers import ENTRIES_RESUMED, ENTRIES_STOPPED, BreakerEvent
from bot.domain.types import Bars, Ms, OrderStatus, Symbol, Timeframe
from bot.ports import CandleStore, Changes, Journal, TraceStore
from tests.postgres import postgres
from tests.unit.adapters.store.conftest import (
    clock,
    database,
    database_url,
    opener,
    prepared,
    store,
    template,
    with_schema,
)
from tests.unit.adapters.store.fakes import (
    AT,
    BTC,
    TRACE,
    fill,
    order,
    payment,
    position,
    record,
    trade,
)

STEP = Timeframe.M5.ms


# The same fixtures as the store's own tests: a file, and a database on a server.
__all__ = [
    "clock",
    "database",
    "database_url",
    "opener",
    "postgres",
    "prepared",
    "with_schema",
    "store",
    "template",
]


@pytest.fixture
def journal(store: Store) -> Journal:
    return store.journal


@pytest.fixture
def traces(store: Store) -> TraceStore:
    return store.traces


@pytest.fixture
def candles(store: Store) -> CandleStore:
    return store.candles


def bars(first: int, count: int, price: float = 100.0) -> Bars:
    """Bars of 5 minutes; every value a float that decimal text would not hold exactly."""
    rows = [
        (first + n * STEP, price + 0.1, price + n + 0.7, price - 0.3, price + 0.2, n / 3)
        for n in range(count)
    ]
    return Bars.of(rows)


def same(left: Bars, right: Bars) -> bool:
    names = ("ts", "open", "high", "low", "close", "volume")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)


async def test_a_journal_gives_back_what_it_took(journal: Journal) -> None:
    """Orders by trace, open ones at start, money exact."""
    await journal.record(Changes(orders=(order(1), order(2, OrderStatus.FILLED))))
    await journal.record(
        Changes(fills=(fill(1),), funding=(payment(),), positions=(position(),), trades=(trade(),))
    )
    assert await journal.orders_of(TRACE) == (order(1), order(2, OrderStatus.FILLED))
    found = await journal.recover()
    assert found.open_orders == (order(1),)
    assert (found.positions, found.fills, found.recent_trades) == (
        (position(),),
        (fill(1),),
        (trade(),),
    )
    assert (found.realised, found.funding) == (Decimal("0.1"), Decimal("-0.0123"))


async def test_a_journal_takes_everything_twice(journal: Journal) -> None:
    """Whoever does not know whether a write took effect repeats it."""
    changes = Changes(
        orders=(order(1),),
        fills=(fill(1),),
        positions=(position(),),
        trades=(trade(),),
        state={"a": 1},
    )
    await journal.record(changes)
    once = await journal.recover()
    await journal.record(changes)
    assert await journal.recover() == once


async def test_nothing_to_record_is_no_error(journal: Journal) -> None:
    """Empty changes are allowed."""
    await journal.record(Changes())


async def test_a_breaker_event_is_one_row_that_its_closing_fills_in(store: Store) -> None:
    """Opened, closed, and never opened again by a row that comes late."""
    opened = BreakerEvent(AT, "drawdown", Decimal("0.123456789"), Decimal("0.12"), ENTRIES_STOPPED)
    closed = replace(opened, action_taken=ENTRIES_RESUMED, cleared_at=Ms(AT + 5))
    other = replace(opened, event_type="data", at=Ms(AT + 1))
    for event in (opened, closed, opened, other):
        await store.journal.record(Changes(breaker_events=(event,)))
    assert (await store.journal.recover()).breaker_events == (closed, other)
    assert await store.journal.breaker_events(Ms(0), 1) == (other,)
    assert await store.journal.breaker_events(Ms(AT + 1), 9) == (other,)


async def test_a_trace_can_be_read_at_once(traces: TraceStore) -> None:
    """`put` does not wait, and a reader need not either."""
    traces.put(record(1))
    traces.put(record(2))
    assert await traces.get(record(1).trace_id) == record(1)
    assert await traces.recent(5) == (record(2), record(1))
    assert await traces.last_number(BTC, AT) == 2
    assert await traces.funnel(AT) == {("approve", "rejected"): 2}


async def test_candles_come_back_bit_for_bit(candles: CandleStore) -> None:
    """Indicators of stored bars are those of the bars that were seen."""
    await candles.put("hyperliquid", (BTC, Timeframe.M5, bars(AT, 1234)))
    found = await candles.window("hyperliquid", BTC, Timeframe.M5, AT, Ms(AT + 9999 * STEP))
    assert same(found, bars(AT, 1234))


async def test_long_windows_are_joined_without_a_seam(candles: CandleStore) -> None:
    """More rows than are read at one time."""
    await candles.put("hyperliquid", (BTC, Timeframe.M5, bars(AT, 4100)))
    found = await candles.window("hyperliquid", BTC, Timeframe.M5, AT, Ms(AT + 9999 * STEP))
    assert same(found, bars(AT, 4100))


async def test_a_window_has_both_ends_and_no_more(candles: CandleStore) -> None:
    """[first, last] by open time; what is missing is just not there."""
    await candles.put("hyperliquid", (BTC, Timeframe.M5, bars(AT, 3)))
    await candles.put("hyperliquid", (BTC, Timeframe.M5, bars(AT + 5 * STEP, 3)))
    first, last = Ms(AT + STEP), Ms(AT + 6 * STEP)
    found = await candles.window("hyperliquid", BTC, Timeframe.M5, first, last)
    assert found.ts.tolist() == [AT + n * STEP for n in (1, 2, 5, 6)]


async def test_a_candle_stored_again_is_replaced(candles: CandleStore) -> None:
    """A later correction of the venue is what later readers see."""
    await candles.put("hyperliquid", (BTC, Timeframe.M5, bars(AT, 3)))
    await candles.put("hyperliquid", (BTC, Timeframe.M5, bars(AT + STEP, 1, price=50.0)))
    found = await candles.window("hyperliquid", BTC, Timeframe.M5, AT, Ms(AT + 9 * STEP))
    assert found.open.tolist() == [100.1, 50.1, 100.1]


async def test_windows_of_many_symbols_are_put_at_once(candles: CandleStore) -> None:
    """Each lands under its own symbol and interval, also beyond the rows of one transaction."""
    eth = Symbol("ETH")
    await candles.put(
        "hyperliquid",
        (BTC, Timeframe.M5, bars(AT, 3)),
        (eth, Timeframe.M5, bars(AT, 700, price=50.0)),
        (BTC, Timeframe.M15, bars(AT, 1, price=70.0)),
    )
    last = Ms(AT + 9999 * STEP)
    found = [
        await candles.window("hyperliquid", symbol, frame, AT, last)
        for symbol, frame in ((BTC, Timeframe.M5), (eth, Timeframe.M5), (BTC, Timeframe.M15))
    ]
    wanted = (bars(AT, 3), bars(AT, 700, price=50.0), bars(AT, 1, price=70.0))
    assert all(same(*pair) for pair in zip(found, wanted, strict=True))


async def test_sources_symbols_and_intervals_are_apart(candles: CandleStore) -> None:
    """Invented candles never feed a real backtest."""
    await candles.put("simulator", (BTC, Timeframe.M5, bars(AT, 2)))
    last = Ms(AT + 9 * STEP)
    assert len(await candles.window("hyperliquid", BTC, Timeframe.M5, AT, last)) == 0
    assert len(await candles.window("simulator", Symbol("ETH"), Timeframe.M5, AT, last)) == 0
    assert len(await candles.window("simulator", BTC, Timeframe.M1, AT, last)) == 0
    await candles.put("simulator", (BTC, Timeframe.M5, Bars.empty()))
    assert len(await candles.window("simulator", BTC, Timeframe.M5, AT, last)) == 2

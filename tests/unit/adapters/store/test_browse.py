"""What the page asks of history: right, and never more than asked for."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.adapters.store import EquityPoint, Store
from bot.domain.types import ZERO, Bars, Ms, Symbol, Timeframe
from bot.ports import Changes
from tests.unit.adapters.store.fakes import record, trade

BTC = Symbol("BTC")


async def heartbeat(store: Store, at: int, equity: str = "1000") -> EquityPoint:
    worth = Decimal(equity)
    point = EquityPoint(Ms(at), worth, worth, ZERO, worth)
    await store.journal.record(Changes(equity=(point,)))
    return point


async def test_a_short_curve_comes_whole(store: Store) -> None:
    """From `since` on, before `before`, oldest first, exact."""
    points = [await heartbeat(store, at, f"{at}.000000000000000001") for at in (10, 20, 30, 40)]
    assert await store.browse.equity_curve(Ms(20), Ms(40), 100) == tuple(points[1:3])
    assert await store.browse.equity_curve(Ms(41), Ms(99), 100) == ()


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_a_long_curve_is_thinned_in_the_database(store: Store, limit: int) -> None:
    """At most `limit` rows ever leave it, the newest among them."""
    points = [await heartbeat(store, at) for at in range(5, 1_005, 50)]
    found = await store.browse.equity_curve(Ms(0), Ms(2_000), limit)
    assert 0 < len(found) <= limit
    assert found[-1] == points[-1]
    assert [p.at for p in found] == sorted(p.at for p in found)


async def test_the_last_equity_is_the_newest(store: Store) -> None:
    """None before the first heartbeat."""
    assert await store.browse.last_equity() is None
    await heartbeat(store, 10)
    newest = await heartbeat(store, 30)
    await heartbeat(store, 20)
    assert await store.browse.last_equity() == newest


async def test_trades_won_are_counted_by_their_opening(store: Store) -> None:
    """A profit after costs counts; nothing earned does not."""
    good = trade(1)
    good = replace(good, gross_pnl=good.fees - good.funding + Decimal("1e-15"))
    even = replace(trade(2), gross_pnl=trade(2).fees - trade(2).funding)
    bad = replace(trade(3), gross_pnl=Decimal(-5))
    await store.journal.record(Changes(trades=(good, even, bad)))
    assert await store.browse.won(Ms(0)) == 1
    assert await store.browse.won(Ms(good.opened_at + 1)) == 0


async def test_trades_are_added_up_by_symbol_and_by_strategy(store: Store) -> None:
    """Count, wins and net of all that were closed."""
    first, second = trade(1), replace(trade(2), gross_pnl=Decimal(-5), symbol=Symbol("ETH"))
    third = replace(trade(3), strategy="breakout.tight")
    assert await store.browse.earned() == ((), ())
    await store.journal.record(Changes(trades=(first, second, third)))
    symbols, strategies = await store.browse.earned()
    net = float(first.net_pnl)
    assert [(row.name, row.closed, row.won) for row in symbols] == [("BTC", 2, 2), ("ETH", 1, 0)]
    assert symbols[0].net_usd == pytest.approx(2 * net)
    assert [row[:3] for row in strategies] == [("breakout.tight", 1, 1), ("scalper.standard", 2, 1)]


async def test_the_latest_bars_come_oldest_first(store: Store) -> None:
    """Of this source, symbol and timeframe only."""
    bars = Bars.of([(at, 1.0, 2.0, 0.5, 1.5, 3.0) for at in range(0, 600_000, 60_000)])
    await store.candles.put("here", (BTC, Timeframe.M1, bars))
    await store.candles.put("there", (BTC, Timeframe.M1, bars[:2]))
    found = await store.browse.latest_bars("here", BTC, Timeframe.M1, 3)
    assert found.ts.tolist() == [420_000, 480_000, 540_000]
    assert len(await store.browse.latest_bars("here", BTC, Timeframe.M5, 3)) == 0
    assert len(await store.browse.latest_bars("there", BTC, Timeframe.M1, 30)) == 2


async def test_traces_with_a_signal_are_found_queued_and_stored(store: Store) -> None:
    """Newest first, bounded; a trace without a signal never takes a place."""
    before = store.traces.proposals
    for number in (1, 2, 3):
        store.traces.put(record(number, started_at=Ms(number)))
    await store.traces.flush()
    store.traces.put(record(4, started_at=Ms(4)))
    store.traces.put(record(5, started_at=Ms(5), strategy=None))
    found = await store.traces.proposed(3)
    assert [row["started_at"] for row in found] == [4, 3, 2]
    assert store.traces.proposals == before + 4

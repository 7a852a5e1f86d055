"""Candles of a clock that was ahead and is set back: what was called over is asked for again."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bot.adapters.venues.hyperliquid.candles import fold
from bot.adapters.venues.hyperliquid.history import History
from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.domain.types import Bars, Ms, Symbol, Timeframe
from bot.runtime.clock import ManualClock
from tests.unit.adapters.venues.hyperliquid.candle_rows import MIN, T0, row

BTC = Symbol("BTC")
M1, M5 = Timeframe.M1, Timeframe.M5
HALF = MIN // 2


class SetClock(ManualClock):
    """Shows `ahead_ms` more than it is, as a machine's wall clock may."""

    ahead_ms = 0

    def now(self) -> Ms:
        return Ms(super().now() + self.ahead_ms)

    def true(self) -> Ms:
        return Ms(super().now())


def price(ts: int) -> float:
    return 100.0 + (ts - T0) // MIN % 50


class Venue:
    """Knows the bars that there are by now; the open one has another price until it is over."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.asked = 0
        self.gate: asyncio.Event | None = None

    def rows(self, first: int, last: int) -> list[Candle]:
        now = self.clock.true()
        opens = range(first, min(last, now) + 1, MIN)
        return [row(ts, price(ts) if ts + MIN <= now else 1.0) for ts in opens]

    async def __call__(self, coin: str, timeframe: Timeframe, first: Ms, last: Ms) -> list[Candle]:
        self.asked += 1
        found = fold(self.rows(first // timeframe.ms * timeframe.ms, last), timeframe)
        if self.gate is not None:
            await self.gate.wait()
        return found


def history(ahead_ms: int) -> tuple[SetClock, Venue, History]:
    clock = SetClock(Ms(T0 + HALF))
    clock.ahead_ms = ahead_ms
    venue = Venue(clock)
    built = History(clock, venue, 2_000, None)
    built.follow([BTC], M1)
    return clock, venue, built


async def minutes(clock: SetClock, built: History, count: int) -> None:
    """So many pass; the stream tells each bar as it begins and as it is about to end."""
    for _ in range(count):
        clock.advance(HALF - 1)
        ts = clock.true() // MIN * MIN
        built.frame(BTC, M1, row(ts, price(ts)))
        clock.advance(HALF + 1)
        opened = clock.true() // MIN * MIN
        built.frame(BTC, M1, row(opened, 1.0))
        await built.bars(BTC, M1, 60)
        await built.bars(BTC, M5, 12)


def is_true(bars: Bars, timeframe: Timeframe, clock: SetClock, limit: int) -> bool:
    """Whether these are the last bars that were over, without a hole, at the venue's prices."""
    end = (clock.true() - 2_000) // timeframe.ms * timeframe.ms
    first = end - limit * timeframe.ms
    told = fold([row(ts, price(ts)) for ts in range(first, end, MIN)], timeframe)
    return bars.ts.tolist() == [each[0] for each in told] and np.array_equal(
        bars.close, [each[4] for each in told]
    )


@pytest.mark.parametrize("ahead_ms", [90_000, 3_600_000, 3 * 86_400_000])
@pytest.mark.parametrize("ran", [0, 7])
async def test_after_a_clock_that_was_ahead_is_set_back_bars_are_the_venues(
    ahead_ms: int, ran: int
) -> None:
    """At once, and while the hour goes by that was called over; nothing has a hole."""
    clock, _, built = history(ahead_ms)
    await built.bars(BTC, M1, 60)
    await built.bars(BTC, M5, 12)
    await minutes(clock, built, ran)
    clock.ahead_ms = 0
    for _ in range(5):
        assert is_true(await built.bars(BTC, M1, 60), M1, clock, 60)
        assert is_true(await built.bars(BTC, M5, 12), M5, clock, 12)
        await minutes(clock, built, 3)


async def test_after_a_clock_was_set_back_our_own_store_is_not_asked() -> None:
    """It has the open bar of then as if it had been over."""
    clock, venue, _ = history(0)
    stored = 0

    async def warm(symbol: Symbol, timeframe: Timeframe, first: Ms, last: Ms) -> Bars:
        nonlocal stored
        stored += 1
        return Bars.of([row(ts) for ts in range(T0 - 100 * MIN, T0, MIN) if ts >= first])

    built = History(clock, venue, 2_000, warm)
    assert (await built.bars(BTC, M1, 60)).close[0] == 1.0
    clock.ahead_ms = 3_600_000
    await built.bars(BTC, M1, 60)
    clock.ahead_ms = 0
    assert is_true(await built.bars(BTC, M1, 60), M1, clock, 60)
    assert stored == 1


async def test_an_answer_that_comes_after_the_clock_was_set_back_calls_nothing_over() -> None:
    """It was asked for by a clock that was an hour ahead."""
    clock, venue, built = history(3_600_000)
    venue.gate = asyncio.Event()
    asking = asyncio.ensure_future(built.bars(BTC, M1, 120))
    await asyncio.sleep(0)
    clock.ahead_ms = 0
    venue.gate.set()
    await asking
    for _ in range(3):
        assert is_true(await built.bars(BTC, M1, 60), M1, clock, 60)
        await minutes(clock, built, 3)


async def test_a_clock_that_slews_asks_nothing_again() -> None:
    """NTP takes a second back without a step: every bar has settled for two."""
    clock, venue, built = history(900)
    await built.bars(BTC, M1, 60)
    asked = venue.asked
    clock.ahead_ms = 0
    await built.bars(BTC, M1, 60)
    assert venue.asked == asked

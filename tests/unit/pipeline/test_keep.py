"""Keeping closed bars as the venue last said them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bot.domain.types import Bars, Ms, Timeframe
from bot.pipeline.keep import CandleKeeper
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryCandles
from tests.unit.pipeline.given import BTC, START

STEP = 300_000


def window(first: int, count: int) -> Bars:
    rows = [(n * STEP, 1.0, 200.0, 0.5, 1.5 + n, 10.0) for n in range(first, first + count)]
    return Bars.of(rows)


async def stored(store: MemoryCandles) -> Bars:
    return await store.window("here", BTC, Timeframe.M5, Ms(0), Ms(100 * STEP))


async def test_a_bar_that_is_corrected_later_is_stored_again() -> None:
    """Replay of the next decision sees what that decision saw."""
    store = MemoryCandles()
    keeper = CandleKeeper(store, "here", ManualClock(START))
    keeper.saw(BTC, Timeframe.M5, window(0, 10))
    await keeper.flush()
    later = window(1, 10)
    close = later.close.copy()
    close[4] = 99.0
    keeper.saw(BTC, Timeframe.M5, replace(later, close=close))
    await keeper.flush()
    found = await stored(store)
    assert found.close[5] == 99.0
    assert np.array_equal(found.ts, window(0, 11).ts)
    assert keeper.corrected == 1


async def test_what_was_seen_before_is_not_written_again() -> None:
    """Ten bars, then one more: eleven rows."""
    store = MemoryCandles()
    keeper = CandleKeeper(store, "here", ManualClock(START))
    for first in (0, 1, 1):
        keeper.saw(BTC, Timeframe.M5, window(first, 10))
        await keeper.flush()
    assert store.put_rows == 11

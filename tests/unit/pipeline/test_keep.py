"""Keeping closed bars as the venue last said them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.domain.types import Bars, Ms, Symbol, Timeframe
from bot.pipeline.keep import AT_ONCE, CandleKeeper
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryCandles
from tests.unit.pipeline.given import BTC, START

STEP = 300_000


def window(first: int, count: int) -> Bars:
    rows = [(n * STEP, 1.0, 200.0, 0.5, 1.5 + n % 100, 10.0) for n in range(first, first + count)]
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


async def test_what_waits_keeps_no_more_than_its_own_bars() -> None:
    """One new bar of a window of 500 does not hold the window while the database is slow."""
    keeper = CandleKeeper(MemoryCandles(), "here", ManualClock(START))
    seen = [window(first, 500) for first in range(3)]
    for bars in seen:
        keeper.saw(BTC, Timeframe.M5, bars)
    waiting = [bars for _, _, bars in keeper.waiting][1:]
    assert [len(bars) for bars in waiting] == [1, 1]
    assert all(column.base is None for bars in waiting for column in (bars.ts, bars.close))


async def test_windows_of_one_moment_are_written_together() -> None:
    """A candle's close of many symbols is one transaction and not one for each."""
    store = MemoryCandles()
    keeper = CandleKeeper(store, "here", ManualClock(START))
    for number in range(AT_ONCE + 1):
        keeper.saw(Symbol(f"C{number}"), Timeframe.M5, window(0, 3))
    await keeper.flush()
    assert (store.puts, store.put_rows) == (2, 3 * (AT_ONCE + 1))
    assert not keeper.waiting


async def test_a_full_queue_forgets_nothing_that_came_during_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is dropped while it is written counts once: the next in line stays in line."""
    monkeypatch.setattr("bot.pipeline.keep.MAX_QUEUED", 2)

    class Slow(MemoryCandles):
        async def put(self, source: str, *seen: tuple[Symbol, Timeframe, Bars]) -> None:
            if not self.puts:
                keeper.saw(Symbol("C2"), Timeframe.M5, window(0, 1))
            await super().put(source, *seen)

    store = Slow()
    keeper = CandleKeeper(store, "here", ManualClock(START))
    for number in range(2):
        keeper.saw(Symbol(f"C{number}"), Timeframe.M5, window(0, 1))
    await keeper.flush()
    assert sorted(symbol for _, symbol, _ in store.rows) == ["C0", "C1", "C2"]
    assert (keeper.dropped, len(keeper.waiting)) == (1, 0)

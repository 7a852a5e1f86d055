"""Rows of candles, and a series that knows a few, for the tests of candles."""

from __future__ import annotations

from bot.adapters.venues.hyperliquid.candles import Series
from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.domain.types import Ms, Timeframe

MIN = 60_000
T0 = 1_700_000_100_000 // (15 * MIN) * 15 * MIN


def row(ts: int, close: float = 1.0, volume: float = 1.0) -> Candle:
    return (ts, close, close, close, close, volume)


def settled(until: int = T0) -> Series:
    """A series that is known up to `until`."""
    series = Series(Timeframe.M1)
    series.settle(
        [row(ts) for ts in range(until - 3 * MIN, until, MIN)], Ms(until - 3 * MIN), Ms(until)
    )
    return series

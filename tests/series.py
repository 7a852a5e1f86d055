"""Bars for tests: seeded walks, mirrored and scaled ones, and the real candles beside the checkout.

Knows no rule; the same seed gives the same bars.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np

from bot.domain.types import Bars, Floats, Market, Ms, Symbol, Timeframe

DAY_START = 1_700_006_400_000  # 2023-11-15 00:00 UTC


def walk(
    n: int,
    seed: int = 1,
    *,
    step: float = 0.001,
    drift: float = 0.0,
    start: float = 100.0,
    timeframe: Timeframe = Timeframe.M5,
    ts: int = DAY_START,
) -> Bars:
    """A random walk on a grid of 2**-16 of the start, so that mirroring is exact."""
    rng = np.random.default_rng(seed)
    grid = 2.0**-16
    path = np.concatenate(([0.0], np.cumsum(rng.normal(drift, step, n))))
    level = 1.0 + np.round(path / grid) * grid
    opens, closes = level[:-1], level[1:]
    wick = np.round(np.abs(rng.normal(0, step / 2, (2, n))) / grid) * grid
    volume = rng.lognormal(3.0, 0.7, n)
    return Bars(
        ts=ts + np.arange(n, dtype=np.int64) * timeframe.ms,
        open=opens * start,
        high=(np.maximum(opens, closes) + wick[0]) * start,
        low=(np.minimum(opens, closes) - wick[1]) * start,
        close=closes * start,
        volume=volume,
    )


def path(
    closes: Floats | list[float],
    *,
    wick: Floats | float = 0.0,
    volume: Floats | float = 100.0,
    timeframe: Timeframe = Timeframe.M5,
    ts: int = DAY_START,
) -> Bars:
    """Bars through given closes; each opens at the close before it."""
    close = np.asarray(closes, dtype=np.float64)
    opens = np.concatenate((close[:1], close[:-1]))
    return Bars(
        ts=ts + np.arange(len(close), dtype=np.int64) * timeframe.ms,
        open=opens,
        high=np.maximum(opens, close) + wick,
        low=np.minimum(opens, close) - wick,
        close=close,
        volume=np.broadcast_to(np.asarray(volume, dtype=np.float64), close.shape).copy(),
    )


def mirrored(bars: Bars, around: float | None = None) -> Bars:
    """Every rise a fall of the same size: prices reflected at `around` (the first open)."""
    twice = 2 * (float(bars.open[0]) if around is None else around)
    return Bars(
        bars.ts,
        twice - bars.open,
        twice - bars.low,
        twice - bars.high,
        twice - bars.close,
        bars.volume,
    )


def scaled(bars: Bars, factor: float) -> Bars:
    """The same bars with prices multiplied."""
    return Bars(
        bars.ts,
        bars.open * factor,
        bars.high * factor,
        bars.low * factor,
        bars.close * factor,
        bars.volume,
    )


def market(bars: Bars, timeframe: Timeframe = Timeframe.M5, funding: float = 1e-5) -> Market:
    """Prices that agree with the last close."""
    close = float(bars.close[-1])
    return Market(
        symbol=Symbol("BTC"),
        mark=close,
        oracle=close,
        bid=close * 0.9999,
        ask=close * 1.0001,
        funding_hourly=funding,
        open_interest=1_000.0,
        volume_24h_usd=1e8,
        prev_day_price=close,
        at=Ms(int(bars.ts[-1]) + timeframe.ms),
    )


def candles(folder: Path, name: str) -> Bars:
    """Real candles out of `folder`/candles (ts, open, high, low, close, volume)."""
    with gzip.open(folder / "candles" / f"{name}.csv.gz", "rt") as file:
        rows = list(csv.reader(file))[1:]
    table = np.array([[float(cell) for cell in row] for row in rows])
    columns = [np.ascontiguousarray(table[:, i]) for i in range(1, 6)]
    return Bars(table[:, 0].astype(np.int64), *columns)

"""How volatile a market is against its own past: the 1h ATR % over its median.

Owns which bars are taken and the ratio; knows neither limit nor breaker.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bot.domain.folding import fold
from bot.domain.indicators import atr_percent
from bot.domain.types import Bars, Floats, Timeframe

MEDIAN_BARS = 200  # spec 05, "Regime": over the last 200 bars, over those there are from 50 on
LEAST_BARS = 50


def hourly(window: Mapping[Timeframe, Bars]) -> Bars:
    """1h bars out of the frames that a decision saw.

    The frame itself, else folded from the coarsest finer one; where every frame is coarser,
    the finest of them. Empty without bars.
    """
    if Timeframe.H1 in window:
        return window[Timeframe.H1]
    frames = sorted((frame for frame in window if len(window[frame])), key=lambda f: f.ms)
    if not frames:
        return Bars.empty()
    finer = [f for f in frames if f.ms < Timeframe.H1.ms and Timeframe.H1.ms % f.ms == 0]
    return fold(window[finer[-1]], finer[-1], Timeframe.H1) if finer else window[frames[0]]


def atr_ratio(bars: Bars) -> float | None:
    """ATR % of the last bar over the median of the last 200; None with fewer than 50 known.

    `bars` oldest first. A market that never moves has no ratio.
    """
    known = atr_percent(bars.high, bars.low, bars.close)
    known = known[np.isfinite(known)][-MEDIAN_BARS:]
    if len(known) < LEAST_BARS:
        return None
    middle = _median(known)
    return float(known[-1]) / middle if middle > 0 else None


def _median(values: Floats) -> float:
    """As `np.median`, which would import NumPy's masked arrays, 2 MB, at the first scan."""
    ordered, half = np.sort(values), len(values) // 2
    return float(ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2)

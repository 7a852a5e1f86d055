"""Coarser bars out of finer ones.

Owns which coarse bars are complete; knows nothing of where bars come from.
"""

from __future__ import annotations

import numpy as np

from bot.domain.types import Bars, Timeframe


def fold(bars: Bars, source: Timeframe, target: Timeframe) -> Bars:
    """Fold closed bars of `source` into the complete bars of `target`, aligned to the epoch.

    A coarse bar is complete when the window does not begin inside it and its end has been
    reached, by its own last fine bar or by a later one. A fine bar missing in between
    (nobody traded) is no gap in the coarse one; a coarse bar with no fine one is missing.
    Raises ValueError when `target` is not a multiple of `source`.
    """
    if target.ms % source.ms:
        raise ValueError(f"fold: {target.value} is not a multiple of {source.value}")
    if target is source or not len(bars):
        return bars
    bucket = bars.ts // target.ms
    starts = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
    ends = np.concatenate((starts[1:], [len(bars)])) - 1
    first = 1 if bars.ts[0] % target.ms else 0
    closed = int(bars.ts[-1]) + source.ms >= (int(bucket[-1]) + 1) * target.ms
    last = len(starts) if closed else len(starts) - 1
    if last <= first:
        return Bars.empty()
    whole = slice(first, last)
    return Bars(
        ts=(bucket[starts] * target.ms)[whole],
        open=bars.open[starts][whole],
        high=np.maximum.reduceat(bars.high, starts)[whole],
        low=np.minimum.reduceat(bars.low, starts)[whole],
        close=bars.close[ends][whole],
        volume=np.add.reduceat(bars.volume, starts)[whole],
    )

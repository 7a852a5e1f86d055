"""What a strategy's array function gives back: one wish per bar, as columns.

Owns the shape of that answer; knows no strategy and no symbol.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.domain.types import Floats

Sides = NDArray[np.int8]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SignalArray:
    """One wish per bar; every array has shape (n,), oldest first.

    `side` is 1 (LONG), -1 (SHORT) or 0; `strength` 0 to 1 and `stop_frac` (distance of the
    stop as a fraction of price) mean something where `side` is not 0. Raises ValueError when
    a column contradicts that.
    """

    side: Sides
    strength: Floats
    stop_frac: Floats

    def __post_init__(self) -> None:
        n = len(self.side)
        if len(self.strength) != n or len(self.stop_frac) != n:
            raise ValueError("signals: columns differ in length")
        fired = self.side.nonzero()[0]
        if not len(fired):
            return
        # Few bars of many: plain numbers are cheaper than columns of a dozen.
        strengths, stops = self.strength[fired].tolist(), self.stop_frac[fired].tolist()
        for side, strength, stop in zip(self.side[fired].tolist(), strengths, stops, strict=True):
            if side not in (1, -1):
                raise ValueError("signals: a side must be -1, 0 or 1")
            if not 0 <= strength <= 1:
                raise ValueError("signals: strength must lie between 0 and 1")
            if not 0 < stop < 1:
                raise ValueError("signals: a stop must lie between 0 and 100 % of price")

    def __len__(self) -> int:
        return len(self.side)


def decide(longs: Flags, shorts: Flags, strength: Floats, stop_frac: Floats) -> SignalArray:
    """Join two conditions per bar into sides; arrays (n,).

    A bar on which both hold, or whose stop cannot be told, is no signal. Strength is
    clipped to 0..1, the stop to at most half of the price (no wish can be wider).
    """
    side = longs.view(np.int8) - shorts.view(np.int8)
    clean_strength, clean_stop = np.zeros(len(side)), np.zeros(len(side))
    # Few bars of many fire: one by one they are cheaper than as columns of all bars.
    fired = side.nonzero()[0]
    wishes = zip(fired.tolist(), strength[fired].tolist(), stop_frac[fired].tolist(), strict=True)
    for bar, wish, stop in wishes:
        if math.isfinite(wish) and 0 < stop < math.inf:
            clean_strength[bar] = 1.0 if wish > 1 else wish if wish >= 0 else 0.0
            clean_stop[bar] = stop if stop < 0.5 else 0.5
        else:
            side[bar] = 0
    return SignalArray(side, clean_strength, clean_stop)


def first(condition: Flags) -> Flags:
    """The bars on which `condition` holds and did not hold on the bar before; (n,)."""
    out = condition.copy()
    out[1:] &= ~condition[:-1]
    out[:1] = False  # what was before the first bar is not known
    return out


def lately(event: Flags, bars: int) -> Flags:
    """Whether `event` held on the bar itself or on one of the `bars` before it; (n,)."""
    out, reach = event.copy(), 0
    while reach < bars:  # each round reaches back twice as far
        step = min(reach + 1, bars - reach)
        out[step:] |= out[:-step].copy()
        reach += step
    return out

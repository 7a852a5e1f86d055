"""Prices at which a market has turned: swings, support and resistance, round numbers.

Owns where they lie and how often they were touched; knows no trade.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bot.domain.indicators import highest, lowest
from bot.domain.signals import Flags
from bot.domain.types import Bars, Floats

SWING_WING = 3  # bars on each side that must lie inside; 3 = a seven-bar fractal
CLUSTER_ATR = 0.5  # turns within half an ATR are one level: closer is noise of one bar
MIN_TOUCHES = 2  # one turn is a swing, two make a level
MAX_LEVELS = 6  # a side; farther ones never matter to a trade


@dataclass(frozen=True, slots=True)
class Level:
    """A price and how many swings turned there."""

    price: float
    touches: int


@dataclass(frozen=True, slots=True)
class Levels:
    """What lies around the last close; tuples are nearest first.

    Swings are single turning points (confirmed three bars later), supports and resistances
    clusters of at least two. None or empty where there is none.
    """

    price: float | None = None  # the close from which they were seen
    supports: tuple[Level, ...] = ()
    resistances: tuple[Level, ...] = ()
    swing_low: float | None = None  # nearest swing low below the close
    swing_high: float | None = None  # nearest swing high above the close
    round_below: float | None = None
    round_above: float | None = None

    @property
    def support(self) -> Level | None:
        return self.supports[0] if self.supports else None

    @property
    def resistance(self) -> Level | None:
        return self.resistances[0] if self.resistances else None

    @property
    def prices(self) -> tuple[float, ...]:
        """Every level and round number, ascending: where a stop should not lie."""
        found = [level.price for level in (*self.supports, *self.resistances)]
        found += [p for p in (self.round_below, self.round_above) if p is not None]
        return tuple(sorted(found))


def find(bars: Bars, atr: float | None) -> Levels:
    """Levels around the last close; `atr` in price units sets how near is the same level.

    Without an ATR there are swings and round numbers only.
    """
    if not len(bars):
        return Levels()
    price = float(bars.close[-1])
    highs = bars.high[swing_highs(bars.high)]
    lows = bars.low[swing_lows(bars.low)]
    above, below = highs[highs > price], lows[lows < price]
    turns = np.concatenate((highs, lows))
    width = atr * CLUSTER_ATR if atr else 0.0
    return Levels(
        price=price,
        supports=_clusters(price - turns[turns < price], price, -1, width),
        resistances=_clusters(turns[turns > price] - price, price, 1, width),
        swing_low=float(below.max()) if len(below) else None,
        swing_high=float(above.min()) if len(above) else None,
        round_below=_round(price, -1),
        round_above=_round(price, 1),
    )


def swing_highs(high: Floats, wing: int = SWING_WING) -> Flags:
    """Bars whose high tops `wing` bars on each side; the last `wing` bars are never known.

    A plateau counts once, on its first bar. Shape (n,).
    """
    return _turns(high, highest(high, 2 * wing + 1), wing)


def swing_lows(low: Floats, wing: int = SWING_WING) -> Flags:
    """Bars whose low lies under `wing` bars on each side; as `swing_highs`."""
    return _turns(low, lowest(low, 2 * wing + 1), wing)


def round_step(price: float) -> float:
    """Distance of round numbers: a tenth of the price's power of ten (46,319 -> 1,000)."""
    return float(10.0 ** (math.floor(math.log10(price)) - 1))


def _turns(values: Floats, extreme: Floats, wing: int) -> Flags:
    n = len(values)
    out = np.zeros(n, dtype=np.bool_)
    if n < 2 * wing + 1:
        return out
    middle = values[wing : n - wing]
    turns = out[wing : n - wing]
    np.equal(middle, extreme[2 * wing :], out=turns)
    turns &= middle != values[wing - 1 : n - wing - 1]
    return out


def _clusters(distances: Floats, price: float, sign: int, width: float) -> tuple[Level, ...]:
    """Group turning points outward from the price, so that mirrored bars give mirrored levels."""
    if width <= 0:
        return ()
    levels: list[Level] = []
    group: list[float] = []
    first = math.inf
    for distance in sorted(distances.tolist()):
        if distance - first > width:
            _close(levels, group, price, sign)
            group = []
            if len(levels) == MAX_LEVELS:
                return tuple(levels)
        if not group:
            first = distance
        group.append(distance)
    _close(levels, group, price, sign)
    return tuple(levels)


def _close(levels: list[Level], group: Sequence[float], price: float, sign: int) -> None:
    if len(group) >= MIN_TOUCHES:
        levels.append(Level(price + sign * sum(group) / len(group), len(group)))


def _round(price: float, sign: int) -> float | None:
    """The next round number strictly above or below; None where that is 0."""
    step = round_step(price)
    steps = math.floor(price / step) + 1 if sign > 0 else math.ceil(price / step) - 1
    digits = 1 - math.floor(math.log10(price))  # 12 * 0.1 is 1.2000000000000002
    return round(steps * step, digits) if steps > 0 else None

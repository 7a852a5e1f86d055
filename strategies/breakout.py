"""Breakout: the close leaves the range of the last N bars, confirmed by volume.

Owns the rule; knows no symbol, regime or size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bot.domain.indicators import highest, lines, loudness, lowest, ratio, shift
from bot.domain.signals import SignalArray, decide, first
from bot.domain.types import Bars, Regime, Side
from bot.plugins import BOTH, StrategySpec

WILDER_SETTLED = 250  # bars: (13/14)^236 = 3e-8 of the seed is left in ATR 14


@dataclass(frozen=True, slots=True)
class Params:
    """`length` in bars, `burst` over the 20-bar mean of volume, `stop_atr` in ATR."""

    length: int = 20
    burst: float = 1.5
    stop_atr: float = 2.0

    def __post_init__(self) -> None:
        if self.length < 2 or self.burst <= 0 or self.stop_atr <= 0:
            raise ValueError("length must be at least 2, burst and stop_atr positive")


def signals(bars: Bars, params: Params) -> SignalArray:
    """LONG on the first close above the highest high of the `length` bars before it."""
    close = bars.close
    top = shift(highest(bars.high, params.length), 1)
    bottom = shift(lowest(bars.low, params.length), 1)
    true_range = lines(bars).atr
    volume = loudness(bars)
    loud = volume >= params.burst
    longs, shorts = first(close > top) & loud, first(close < bottom) & loud
    # How far beyond the range, in ATR before the break, and how loud: each whole adds 0.2.
    beyond = ratio(np.maximum(close - top, bottom - close), shift(true_range, 1))
    strength = 0.2 + 0.2 * (beyond + volume - params.burst)
    return decide(longs, shorts, strength, params.stop_atr * true_range / close)


def warm_up(params: Params) -> int:
    """Bars after which more history changes no signal."""
    return max(WILDER_SETTLED, params.length + 2)


VARIANTS = {"standard": Params()}

SPEC = StrategySpec(
    signals=signals,
    variants=VARIANTS,
    regimes={
        "standard": {
            Regime.RANGING: BOTH,
            Regime.TRENDING_UP: (Side.LONG,),
            Regime.TRENDING_DOWN: (Side.SHORT,),
        }
    },
    warm_up=warm_up,
    why="the close left the range of the last bars on a burst of volume",
    weight=0.2,
)

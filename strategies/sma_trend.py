"""Trend following: a crossing of two simple means, filtered by ADX and slope.

Owns the rule and its variants; knows no symbol, regime or size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bot.domain.indicators import lines, shift, sma
from bot.domain.signals import Flags, SignalArray, decide, first, lately
from bot.domain.types import Bars, Floats, Regime
from bot.plugins import BOTH, StrategySpec

WILDER_SETTLED = 300  # bars: less than 1e-7 of the seeds is left in ADX 14, smoothed twice
EVEN = 1e-9  # fraction of price: means nearer than that are equal, and rounding is no crossing


@dataclass(frozen=True, slots=True)
class Params:
    """Lengths in bars, `adx_min` on the ADX scale, `stop_atr` in ATR."""

    fast: int = 20
    slow: int = 50
    adx_min: float = 20.0
    patience: int = 5  # bars after the crossing in which the filters may come true
    slope_bars: int = 5
    stop_atr: float = 2.5

    def __post_init__(self) -> None:
        if not 2 <= self.fast < self.slow:
            raise ValueError("fast must be at least 2 and shorter than slow")
        if self.patience < 0 or self.slope_bars < 1 or self.stop_atr <= 0:
            raise ValueError("patience must be >= 0, slope_bars >= 1, stop_atr positive")


def signals(bars: Bars, params: Params) -> SignalArray:
    """LONG within `patience` bars of the fast mean crossing above the slow one.

    ADX must be at least `adx_min`, the directional index and the fast mean's slope agree.
    """
    close = bars.close
    fast, slow = sma(close, params.fast), sma(close, params.slow)
    gap = (fast - slow) / close
    shared = lines(bars)
    strength, plus, minus = shared.adx, shared.plus_di, shared.minus_di
    slope = fast - shift(fast, params.slope_bars)
    strong = strength >= params.adx_min
    longs = _fresh(gap, params.patience) & strong & (plus > minus) & (slope > 0)
    shorts = _fresh(-gap, params.patience) & strong & (plus < minus) & (slope < 0)
    # ADX 20 -> 0.3, 43 and more -> 1.
    confidence = 0.3 + (strength - 20.0) * 0.03
    stop = params.stop_atr * shared.atr / close
    return decide(first(longs), first(shorts), np.maximum(confidence, 0.2), stop)


def warm_up(params: Params) -> int:
    """Bars after which more history changes no signal."""
    return max(WILDER_SETTLED, params.slow + params.patience + params.slope_bars + 2)


def _fresh(gap: Floats, patience: int) -> Flags:
    """Bars at most `patience` after the gap turned positive, while it is still so."""
    above = gap > EVEN
    crossed = above & (shift(gap, 1) <= EVEN)
    return above & lately(crossed, patience)


VARIANTS = {
    "fast": Params(fast=10, slow=20),
    "standard": Params(),
    "slow": Params(fast=50, slow=200),
}

_TRENDS = {Regime.TRENDING_UP: BOTH, Regime.TRENDING_DOWN: BOTH}

SPEC = StrategySpec(
    signals=signals,
    variants=VARIANTS,
    regimes={"fast": _TRENDS, "standard": _TRENDS, "slow": _TRENDS},
    warm_up=warm_up,
    why="the fast mean crossed the slow one, ADX and slope agree",
)

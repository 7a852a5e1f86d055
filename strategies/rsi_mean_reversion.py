"""Mean reversion: RSI leaves an extreme while price is back inside its Bollinger band.

Owns the rule and its variants; knows no symbol, regime or size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bot.domain.indicators import bollinger, highest, lines, lowest, rsi, shift
from bot.domain.signals import Flags, SignalArray, decide
from bot.domain.types import Bars, Floats, Regime
from bot.plugins import BOTH, StrategySpec

WILDER_SETTLED = 250  # bars: (13/14)^236 = 3e-8 of the seed is left in RSI 14 and ATR 14


@dataclass(frozen=True, slots=True)
class Params:
    """Lengths in bars; `low` and `high` on the RSI scale, `stop_atr` in ATR."""

    low: float = 30.0
    high: float = 70.0
    rsi_length: int = 14
    band_length: int = 20
    band_width: float = 2.0
    lookback: int = 5  # bars within which price must have closed outside the band
    stop_atr: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.low < 50 < self.high < 100:
            raise ValueError("low and high must lie on both sides of 50, within 0 to 100")
        if min(self.rsi_length, self.band_length, self.lookback) < 2 or self.stop_atr <= 0:
            raise ValueError("lengths must be at least 2 and stop_atr positive")


def signals(bars: Bars, params: Params) -> SignalArray:
    """LONG when RSI rises through `low`, SHORT when it falls through `high`."""
    seen = _seen(bars, params.rsi_length, params.band_length, params.band_width, params.lookback)
    longs = (seen.before < params.low) & (seen.strength >= params.low) & seen.from_below
    shorts = (seen.before > params.high) & (seen.strength <= params.high) & seen.from_above
    # How far beyond the threshold it had been: 0 points -> 0.2, 16 and more -> 1.
    depth = np.where(longs, params.low - seen.least, seen.most - params.high)
    stop = params.stop_atr * lines(bars).atr / bars.close
    return decide(longs, shorts, 0.2 + depth * 0.05, stop)


def warm_up(params: Params) -> int:
    """Bars after which more history changes no signal."""
    settled = WILDER_SETTLED * params.rsi_length // 14
    return max(settled, WILDER_SETTLED, params.band_length) + params.lookback


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Columns of a window in which the variants do not differ."""

    strength: Floats
    before: Floats  # one bar earlier
    least: Floats  # of `strength` within the lookback
    most: Floats
    from_below: Flags  # inside the band, and below it within the lookback
    from_above: Flags


@lru_cache(maxsize=1)  # by the very object: the variants are asked one after the other
def _seen(bars: Bars, rsi_length: int, band_length: int, band_width: float, lookback: int) -> _Seen:
    close = bars.close
    strength = rsi(close, rsi_length)
    known = _or(strength, 50.0)
    upper, _, lower = bollinger(close, band_length, band_width)
    inside = (close > lower) & (close < upper)
    return _Seen(
        strength=strength,
        before=shift(strength, 1),
        least=lowest(known, lookback),
        most=highest(known, lookback),
        from_below=inside & (lowest(_or(close - lower, 0.0), lookback) < 0),
        from_above=inside & (highest(_or(close - upper, 0.0), lookback) > 0),
    )


def _or(values: Floats, other: float) -> Floats:
    """`values` with NaN replaced: TA-Lib's MIN and MAX carry a NaN on."""
    return np.where(np.isnan(values), other, values)


VARIANTS = {
    "standard": Params(),
    "tight": Params(low=20.0, high=80.0),
    "loose": Params(low=35.0, high=65.0),
}

SPEC = StrategySpec(
    signals=signals,
    variants=VARIANTS,
    regimes={
        "standard": {Regime.RANGING: BOTH},
        "tight": {Regime.RANGING: BOTH, Regime.VOLATILE: BOTH},
        "loose": {Regime.RANGING: BOTH},
    },
    warm_up=warm_up,
    why="RSI left its extreme, price is back inside the Bollinger band",
)

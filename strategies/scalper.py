"""Scalping: a short burst of momentum on a burst of volume.

Owns the rule; knows no symbol, regime or spread (the spread is a check of the risk gate).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bot.domain.indicators import ema, lines, loudness, ratio, shift
from bot.domain.signals import SignalArray, decide, first
from bot.domain.types import Bars, Regime
from bot.plugins import BOTH, StrategySpec

WILDER_SETTLED = 250  # bars: (13/14)^236 = 3e-8 of the seed is left in ATR 14


@dataclass(frozen=True, slots=True)
class Params:
    """Lengths in bars, moves and stops in ATR."""

    move_bars: int = 3
    move_atr: float = 1.2  # the least move over `move_bars`
    burst: float = 1.8  # volume over its 20-bar mean
    fast: int = 9
    slow: int = 21
    close_share: float = 0.6  # the close must lie in this upper (lower) part of its bar
    stop_atr: float = 1.5

    def __post_init__(self) -> None:
        if self.move_bars < 1 or not 2 <= self.fast < self.slow:
            raise ValueError("move_bars must be >= 1, fast at least 2 and shorter than slow")
        if min(self.move_atr, self.burst, self.stop_atr) <= 0 or not 0 < self.close_share < 1:
            raise ValueError("move_atr, burst and stop_atr must be positive, close_share 0 to 1")


def signals(bars: Bars, params: Params) -> SignalArray:
    """LONG on the first bar of a rise of `move_atr` ATR with `burst` volume, above both means."""
    close = bars.close
    true_range = lines(bars).atr
    before = shift(true_range, 1)  # the burst itself must not raise the bar it has to clear
    move = ratio(close - shift(close, params.move_bars), before)
    volume = loudness(bars)
    fast, slow = ema(close, params.fast), ema(close, params.slow)
    place = ratio(close - bars.low, bars.high - bars.low)  # 1: closed on its high
    loud = volume >= params.burst
    longs = loud & (move >= params.move_atr) & (fast > slow) & (place >= params.close_share)
    shorts = loud & (move <= -params.move_atr) & (fast < slow)
    shorts &= place <= 1 - params.close_share
    # Each whole ATR and each whole mean of volume beyond the least adds 0.2.
    extra = np.abs(move) - params.move_atr + volume - params.burst
    stop = params.stop_atr * true_range / close
    return decide(first(longs), first(shorts), 0.2 + 0.2 * extra, stop)


def warm_up(params: Params) -> int:
    """Bars after which more history changes no signal."""
    return max(WILDER_SETTLED, 12 * params.slow) + params.move_bars


VARIANTS = {"standard": Params()}

SPEC = StrategySpec(
    signals=signals,
    variants=VARIANTS,
    regimes={"standard": dict.fromkeys(Regime, BOTH)},
    warm_up=warm_up,
    why="short-term momentum with a burst of volume",
    weight=0.8,
)

"""The state of a market: exactly one of four, with a confidence and the figures behind it.

Owns the classification (spec 05, "Signals and numbers"); knows no strategy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bot.domain.indicators import Lines, lines
from bot.domain.types import Bars, Floats, Regime

# All from spec 05, "Signals and numbers".
ADX_TREND = 25.0
VOLATILE_PERCENTILE = 0.90
PERCENTILE_WINDOW = 200  # bars
PERCENTILE_MIN = 50  # fewer known values: never volatile
EMA_LENGTH = 50
EMA_BACK = 5  # bars
ENOUGH_BARS = EMA_LENGTH + EMA_BACK  # from here on every figure but the percentile is known


@dataclass(frozen=True, slots=True)
class Figures:
    """What led to a regime; None where there is too little history."""

    atr_percent: float | None = None
    atr_percentile: float | None = None  # 0 to 1
    adx: float | None = None
    plus_di: float | None = None
    minus_di: float | None = None
    ema_slope: float | None = None  # EMA 50 against 5 bars before, fraction of price


@dataclass(frozen=True, slots=True)
class RegimeView:
    """A regime, how clear it is (0 to 1; 0 = nothing known), and its figures."""

    regime: Regime
    confidence: float
    figures: Figures


def classify(bars: Bars, shared: Lines | None = None) -> RegimeView:
    """The regime after the last bar; `shared` are the window's own `indicators.lines`.

    volatile: ATR % in the top tenth of its last 200 values. trending: ADX >= 25, the
    directional index and the slope of EMA 50 agree. Everything else, too little history
    included, is ranging.
    """
    figures = measure(bars, shared)
    if figures.atr_percentile is not None and figures.atr_percentile >= VOLATILE_PERCENTILE:
        # 0.90 -> 0.5, 1.00 -> 1.0
        excess = (figures.atr_percentile - VOLATILE_PERCENTILE) / (1 - VOLATILE_PERCENTILE)
        return RegimeView(Regime.VOLATILE, 0.5 + excess / 2, figures)
    if figures.adx is None:
        return RegimeView(Regime.RANGING, 0.0, figures)
    direction = _direction(figures)
    if figures.adx >= ADX_TREND and direction:
        # ADX 25 -> 0.5, 50 and more -> 1.0
        confidence = min(1.0, 0.5 + (figures.adx - ADX_TREND) / 50)
        regime = Regime.TRENDING_UP if direction > 0 else Regime.TRENDING_DOWN
        return RegimeView(regime, confidence, figures)
    # ADX 25 and more (without a direction) -> 0.5, ADX 0 -> 1.0
    confidence = 0.5 + max(0.0, ADX_TREND - figures.adx) / (2 * ADX_TREND)
    return RegimeView(Regime.RANGING, confidence, figures)


def measure(bars: Bars, shared: Lines | None = None) -> Figures:
    """The figures from which `classify` decides."""
    if not len(bars):
        return Figures()
    shared = shared or lines(bars)
    recent = slice(-PERCENTILE_WINDOW, None)
    volatility = shared.atr[recent] / bars.close[recent] * 100
    return Figures(
        atr_percent=_known(volatility[-1]),
        atr_percentile=_percentile(volatility),
        adx=_known(shared.adx[-1]),
        plus_di=_known(shared.plus_di[-1]),
        minus_di=_known(shared.minus_di[-1]),
        ema_slope=_slope(bars.close, shared.ema50),
    )


def _direction(figures: Figures) -> int:
    """1 or -1 where directional index and slope agree, else 0."""
    if figures.plus_di is None or figures.minus_di is None or figures.ema_slope is None:
        return 0
    if figures.plus_di > figures.minus_di and figures.ema_slope > 0:
        return 1
    if figures.plus_di < figures.minus_di and figures.ema_slope < 0:
        return -1
    return 0


def _percentile(volatility: Floats) -> float | None:
    """Share of the other values in the window that lie below the last one; 0 to 1.

    Strictly below: a market whose range never changes is at the 0th percentile, not at the 100th.
    """
    window = volatility[~np.isnan(volatility)]
    if len(window) < PERCENTILE_MIN:
        return None
    return float((window < window[-1]).sum()) / (len(window) - 1)


def _slope(close: Floats, line: Floats) -> float | None:
    if len(close) < ENOUGH_BARS:
        return None
    return float(line[-1] - line[-1 - EMA_BACK]) / float(close[-1])


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)

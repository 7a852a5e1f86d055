"""Regime: the four states, their figures, and what too little history means."""

from __future__ import annotations

import numpy as np
import pytest

from bot.domain.regime import classify
from bot.domain.types import Bars, Regime
from tests.series import mirrored, path, scaled, walk


def calm_then_wild(n: int, wild: int) -> Bars:
    """Bars whose range is 10 times as wide at the end."""
    wick = np.where(np.arange(n) < n - wild, 0.05, 0.5)
    closes = 100 + 0.01 * np.sin(np.arange(n))
    bars = path(closes)
    return Bars(bars.ts, bars.open, bars.high + wick, bars.low - wick, bars.close, bars.volume)


def test_a_steady_rise_is_trending_up() -> None:
    """ADX over 25, +DI above -DI and a rising EMA 50."""
    view = classify(path(np.linspace(100, 110, 300), wick=0.02))
    assert view.regime is Regime.TRENDING_UP
    assert view.figures.adx is not None and view.figures.adx >= 25
    assert view.confidence > 0.5


def test_mirrored_bars_give_the_mirrored_regime() -> None:
    """Up and down are treated alike."""
    # Narrowing bars: in percent of a falling price an even range would grow to volatile.
    rise = path(np.linspace(100, 110, 300), wick=np.linspace(0.1, 0.02, 300))
    up, down = classify(rise), classify(mirrored(rise))
    assert (up.regime, down.regime) == (Regime.TRENDING_UP, Regime.TRENDING_DOWN)
    assert down.confidence == pytest.approx(up.confidence)


def test_no_direction_is_ranging() -> None:
    """A swing around one price has no trend."""
    view = classify(path(100 + np.sin(np.arange(300) * 0.9), wick=0.02))
    assert view.regime is Regime.RANGING
    assert view.confidence > 0.5


@pytest.mark.parametrize("upside_down", [False, True])
def test_a_strong_adx_against_the_slope_of_ema_is_ranging(upside_down: bool) -> None:
    """A sharp turn has a high ADX, but directional index and EMA 50 do not agree yet."""
    turn = np.concatenate((np.linspace(100, 120, 300), 120 - 20 / 299 * np.arange(1, 13)))
    bars = path(turn, wick=np.linspace(0.1, 0.02, len(turn)))
    view = classify(mirrored(bars, around=130.0) if upside_down else bars)
    figures = view.figures
    assert figures.adx is not None and figures.adx >= 25
    assert figures.plus_di is not None and figures.minus_di is not None
    assert figures.ema_slope is not None
    assert (figures.plus_di > figures.minus_di) != (figures.ema_slope > 0)
    assert view.regime is Regime.RANGING
    assert view.confidence == 0.5


def test_the_widest_tenth_of_its_range_is_volatile() -> None:
    """ATR % at or above its 90th percentile of 200 bars, whatever the direction."""
    view = classify(calm_then_wild(300, 5))
    assert view.regime is Regime.VOLATILE
    assert view.figures.atr_percentile == 1.0
    assert view.confidence == 1.0


def test_volatile_is_never_told_from_fewer_than_50_values() -> None:
    """With 14 bars of warm-up, 63 bars give 49 values of ATR %: too few; 64 are enough."""
    assert classify(calm_then_wild(63, 5)).figures.atr_percentile is None
    assert classify(calm_then_wild(63, 5)).regime is not Regime.VOLATILE
    assert classify(calm_then_wild(64, 5)).regime is Regime.VOLATILE


def test_only_the_last_200_values_count() -> None:
    """What was wild long ago does not make the present look calm."""
    old = calm_then_wild(300, 300)
    recent = calm_then_wild(215, 5)
    ts = np.arange(515, dtype=np.int64) * 300_000
    columns = [
        np.concatenate((getattr(old, name) * 1.2, getattr(recent, name)))
        for name in ("open", "high", "low", "close", "volume")
    ]
    assert classify(Bars(ts, *columns)).regime is Regime.VOLATILE


def test_a_constant_range_is_not_volatile() -> None:
    """Equal values are no extreme: the percentile counts those strictly below."""
    view = classify(path(np.full(300, 100.0), wick=0.1))
    assert view.figures.atr_percentile == 0.0
    assert view.regime is Regime.RANGING


@pytest.mark.parametrize("bars", [Bars.empty(), walk(1), walk(20)])
def test_too_little_history_is_ranging_with_no_confidence(bars: Bars) -> None:
    """Absent figures are said to be absent; nothing is guessed."""
    view = classify(bars)
    assert view.regime is Regime.RANGING
    assert view.confidence == 0.0
    assert view.figures.adx is None


@pytest.mark.parametrize("seed", range(5))
def test_prices_times_ten_are_the_same_regime(seed: int) -> None:
    """The unit of price means nothing."""
    bars = walk(400, seed, drift=0.0002)
    view, other = classify(bars), classify(scaled(bars, 10.0))
    assert view.regime is other.regime
    assert view.confidence == pytest.approx(other.confidence)

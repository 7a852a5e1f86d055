"""The contract of every strategy file: causal, settled after its warm-up, two-sided, alive.

Whatever lies under `strategies/` is met here by name; a new file needs no new test.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from bot.domain.signals import SignalArray
from bot.domain.types import Bars, Regime
from bot.plugins import LoadedStrategy, load, load_strategies, names
from tests.series import candles, mirrored, path, scaled, walk

STRATEGIES = load_strategies(names("strategies"), {})
every_variant = pytest.mark.parametrize("rule", STRATEGIES, ids=lambda rule: rule.id)

WALK = walk(6_000, seed=13, step=0.0015)
# Relative: what is left of a Wilder seed after the stated warm-up (250 bars: 3e-8), grown by
# differences of near numbers. Sides are compared exactly.
SETTLED = 1e-5


def same(one: SignalArray, other: SignalArray, rtol: float) -> None:
    assert one.side.tolist() == other.side.tolist()
    np.testing.assert_allclose(one.strength, other.strength, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(one.stop_frac, other.stop_frac, rtol=rtol)


def tail(signals: SignalArray, count: int) -> SignalArray:
    return SignalArray(signals.side[-count:], signals.strength[-count:], signals.stop_frac[-count:])


def head(signals: SignalArray, count: int) -> SignalArray:
    return SignalArray(signals.side[:count], signals.strength[:count], signals.stop_frac[:count])


@every_variant
def test_cutting_the_future_off_changes_nothing(rule: LoadedStrategy) -> None:
    """A signal at bar t never depends on bars after t: to the last bit, at every cut."""
    whole = rule.signals(WALK)
    fired = np.flatnonzero(whole.side)
    assert len(fired)
    cuts = {1, 2, 14, 30, 100, rule.warm_up, 1_000, 3_333, *(fired[:: len(fired) // 20 + 1] + 1)}
    for cut in sorted(int(cut) for cut in cuts):
        same(rule.signals(WALK[:cut]), head(whole, cut), rtol=0.0)


@every_variant
def test_more_history_than_the_warm_up_changes_nothing(rule: LoadedStrategy) -> None:
    """What live sees through its window is what the backtest sees in the whole series."""
    whole = rule.signals(WALK)
    for start in (1, 500, 1_777, 3_000, 4_500):
        window = WALK[start:]
        settled = len(window) - rule.warm_up
        same(tail(rule.signals(window), settled), tail(whole, settled), rtol=SETTLED)


@every_variant
def test_a_window_of_exactly_the_warm_up_gives_the_signal(rule: LoadedStrategy) -> None:
    """`warm_up` bars and the bar itself are enough for each signal of the series."""
    whole = rule.signals(WALK)
    fired = np.flatnonzero(whole.side)
    for at in fired[fired > rule.warm_up].tolist():
        window = rule.signals(WALK[at - rule.warm_up : at + 1])
        same(tail(window, 1), SignalArray(*(c[at : at + 1] for c in columns(whole))), SETTLED)


@every_variant
def test_every_bar_is_answered_and_nothing_warns(rule: LoadedStrategy) -> None:
    """Any length from none on, also bars without volume, without range, without any move."""
    flat = path(np.full(400, 100.0), volume=0.0)
    for bars in (Bars.empty(), WALK[:1], WALK[:3], WALK[:60], flat):
        assert len(rule.signals(bars)) == len(bars)
    assert not rule.signals(flat).side.any()


@every_variant
def test_both_sides_occur_and_mirrored_bars_swap_them(rule: LoadedStrategy) -> None:
    """No built-in preference: every rise treated as the same fall, bar by bar."""
    sides = rule.signals(WALK).side
    assert (sides > 0).any() and (sides < 0).any()
    assert rule.signals(mirrored(WALK)).side.tolist() == (-sides).tolist()


@every_variant
def test_the_unit_of_price_means_nothing(rule: LoadedStrategy) -> None:
    """Prices times ten, or those of a coin at 4e-5, give the same signals."""
    expected = rule.signals(WALK)
    same(rule.signals(scaled(WALK, 2.0**-22)), expected, rtol=0.0)
    same(rule.signals(scaled(WALK, 10.0)), expected, rtol=SETTLED)


@every_variant
def test_what_it_says_of_itself_is_usable(rule: LoadedStrategy) -> None:
    """Regimes, warm-up, target, weight and a reason; parameters that cannot be changed."""
    assert rule.id.count(".") == 1
    assert any(rule.sides(regime) for regime in Regime)
    assert 1 <= rule.warm_up <= 400  # a window of 500 bars must hold it
    assert rule.target_r >= 1.5  # the strictest minimum of reward to risk
    assert rule.weight > 0
    assert rule.why
    assert is_dataclass(rule.params)
    with pytest.raises(AttributeError):
        setattr(rule.params, fields(rule.params)[0].name, None)


@pytest.mark.parametrize("name", names("strategies"))
def test_a_file_exports_params_variants_and_spec(name: str) -> None:
    """The three names that the author's guide promises."""
    module = load("strategies", name)
    assert dict(module.SPEC.variants) == dict(module.VARIANTS)
    assert all(isinstance(params, module.Params) for params in module.VARIANTS.values())


@every_variant
def test_it_fires_now_and_then_on_real_candles(rule: LoadedStrategy, shared_data: Path) -> None:
    """Between once in 1,000 and once in 20 bars of a month: neither dead nor noise."""
    bars = candles(shared_data, "BTC-PERP-1m-2022-01a")
    sides = rule.signals(bars).side
    share = float((sides != 0).mean())
    assert 0.001 <= share <= 0.05
    balance = float((sides > 0).sum() / (sides != 0).sum())
    assert 0.35 <= balance <= 0.65


def columns(signals: SignalArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return signals.side, signals.strength, signals.stop_frac

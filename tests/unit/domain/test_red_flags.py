"""Red flags: each rule, which are hard, their soft effect, and that no combination is dead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.domain.indicators import Indicators
from bot.domain.levels import Level, Levels
from bot.domain.proposal import Proposal, propose
from bot.domain.red_flags import POLICIES, SOFT, FlagCode, FlagPolicy, effect, find
from bot.domain.regime import classify
from bot.domain.snapshot import Snapshot, observe
from bot.domain.types import Bars, RedFlag, Regime, Side, SoftEffect, Symbol, Timeframe
from bot.plugins import LoadedStrategy, load_strategies, names
from tests.judgement import H1, H4, RANGES, heading, proposal, snapshot
from tests.series import DAY_START, market, mirrored, path, walk

LONG, SHORT = Side.LONG, Side.SHORT
CALM = Indicators(rsi=50.0, volume_ratio=1.0, atr=0.5)
FLAT = path(np.full(100, 100.0), wick=0.1)


def codes(side: Side, seen: Snapshot, *, fades: bool = False) -> list[str]:
    wish = proposal(side, regimes=RANGES) if fades else proposal(side)
    return [flag.code for flag in find(wish, seen, FlagPolicy())]


def test_a_calm_snapshot_has_no_flag() -> None:
    """Nor has one of which nothing is known."""
    assert codes(LONG, snapshot(bars=FLAT, now=CALM)) == []
    assert codes(SHORT, snapshot(bars=FLAT, now=Indicators())) == []


@pytest.mark.parametrize(
    ("rsi", "side", "flagged"),
    [
        (80.1, LONG, True),
        (80.0, LONG, False),
        (80.1, SHORT, False),
        (19.9, SHORT, True),
        (20.0, SHORT, False),
        (19.9, LONG, False),
    ],
)
def test_rsi_flags_only_the_side_that_has_run_out(rsi: float, side: Side, flagged: bool) -> None:
    """Over 80 against a LONG, under 20 against a SHORT: a fade of the extreme stays possible."""
    found = codes(side, snapshot(bars=FLAT, now=replace(CALM, rsi=rsi)))
    assert found == (["rsi_extreme"] if flagged else [])


def test_very_low_volume_is_under_three_tenths_of_its_mean() -> None:
    """Nobody is there to trade with."""
    assert codes(LONG, snapshot(bars=FLAT, now=replace(CALM, volume_ratio=0.29))) == ["low_volume"]
    assert codes(LONG, snapshot(bars=FLAT, now=replace(CALM, volume_ratio=0.3))) == []


@pytest.mark.parametrize(
    ("price", "flagged"), [(103.9, False), (104.0, True), (106.0, True), (106.1, False)]
)
def test_the_middle_between_levels_is_no_place(price: float, flagged: bool) -> None:
    """Between 40 and 60 % of the way from support to resistance."""
    around = Levels(price=price, supports=(Level(100.0, 2),), resistances=(Level(110.0, 2),))
    found = codes(LONG, snapshot(bars=FLAT, now=CALM, levels=around))
    assert found == (["mid_range"] if flagged else [])


def test_narrow_levels_have_no_middle() -> None:
    """Less than four ATR apart, or one level alone."""
    near = Levels(price=100.0, supports=(Level(99.1, 2),), resistances=(Level(100.9, 2),))
    assert codes(LONG, snapshot(bars=FLAT, now=CALM, levels=near)) == []
    alone = Levels(price=100.0, supports=(Level(90.0, 2),))
    assert codes(LONG, snapshot(bars=FLAT, now=CALM, levels=alone)) == []


def rally_that_tires(second: float, since: int = 5) -> Bars:
    """A steep rise to 110, a dip, and a slow second rise to `second`, `since` bars ago."""
    legs = [
        np.full(60, 100.0),
        np.linspace(100, 110, 12),
        np.linspace(110, 107, 8)[1:],
        np.linspace(107, second, 20)[1:],
        np.linspace(second, second - 0.1 * since, since + 1)[1:],
    ]
    return path(np.concatenate(legs), wick=0.05)


def test_higher_highs_on_weaker_macd_speak_against_a_long() -> None:
    """And lower lows on stronger MACD against a SHORT; the other side is not concerned."""
    tired = rally_that_tires(110.5)
    assert codes(LONG, snapshot(bars=tired, now=CALM)) == ["macd_divergence"]
    assert codes(SHORT, snapshot(bars=tired, now=CALM)) == []
    assert codes(SHORT, snapshot(bars=mirrored(tired), now=CALM)) == ["macd_divergence"]


def test_a_lower_high_or_an_old_turn_is_no_divergence() -> None:
    """The price must have gone on, and not long ago."""
    assert codes(LONG, snapshot(bars=rally_that_tires(109.5), now=CALM)) == []
    assert codes(LONG, snapshot(bars=rally_that_tires(110.5, since=25), now=CALM)) == []


def test_a_volatile_regime_is_flagged_for_both_sides() -> None:
    """Its effect is stated by spec: leverage at most 2x, half the size."""
    seen = snapshot(bars=FLAT, now=CALM, regime=Regime.VOLATILE)
    assert codes(LONG, seen) == codes(SHORT, seen) == ["volatile"]
    flags = find(proposal(), seen, POLICIES["aggressive"])
    assert effect(flags) == SoftEffect(max_leverage=2, size_factor=0.5)


def test_volatile_is_hard_for_conservative_alone() -> None:
    """Elsewhere it is soft."""
    seen = snapshot(bars=FLAT, now=CALM, regime=Regime.VOLATILE)
    hard = {name: find(proposal(), seen, policy)[0].hard for name, policy in POLICIES.items()}
    assert hard == {"conservative": True, "aggressive": False, "scalper": False, "demo": False}


def test_timeframes_disagree_when_all_trend_against_the_side() -> None:
    """Each with ADX over 25; one that does not is enough to let the trade pass."""
    against = {H1: heading(-1, 26.0), H4: heading(-1, 30.0)}
    assert codes(LONG, snapshot(bars=FLAT, now=CALM, contexts=against)) == ["timeframes_disagree"]
    assert codes(SHORT, snapshot(bars=FLAT, now=CALM, contexts=against)) == []
    fades = snapshot(bars=FLAT, now=CALM, contexts=against)
    assert codes(LONG, fades, fades=True) == ["timeframes_disagree"]
    weak = {**against, H4: heading(-1, 25.0)}
    assert codes(LONG, snapshot(bars=FLAT, now=CALM, contexts=weak)) == []
    mixed = {**against, H1: heading(1, 40.0)}
    assert codes(LONG, snapshot(bars=FLAT, now=CALM, contexts=mixed)) == []


def test_one_frame_alone_is_not_enough_against_a_fade() -> None:
    """It is against a follower; a frame with too little history does not count."""
    lone = snapshot(bars=FLAT, now=CALM, contexts={H1: heading(-1, 40.0), H4: Indicators(adx=None)})
    assert codes(LONG, lone) == ["timeframes_disagree"]
    assert codes(LONG, lone, fades=True) == []
    unknown = snapshot(bars=FLAT, now=CALM, contexts={H1: Indicators()})
    assert codes(LONG, unknown) == []


def test_the_joint_effect_is_the_smallest_of_each_bound() -> None:
    """Never the product; hard flags have no effect on a size that will not be."""

    def soft(code: FlagCode) -> RedFlag:
        return RedFlag(code.value, False, "")

    assert effect(()) == SoftEffect(None, 1.0)
    assert effect([soft(FlagCode.MID_RANGE)]) == SoftEffect(None, 0.75)
    both = [soft(FlagCode.MID_RANGE), soft(FlagCode.VOLATILE), soft(FlagCode.RSI_EXTREME)]
    assert effect(both) == SoftEffect(2, 0.5)
    assert effect([RedFlag("volatile", True, "")]) == SoftEffect(None, 1.0)


def test_every_code_has_a_soft_effect() -> None:
    """Each flag can be made soft by a profile, and soft flags only ever lower a size."""
    assert set(SOFT) == {code.value for code in FlagCode}
    assert all(0 < item.size_factor < 1 for item in SOFT.values())


# --- reachability: no combination of profile, strategy and regime is dead ---------------


def _frame(regime: Regime) -> Bars:
    """Bars of a context frame in this regime."""
    narrowing = np.linspace(0.3, 0.1, 300)
    rise = path(np.linspace(100, 130, 300), wick=narrowing, timeframe=H1)
    match regime:
        case Regime.TRENDING_UP:
            bars = rise
        case Regime.TRENDING_DOWN:
            bars = mirrored(rise, around=130.0)
        case Regime.RANGING:
            bars = path(100 + np.sin(np.arange(300) * 0.9), wick=0.02, timeframe=H1)
        case Regime.VOLATILE:
            wick = np.where(np.arange(300) < 290, 0.05, 0.5)
            bars = path(100 + np.sin(np.arange(300) * 0.9), wick=wick, timeframe=H1)
    assert classify(bars).regime is regime
    return Bars(
        bars.ts - len(bars) * H1.ms, bars.open, bars.high, bars.low, bars.close, bars.volume
    )


STRATEGIES = load_strategies(names("strategies"), {})
DECISIONS = walk(12_000, seed=21, ts=DAY_START)
FRAMES = {regime: _frame(regime) for regime in Regime}


def _reaches(policy: FlagPolicy, rule: LoadedStrategy, regime: Regime, side: Side) -> bool:
    """Whether some signal of `rule` in this regime passes without a hard flag."""
    fired = np.flatnonzero(rule.signals(DECISIONS).side == side.sign)
    for at in fired[fired >= rule.warm_up].tolist():
        bars = DECISIONS[at - rule.warm_up : at + 1]
        frames = {Timeframe.M5: bars, H1: FRAMES[regime]}
        seen = observe(Symbol("BTC"), Timeframe.M5, frames, market(bars), H1)
        found = propose(seen, [rule])
        if isinstance(found, Proposal) and not any(f.hard for f in find(found, seen, policy)):
            return True
    return False


@pytest.mark.parametrize("profile", POLICIES)
@pytest.mark.parametrize("rule", STRATEGIES, ids=lambda rule: rule.id)
def test_no_combination_of_profile_strategy_and_regime_is_dead(
    profile: str, rule: LoadedStrategy
) -> None:
    """Every allowed regime lets at least one signal of each side it wants through.

    A regime that the profile forbids by a hard flag (volatile for conservative) is not
    allowed; a follower against the trend of its only context frame is not either. What is
    left must not be empty.
    """
    policy = POLICIES[profile]
    against = {Regime.TRENDING_UP: SHORT, Regime.TRENDING_DOWN: LONG}
    walked = 0
    for regime in Regime:
        if regime is Regime.VOLATILE and FlagCode.VOLATILE in policy.hard:
            continue
        for side in rule.sides(regime):
            if against.get(regime) is side:
                continue
            assert _reaches(policy, rule, regime, side), (regime, side)
            walked += 1
    assert walked

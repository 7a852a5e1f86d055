"""Scoring: each part's formula, absent parts, tiers."""

from __future__ import annotations

import numpy as np
import pytest

from bot.domain.indicators import Indicators
from bot.domain.levels import Level, Levels
from bot.domain.scoring import PARTS, ScoreWeights, score, tier_of, trend
from bot.domain.types import Bars, Regime, Score, Side, Tier
from tests.judgement import H1, H4, RANGES, heading, proposal, snapshot
from tests.series import path, walk

LONG, SHORT = Side.LONG, Side.SHORT
FULL = snapshot(contexts={H1: heading(1, 30.0)}, funding=1e-5)


def loud(ratio: float, back: int = 0) -> Bars:
    """Bars whose volume is `ratio` times its 20-bar mean, `back` bars ago."""
    volume = np.full(60, 100.0)
    volume[-1 - back] = 1900 * ratio / (20 - ratio)
    return path(np.linspace(100, 101, 60), volume=volume)


def values(result: Score) -> dict[str, float]:
    return {part.name: part.value for part in result.parts}


def test_the_score_is_the_weighted_mean_of_its_parts() -> None:
    """0 to 100, with the tier that belongs to it."""
    result = score(proposal(), FULL, ScoreWeights())
    mass = sum(part.weight for part in result.parts)
    mean = sum(part.value * part.weight for part in result.parts) / mass
    assert result.total == pytest.approx(mean, abs=1e-4)
    assert 0 <= result.total <= 100
    assert result.tier is tier_of(result.total)
    assert all(0 <= part.value <= 100 for part in result.parts)


def test_absent_parts_are_left_out_and_the_rest_rescaled() -> None:
    """What is not known counts neither as 0 nor as 50."""
    bare = snapshot(bars=path(np.linspace(100, 101, 60), volume=0.0), confidence=0.0)
    result = score(proposal(strength=1.0), bare, ScoreWeights())
    assert values(result) == {"confluence": 80.0}
    assert result.total == 80.0


def test_a_part_without_weight_is_left_out() -> None:
    """0 switches a part off; negative or all-zero weights are refused."""
    weights = ScoreWeights(confluence=0, volume=0, levels=0, regime=0, funding=0, timeframes=1)
    assert list(values(score(proposal(), FULL, weights))) == ["timeframes"]
    with pytest.raises(ValueError, match="score weights"):
        ScoreWeights(volume=-1)
    with pytest.raises(ValueError, match="score weights"):
        ScoreWeights(0, 0, 0, 0, 0, 0)


def test_weights_name_every_part() -> None:
    """A part without a weight could never count."""
    assert list(ScoreWeights.__slots__) == list(PARTS)


@pytest.mark.parametrize(
    ("total", "tier"),
    [
        (100, Tier.TIER_1_MUST_BUY),
        (85, Tier.TIER_1_MUST_BUY),
        (84.9999, Tier.TIER_2_STRONG_BUY),
        (70, Tier.TIER_2_STRONG_BUY),
        (69.9999, Tier.TIER_3_WATCHLIST),
        (55, Tier.TIER_3_WATCHLIST),
        (54.9999, Tier.TIER_4_NEUTRAL),
        (0, Tier.TIER_4_NEUTRAL),
    ],
)
def test_tiers_begin_at_85_70_and_55(total: float, tier: Tier) -> None:
    """The bound belongs to the better tier."""
    assert tier_of(total) is tier


def test_confluence_grows_with_strength_and_other_voices() -> None:
    """80 x strength; 20 x that of another file, 5 x that of a variant of one already heard."""
    part = PARTS["confluence"]
    seen = snapshot()
    assert part(proposal(strength=1.0), seen) == 80.0
    assert part(proposal(LONG, "breakout.standard"), seen) == 40.0 + 10.0
    assert part(proposal(LONG, "scalper.other"), seen) == 40.0 + 2.5
    assert part(proposal(LONG, "sma_trend.fast", "sma_trend.slow"), seen) == 40.0 + 10 + 2.5
    everyone = ("a.x", "b.x", "c.x", "d.x")
    assert part(proposal(LONG, *everyone, strength=1.0), seen) == 100.0


def test_a_follower_wants_the_coarser_frames_along() -> None:
    """50 without a trend, 100 along a full one, 0 against; the mean over the frames."""
    part = PARTS["timeframes"]
    up = snapshot(contexts={H1: heading(1, 40.0)})
    assert part(proposal(LONG), up) == 100.0
    assert part(proposal(SHORT), up) == 0.0
    assert part(proposal(LONG), snapshot(contexts={H1: heading(1, 15.0)})) == 50.0
    mixed = snapshot(contexts={H1: heading(1, 40.0), H4: heading(-1, 40.0)})
    assert part(proposal(LONG), mixed) == 50.0


def test_a_fade_wants_no_trend_against_it() -> None:
    """70 without a trend, 0 against a full one, 100 along one."""
    part = PARTS["timeframes"]
    fade = proposal(LONG, regimes=RANGES)
    assert part(fade, snapshot(contexts={H1: heading(-1, 10.0)})) == 70.0
    assert part(fade, snapshot(contexts={H1: heading(-1, 40.0)})) == 0.0
    assert part(fade, snapshot(contexts={H1: heading(1, 40.0)})) == 100.0


def test_a_frame_with_too_little_history_says_nothing() -> None:
    """It is left out of the mean; without any frame the part is absent."""
    part = PARTS["timeframes"]
    assert part(proposal(), snapshot()) is None
    assert part(proposal(), snapshot(contexts={H1: Indicators()})) is None
    one = snapshot(contexts={H1: Indicators(), H4: heading(1, 40.0)})
    assert part(proposal(), one) == 100.0


def test_trend_is_direction_times_strength() -> None:
    """-1 to 1, 0 under ADX 15."""
    assert trend(heading(1, 27.5)) == pytest.approx(0.5)
    assert trend(heading(-1, 90.0)) == -1.0
    assert trend(heading(1, 10.0)) == 0.0
    assert trend(Indicators(adx=30.0)) is None


def test_volume_confirms_up_to_four_times_its_mean() -> None:
    """0 at half the mean, 100 at four times, linear; any of the last three bars counts."""
    part = PARTS["volume"]
    quiet = [part(proposal(), snapshot(bars=loud(ratio))) for ratio in (1.0, 2.25, 4.0, 6.0)]
    assert quiet == pytest.approx([100 / 7, 50.0, 100.0, 100.0], abs=1.0)
    assert part(proposal(), snapshot(bars=loud(4.0, back=2))) == pytest.approx(100.0)
    past = part(proposal(), snapshot(bars=loud(4.0, back=3)))
    assert past is not None and past < 100 / 7
    assert part(proposal(), snapshot(bars=walk(19))) is None


def test_levels_want_room_ahead_and_backing_behind() -> None:
    """60 for room of the whole target, 40 for a level right behind the entry."""
    part = PARTS["levels"]

    def value(side: Side, below: float | None, above: float | None) -> float | None:
        found = Levels(
            price=100.0,
            supports=() if below is None else (Level(below, 2),),
            resistances=() if above is None else (Level(above, 2),),
        )
        return part(proposal(side), snapshot(levels=found))

    # The stop is 1 % of 100, the target 2 R: room is full from 102 on.
    assert value(LONG, 99.5, 102.0) == pytest.approx(60 + 20)
    assert value(LONG, 99.5, None) == pytest.approx(60 + 20)
    assert value(LONG, None, 101.0) == pytest.approx(30)
    assert value(SHORT, 98.0, 100.5) == pytest.approx(60 + 20)
    assert value(LONG, None, None) is None
    rooms = [value(LONG, None, price) for price in (100.5, 101.0, 101.5, 103.0)]
    assert rooms == sorted(rooms, key=lambda room: room or 0.0)


@pytest.mark.parametrize(
    ("state", "follow_long", "fade_long"),
    [
        (Regime.TRENDING_UP, 100, 50),
        (Regime.TRENDING_DOWN, 0, 0),
        (Regime.RANGING, 50, 100),
        (Regime.VOLATILE, 30, 30),
    ],
)
def test_regime_fit_depends_on_side_and_manner(
    state: Regime, follow_long: float, fade_long: float
) -> None:
    """A follower wants its trend, a fade a range; SHORT mirrors LONG."""
    part = PARTS["regime"]
    seen = snapshot(regime=state, confidence=1.0)
    mirror = {
        Regime.TRENDING_UP: Regime.TRENDING_DOWN,
        Regime.TRENDING_DOWN: Regime.TRENDING_UP,
    }.get(state, state)
    assert part(proposal(LONG), seen) == pytest.approx(follow_long)
    assert part(proposal(LONG, regimes=RANGES), seen) == pytest.approx(fade_long)
    mirrored = snapshot(regime=mirror, confidence=1.0)
    assert part(proposal(SHORT), mirrored) == pytest.approx(follow_long)


def test_an_unclear_regime_says_little() -> None:
    """The fit is drawn towards 50 by its confidence; an unknown regime is absent."""
    part = PARTS["regime"]
    half = snapshot(regime=Regime.TRENDING_UP, confidence=0.5)
    assert part(proposal(LONG), half) == pytest.approx(75)
    assert part(proposal(LONG), snapshot(confidence=0.0)) is None


def test_funding_speaks_for_the_side_that_earns_it() -> None:
    """0.01 % an hour saturates; no figure, no part."""
    part = PARTS["funding"]
    assert part(proposal(LONG), snapshot(funding=5e-5)) == pytest.approx(25)
    assert part(proposal(SHORT), snapshot(funding=5e-5)) == pytest.approx(75)
    assert part(proposal(LONG), snapshot(funding=-1.0)) == pytest.approx(100)
    assert part(proposal(LONG), snapshot(funding=0.0)) is None
    assert part(proposal(LONG), snapshot(funding=float("nan"))) is None

"""Opinions become one decision; an abstention is no vote."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.council import RULES_SEAT, CouncilPolicy, analyst, convene, quorum
from bot.domain.types import (
    Abstention,
    Action,
    Decision,
    Opinion,
    RedFlag,
    Score,
    Side,
    Signal,
    Symbol,
    Tier,
)

POLICY = CouncilPolicy()
SEATS = ("alpha", "beta", "gamma")
AWAY = Abstention("gamma", "timeout", "60 s")


def vote(seat: str, action: Action, confidence: float = 0.8) -> Opinion:
    return Opinion(seat, action, confidence, calibrated=True, reasoning="")


def decide(*opinions: Opinion, enabled: tuple[str, ...] = SEATS) -> Decision:
    return convene(opinions, (), enabled, {}, POLICY)


def test_a_clear_majority_wins_with_the_winners_mean_confidence() -> None:
    """The decision's confidence is of those who won, not of all."""
    decision = decide(
        vote("alpha", Action.LONG, 0.9), vote("beta", Action.LONG, 0.7), vote("gamma", Action.HOLD)
    )
    assert decision.action is Action.LONG
    assert decision.confidence == pytest.approx(0.8)
    assert decision.quorum_met


def test_an_abstention_is_no_vote() -> None:
    """Two of three seats are a quorum; the third, away, is neither HOLD nor a side."""
    opinions = (vote("alpha", Action.SHORT), vote("beta", Action.SHORT))
    decision = convene(opinions, (AWAY,), SEATS, {}, POLICY)
    assert decision.action is Action.SHORT
    assert decision.abstentions == (AWAY,)


def test_below_the_quorum_there_is_no_trade() -> None:
    """One voice of three is no council, however sure it is."""
    decision = decide(vote("alpha", Action.LONG, 1.0))
    assert (decision.action, decision.quorum_met) == (Action.HOLD, False)


@pytest.mark.parametrize(("seats", "needed"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_quorum_is_the_majority_of_the_enabled_seats(seats: int, needed: int) -> None:
    """Majority of the enabled seats, at least one."""
    assert quorum([f"s{i}" for i in range(seats)]) == needed


def test_under_sixty_percent_of_the_weight_is_a_hold() -> None:
    """Disagreement beyond the bound: HOLD, with the quorum met."""
    split = (
        vote("alpha", Action.LONG),
        vote("beta", Action.SHORT),
        vote("gamma", Action.LONG),
    )
    weights = {"alpha": 1.0, "beta": 1.7, "gamma": 1.0}
    assert convene(split, (), SEATS, weights, POLICY).action is Action.HOLD
    assert convene(split, (), SEATS, {"beta": 1.0}, POLICY).action is Action.LONG


def test_exactly_sixty_percent_wins() -> None:
    """The bound itself is enough: 'under 60 %' holds."""
    split = (vote("alpha", Action.LONG), vote("beta", Action.SHORT))
    weights = {"alpha": 3.0, "beta": 2.0}
    assert convene(split, (), SEATS, weights, POLICY).action is Action.LONG


@pytest.mark.parametrize("other", [Action.SHORT, Action.HOLD])
def test_a_tie_is_a_hold_whatever_the_bound(other: Action) -> None:
    """As much weight against a side as for it: nobody is right by coming first."""
    split = (vote("alpha", Action.LONG), vote("beta", other))
    decision = convene(split, (), SEATS, {}, CouncilPolicy(min_share=0.5))
    assert (decision.action, decision.quorum_met) == (Action.HOLD, True)


def test_a_seat_votes_once_and_only_when_enabled() -> None:
    """A second answer of a seat and a stranger's answer count nothing."""
    decision = decide(
        vote("alpha", Action.LONG),
        vote("alpha", Action.LONG),
        vote("stranger", Action.LONG),
    )
    assert not decision.quorum_met
    assert len(decision.opinions) == 1


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_an_impossible_weight_is_an_error(weight: float) -> None:
    """A weight must be finite and not negative."""
    with pytest.raises(ValueError, match="alpha"):
        convene((vote("alpha", Action.LONG),), (), ("alpha",), {"alpha": weight}, POLICY)


def test_weightless_votes_decide_nothing() -> None:
    """Seats whose weight is zero do not make a quorum."""
    decision = convene((vote("alpha", Action.LONG),), (), ("alpha",), {"alpha": 0.0}, POLICY)
    assert (decision.action, decision.quorum_met) == (Action.HOLD, False)


@pytest.mark.parametrize("confidence", [math.nan, -0.1, 1.1])
def test_an_impossible_confidence_is_no_vote(confidence: float) -> None:
    """What is no probability cannot be averaged."""
    assert not decide(vote("alpha", Action.LONG, confidence), enabled=("alpha",)).quorum_met


actions = st.sampled_from(list(Action))


@given(st.lists(st.tuples(actions, st.floats(0, 1)), max_size=5), st.randoms())
def test_the_order_of_answers_changes_nothing(
    votes: list[tuple[Action, float]], random: object
) -> None:
    """Who answers first has no say; mirrored votes give the mirrored decision."""
    opinions = [vote(f"s{i}", action, sure) for i, (action, sure) in enumerate(votes)]
    enabled = tuple(f"s{i}" for i in range(5))
    decision = convene(opinions, (), enabled, {}, POLICY)
    assert convene(opinions[::-1], (), enabled, {}, POLICY) == decision
    mirror = {Action.LONG: Action.SHORT, Action.SHORT: Action.LONG, Action.HOLD: Action.HOLD}
    turned = [vote(o.seat, mirror[o.action], o.confidence) for o in opinions]
    assert convene(turned, (), enabled, {}, POLICY).action is mirror[decision.action]


def signal(side: Side) -> Signal:
    return Signal(Symbol("BTC"), side, 0.5, 0.01, 2.0, "breakout", "technical", 20.0, "")


@pytest.mark.parametrize("side", list(Side))
def test_the_rules_analyst_says_the_signals_side_uncalibrated(side: Side) -> None:
    """Its confidence is score / 100, marked uncalibrated."""
    opinion = analyst(signal(side), Score((), 62.0, Tier.TIER_3_WATCHLIST), ())
    assert opinion.action.value == side.value
    assert opinion.confidence == pytest.approx(0.62)
    assert not opinion.calibrated
    assert opinion.seat == RULES_SEAT


def test_the_rules_analyst_holds_at_tier_four() -> None:
    """Below the watch-list there is nothing to say for a trade; flags are named."""
    flags = (RedFlag("low_volume", False, ""),)
    opinion = analyst(signal(Side.LONG), Score((), 40.0, Tier.TIER_4_NEUTRAL), flags)
    assert opinion.action is Action.HOLD
    assert "low_volume" in opinion.reasoning


def test_the_rules_analyst_can_stand_in_for_absent_models() -> None:
    """Convened alone, it is its own quorum."""
    opinion = analyst(signal(Side.LONG), Score((), 62.0, Tier.TIER_3_WATCHLIST), ())
    decision = convene((opinion,), (AWAY,), (RULES_SEAT,), {}, POLICY)
    assert (decision.action, decision.quorum_met) == (Action.LONG, True)

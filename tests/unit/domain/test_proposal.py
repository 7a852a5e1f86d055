"""Proposals: who may speak, who leads, and what cancels."""

from __future__ import annotations

import pytest

from bot.domain.proposal import NoProposal, Proposal, propose
from bot.domain.reasons import Reason
from bot.domain.types import Regime, Side
from tests.judgement import BARS, FixedRule, snapshot

BOTH = tuple(Side)
UP = snapshot(regime=Regime.TRENDING_UP)


def test_the_largest_weight_times_strength_leads() -> None:
    """The others of the same side are confluence, best first; every signal is kept."""
    rules = [
        FixedRule("a.x", strength=0.4),
        FixedRule("b.x", strength=0.9, weight=0.2),
        FixedRule("c.x", strength=0.6, weight=0.8),
    ]
    found = propose(UP, rules)
    assert isinstance(found, Proposal)
    assert [signal.strategy for signal in found.signals] == ["c.x", "a.x", "b.x"]
    assert found.signal.strategy == "c.x"
    assert found.signal.stop_frac == 0.01
    assert found.considered == ("a.x", "b.x", "c.x")


def test_equal_voices_are_ordered_by_name() -> None:
    """The order of the configuration decides nothing."""
    rules = [FixedRule("b.x"), FixedRule("a.x")]
    for order in (rules, rules[::-1]):
        found = propose(UP, order)
        assert isinstance(found, Proposal)
        assert found.signal.strategy == "a.x"


def test_opposite_signals_cancel() -> None:
    """A bar on which strategies contradict each other is CONFLICT, with both kept."""
    found = propose(UP, [FixedRule("a.x", side=1), FixedRule("b.x", side=-1, strength=0.1)])
    assert isinstance(found, NoProposal)
    assert found.reason is Reason.CONFLICT
    assert {signal.side for signal in found.signals} == {Side.LONG, Side.SHORT}


def test_silence_is_no_signal() -> None:
    """Nobody wishes anything: NO_SIGNAL, and who was asked."""
    found = propose(UP, [FixedRule("a.x", side=0)])
    assert found == NoProposal(Reason.NO_SIGNAL, (), ("a.x",))


def test_a_strategy_is_silent_outside_its_regimes() -> None:
    """It is not even asked, so it can neither lead nor conflict."""
    fade = FixedRule("fade.x", side=-1, fits={Regime.RANGING: BOTH})
    found = propose(UP, [fade, FixedRule("a.x")])
    assert isinstance(found, Proposal)
    assert found.considered == ("a.x",)


def test_a_side_that_the_regime_forbids_is_dropped() -> None:
    """A breakout sells nothing in a rising market."""
    rule = FixedRule("b.x", side=-1, fits={Regime.TRENDING_UP: (Side.LONG,)})
    assert propose(UP, [rule]) == NoProposal(Reason.NO_SIGNAL, (), ("b.x",))
    found = propose(UP, [rule, FixedRule("a.x", side=1)])
    assert isinstance(found, Proposal)


def test_a_strategy_without_its_warm_up_is_not_asked() -> None:
    """Signals from unsettled indicators would differ from those of a longer window."""
    long = FixedRule("long.x", warm_up=len(BARS) + 1)
    assert propose(UP, [long]).considered == ()
    assert propose(UP, [FixedRule("long.x", warm_up=len(BARS))]).considered == ("long.x",)


def test_the_proposal_says_where_its_leader_fits() -> None:
    """Regimes of the leader for this side; without a trend among them it fades."""
    fits = {Regime.RANGING: BOTH, Regime.TRENDING_UP: (Side.LONG,)}
    found = propose(UP, [FixedRule("b.x", fits=fits)])
    assert isinstance(found, Proposal)
    assert found.regimes == (Regime.TRENDING_UP, Regime.RANGING)
    assert not found.fades
    fade = propose(snapshot(), [FixedRule("f.x", fits={Regime.RANGING: BOTH})])
    assert isinstance(fade, Proposal)
    assert fade.fades


def test_a_strategy_must_answer_every_bar() -> None:
    """An array of another length cannot be matched to bars; the message names the strategy."""
    with pytest.raises(ValueError, match=r"a\.x: gave 3 signals for 300 bars"):
        propose(UP, [FixedRule("a.x", answers=3)])

"""The approval gate: every rule runs, and each one alone can stop a trade."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.answer import DENIALS, REASONS, Answer, Said, confirmed
from bot.domain.approval import (
    ApprovalMode,
    ApprovalPolicy,
    Candidate,
    approve,
    needs_person,
)
from bot.domain.reasons import CheckCode
from bot.domain.types import (
    Action,
    Approved,
    Decision,
    Ms,
    Opinion,
    RedFlag,
    Rejected,
    Score,
    Side,
    Signal,
    Symbol,
    Tier,
)

POLICY = ApprovalPolicy(0.75, Tier.TIER_3_WATCHLIST, 1.5, rules_may_trade=True)


def decision(action: Action, confidence: float, *, seat: str = "seat") -> Decision:
    voice = Opinion(seat, action, confidence, False, "")
    return Decision(action, confidence, True, (voice,), (), "")


GOOD = Candidate(
    signal=Signal(Symbol("BTC"), Side.LONG, 0.5, 0.01, 2.0, "breakout", "technical", 20.0, ""),
    score=Score((), 72.0, Tier.TIER_2_STRONG_BUY),
    decision=decision(Action.LONG, 0.8),
    flags=(RedFlag("low_volume", False, ""),),
    regime_fits=True,
    reward_to_risk=2.0,
)


def failed(candidate: Candidate, policy: ApprovalPolicy = POLICY) -> list[CheckCode]:
    verdict = approve(candidate, policy)
    return [check.code for check in verdict.failed] if isinstance(verdict, Rejected) else []


def test_a_good_candidate_is_approved_with_its_checks() -> None:
    """A soft red flag alone stops nothing."""
    verdict = approve(GOOD, POLICY)
    assert isinstance(verdict, Approved)
    assert all(check.ok for check in verdict.checks)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (replace(GOOD, decision=decision(Action.LONG, 0.74)), CheckCode.CONFIDENCE),
        (replace(GOOD, decision=decision(Action.LONG, float("nan"))), CheckCode.CONFIDENCE),
        (replace(GOOD, decision=decision(Action.HOLD, 0.9)), CheckCode.DECISION),
        (replace(GOOD, decision=decision(Action.SHORT, 0.9)), CheckCode.DECISION),
        (replace(GOOD, decision=replace(GOOD.decision, quorum_met=False)), CheckCode.QUORUM),
        (replace(GOOD, score=Score((), 50.0, Tier.TIER_4_NEUTRAL)), CheckCode.TIER),
        (replace(GOOD, reward_to_risk=1.49), CheckCode.REWARD_TO_RISK),
        (replace(GOOD, reward_to_risk=float("nan")), CheckCode.REWARD_TO_RISK),
        (replace(GOOD, flags=(RedFlag("volatile", True, ""),)), CheckCode.HARD_RED_FLAG),
        (replace(GOOD, regime_fits=False), CheckCode.REGIME_FIT),
        (replace(GOOD, repeated=True), CheckCode.REPEATED_SIGNAL),
    ],
)
def test_each_rule_alone_rejects(bad: Candidate, code: CheckCode) -> None:
    """One broken rule is one failed check with its code, and all others still run."""
    assert failed(bad) == [code]


def test_all_failures_are_told() -> None:
    """Not the first alone."""
    bad = replace(GOOD, regime_fits=False, repeated=True, reward_to_risk=0.5)
    assert set(failed(bad)) == {
        CheckCode.REGIME_FIT,
        CheckCode.REPEATED_SIGNAL,
        CheckCode.REWARD_TO_RISK,
    }


def test_with_the_rules_analyst_alone_the_tier_decides() -> None:
    """Its confidence is the score once more, so it is no second gate."""
    rules = replace(
        GOOD,
        score=Score((), 56.0, Tier.TIER_3_WATCHLIST),
        decision=decision(Action.LONG, 0.56, seat="rules"),
    )
    assert failed(rules) == []
    assert failed(rules, replace(POLICY, min_tier=Tier.TIER_2_STRONG_BUY)) == [CheckCode.TIER]


def test_a_model_without_calibration_is_not_the_rules_analyst() -> None:
    """Its confidence is no score: the gate compares it from the first day on."""
    doubtful = replace(GOOD, decision=decision(Action.LONG, 0.56))
    assert failed(doubtful) == [CheckCode.CONFIDENCE]


def test_one_calibrated_voice_brings_the_confidence_gate_back() -> None:
    """The exception is for the rules analyst alone, not for a council it sits in."""
    mixed = Decision(
        Action.LONG,
        0.6,
        True,
        (
            Opinion("rules", Action.LONG, 0.6, False, ""),
            Opinion("model", Action.LONG, 0.6, True, ""),
        ),
        (),
        "",
    )
    assert failed(replace(GOOD, decision=mixed)) == [CheckCode.CONFIDENCE]


def test_rules_alone_may_be_forbidden_to_trade() -> None:
    """RULES_MAY_TRADE false: only a council may."""
    policy = replace(POLICY, rules_may_trade=False)
    rules = replace(GOOD, decision=decision(Action.LONG, 0.9, seat="rules"))
    assert failed(rules, policy) == [CheckCode.RULES_MAY_TRADE]
    assert failed(GOOD, policy) == []


@pytest.mark.parametrize(
    ("mode", "tier", "asked"),
    [
        (ApprovalMode.AUTO, Tier.TIER_3_WATCHLIST, False),
        (ApprovalMode.MANUAL, Tier.TIER_1_MUST_BUY, True),
        (ApprovalMode.HYBRID, Tier.TIER_1_MUST_BUY, False),
        (ApprovalMode.HYBRID, Tier.TIER_2_STRONG_BUY, True),
    ],
)
def test_who_is_asked(mode: ApprovalMode, tier: Tier, asked: bool) -> None:
    """Auto asks nobody, manual always, hybrid below tier 1."""
    assert needs_person(tier, replace(POLICY, mode=mode)) is asked


@pytest.mark.parametrize("said", list(Said))
def test_a_persons_word_is_a_check_like_any_other(said: Said) -> None:
    """Only a yes approves, under the name of who said it; everything else rejects."""
    approved = approve(GOOD, POLICY)
    assert isinstance(approved, Approved)
    verdict = confirmed(approved, Answer("0" * 16, said, "ada", Ms(1)))
    if said is Said.APPROVED:
        assert isinstance(verdict, Approved) and verdict.by == "ada"
        assert verdict.checks[-1].ok
    else:
        assert isinstance(verdict, Rejected)
        assert [check.code for check in verdict.failed] == [CheckCode.APPROVER]


def test_every_end_of_a_wait_has_its_reason_and_its_refusal() -> None:
    """A trace always says why, and a used id is always refused by name."""
    assert REASONS.keys() == set(Said)
    assert DENIALS.keys() == set(Said) - {Said.UNANSWERED}

"""The approval gate: is this a good trade? Every rule runs, every verdict is kept.

Knows no account and no size. Whether a person must say yes is its business; who that is, how
they are asked and what their word came to (`bot.domain.answer`) is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.council import RULES_SEAT
from bot.domain.reasons import Check, CheckCode
from bot.domain.types import Approved, Decision, RedFlag, Rejected, Score, Signal, Tier


class ApprovalMode(StrEnum):
    """Who says yes: nobody, a person for each trade, or a person below tier 1."""

    AUTO = "auto"
    MANUAL = "manual"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """Limits of the gate; confidence 0 to 1, `min_tier` the worst tier let through."""

    min_confidence: float
    min_tier: Tier
    min_reward_to_risk: float
    rules_may_trade: bool
    mode: ApprovalMode = ApprovalMode.AUTO


@dataclass(frozen=True, slots=True)
class Candidate:
    """A decided signal before the gate. `reward_to_risk` is of the preview size."""

    signal: Signal
    score: Score
    decision: Decision
    flags: tuple[RedFlag, ...]
    regime_fits: bool
    reward_to_risk: float
    repeated: bool = False  # the same signal was acted upon within its life

    @property
    def rules_only(self) -> bool:
        """Whether only the rules analyst voted: alone, or in the place of absent models."""
        voices = self.decision.opinions
        return bool(voices) and all(
            voice.seat == RULES_SEAT and not voice.calibrated for voice in voices
        )


def approve(candidate: Candidate, policy: ApprovalPolicy) -> Approved | Rejected:
    """Apply every rule; `by` is "auto". Where `needs_person`, `answer.confirmed` comes after it."""
    checks = (
        _quorum(candidate),
        _decision(candidate),
        _confidence(candidate, policy),
        _rules_may_trade(candidate, policy),
        _tier(candidate, policy),
        _reward_to_risk(candidate, policy),
        _hard_flags(candidate.flags),
        Check(
            CheckCode.REGIME_FIT,
            candidate.regime_fits,
            value=candidate.signal.strategy,
            note="the strategy is made for this regime",
        ),
        Check(
            CheckCode.REPEATED_SIGNAL,
            not candidate.repeated,
            value=candidate.signal.strategy,
            note="not the same signal again within its life",
        ),
    )
    if all(check.ok for check in checks):
        return Approved(checks, by="auto")
    return Rejected(checks)


def needs_person(tier: Tier, policy: ApprovalPolicy) -> bool:
    """Whether a person must say yes to what passed the gate: always, or below tier 1."""
    match policy.mode:
        case ApprovalMode.AUTO:
            return False
        case ApprovalMode.MANUAL:
            return True
        case ApprovalMode.HYBRID:
            return tier is not Tier.TIER_1_MUST_BUY


def _quorum(candidate: Candidate) -> Check:
    decision = candidate.decision
    votes = float(len(decision.opinions))
    return Check(CheckCode.QUORUM, decision.quorum_met, votes, unit="votes", note=decision.why)


def _decision(candidate: Candidate) -> Check:
    said, wanted = candidate.decision.action.value, candidate.signal.side.value
    return Check(CheckCode.DECISION, said == wanted, value=said, limit=wanted)


def _confidence(candidate: Candidate, policy: ApprovalPolicy) -> Check:
    """Compare confidence, unless it is the score once more: then MIN_TIER decides (spec 05)."""
    value = candidate.decision.confidence
    if candidate.rules_only:
        note = "rules analyst alone: the tier decides"
        return Check(CheckCode.CONFIDENCE, True, value, policy.min_confidence, "", note)
    return Check(CheckCode.CONFIDENCE, value >= policy.min_confidence, value, policy.min_confidence)


def _rules_may_trade(candidate: Candidate, policy: ApprovalPolicy) -> Check:
    ok = policy.rules_may_trade or not candidate.rules_only
    voices = "rules analyst alone" if candidate.rules_only else "council"
    return Check(CheckCode.RULES_MAY_TRADE, ok, value=voices)


def _tier(candidate: Candidate, policy: ApprovalPolicy) -> Check:
    tier = candidate.score.tier
    return Check(
        CheckCode.TIER,
        tier <= policy.min_tier,
        float(tier),
        float(policy.min_tier),
        "tier",
        f"score {candidate.score.total:.1f}",
    )


def _reward_to_risk(candidate: Candidate, policy: ApprovalPolicy) -> Check:
    value, limit = candidate.reward_to_risk, policy.min_reward_to_risk
    return Check(CheckCode.REWARD_TO_RISK, value >= limit, value, limit, "R")


def _hard_flags(flags: Sequence[RedFlag]) -> Check:
    hard = [flag.code for flag in flags if flag.hard]
    return Check(CheckCode.HARD_RED_FLAG, not hard, value=", ".join(hard) or "none")

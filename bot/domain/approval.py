"""The approval gate: is this a good trade? Every rule runs, every verdict is kept.

Knows no account, no size and no person; who is asked, and how, is the pipeline's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.reasons import Check, CheckCode
from bot.domain.types import Approved, Decision, RedFlag, Rejected, Score, Signal, Tier


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """Limits of the gate; confidence 0 to 1, `min_tier` the worst tier let through."""

    min_confidence: float
    min_tier: Tier
    min_reward_to_risk: float
    rules_may_trade: bool


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
        """Whether only uncalibrated voices (the rules analyst) voted."""
        voices = self.decision.opinions
        return bool(voices) and not any(voice.calibrated for voice in voices)


def approve(candidate: Candidate, policy: ApprovalPolicy) -> Approved | Rejected:
    """Apply every rule; `by` is "auto"."""
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

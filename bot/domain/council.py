"""From opinions to one decision: quorum, weighted vote, and the built-in rules analyst.

Knows no model and no deadline; an abstention is no vote, neither a HOLD nor a side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.types import (
    Abstention,
    Action,
    Decision,
    Opinion,
    RedFlag,
    Score,
    Side,
    Signal,
    Tier,
)

RULES_SEAT = "rules"
DEFAULT_WEIGHT = 1.0  # weights start equal (spec 10, "Consensus")


@dataclass(frozen=True, slots=True)
class CouncilPolicy:
    """When voices make a decision. `min_share` is of the weight that voted, 0 to 1."""

    min_share: float = 0.60  # spec 05: under 60 % of the weight -> HOLD


def analyst(signal: Signal, score: Score, flags: Sequence[RedFlag]) -> Opinion:
    """Answer for the built-in rules: the signal's side at score / 100, HOLD at tier 4.

    Uncalibrated by definition; hard flags are the approval gate's to refuse, here they are
    only said.
    """
    names = ", ".join(flag.code for flag in flags) or "none"
    said = f"score {score.total:.1f}, {score.tier.name}, red flags: {names}"
    side = Action.LONG if signal.side is Side.LONG else Action.SHORT
    return Opinion(
        seat=RULES_SEAT,
        action=Action.HOLD if score.tier is Tier.TIER_4_NEUTRAL else side,
        confidence=min(max(score.total / 100, 0.0), 1.0),
        calibrated=False,
        reasoning=said,
    )


def quorum(enabled: Sequence[str]) -> int:
    """Votes that must be in: the majority of the enabled seats, at least one."""
    return max(1, len(set(enabled)) // 2 + 1)


def weights_of(enabled: Sequence[str]) -> Mapping[str, float]:
    """What each seat's vote weighs: equal, until outcomes have calibrated the seats.

    The one place that decides it. Never from an outcome that settled after the decision.
    """
    return dict.fromkeys(enabled, DEFAULT_WEIGHT)


def stands_in(opinions: Sequence[Opinion], enabled: Sequence[str]) -> bool:
    """Whether the rules analyst answers for models of which none was heard."""
    heard = {opinion.seat for opinion in opinions}
    return RULES_SEAT not in enabled and RULES_SEAT in heard and heard.isdisjoint(enabled)


def convene(
    opinions: Sequence[Opinion],
    abstentions: Sequence[Abstention],
    enabled: Sequence[str],
    weights: Mapping[str, float],
    policy: CouncilPolicy,
) -> Decision:
    """Count the votes of the enabled seats, each once.

    When the rules analyst stands in for absent models, convene with
    `enabled=(RULES_SEAT,)`. A seat without a weight has weight 1. The decision's confidence
    is the weighted mean of the winners'. Raises ValueError for a weight that is negative or
    not finite.
    """
    votes = _votes(opinions, enabled)
    needed = quorum(enabled)

    def decided(action: Action, confidence: float, met: bool, why: str) -> Decision:
        return Decision(action, confidence, met, votes, tuple(abstentions), why)

    if len(votes) < needed:
        return decided(Action.HOLD, 0.0, False, f"{len(votes)} of {needed} votes needed")
    weighed = [(vote, _weight(vote.seat, weights)) for vote in votes]
    total = sum(weight for _, weight in weighed)
    if total <= 0:
        return decided(Action.HOLD, 0.0, False, "no vote carries weight")
    action, won = _leader(weighed)
    share = won / total
    if action is not Action.HOLD and share < policy.min_share:
        why = f"{action.value} has {share:.0%} of the weight, {policy.min_share:.0%} needed"
        return decided(Action.HOLD, 0.0, True, why)
    winners = [(vote, weight) for vote, weight in weighed if vote.action is action]
    confidence = sum(vote.confidence * weight for vote, weight in winners) / won
    why = f"{action.value} by {share:.0%} of the weight, {len(winners)} of {len(votes)} votes"
    return decided(action, confidence, True, why)


def _votes(opinions: Sequence[Opinion], enabled: Sequence[str]) -> tuple[Opinion, ...]:
    """Keep the first opinion of each enabled seat, in the order of the seats' names."""
    first: dict[str, Opinion] = {}
    for opinion in opinions:
        usable = math.isfinite(opinion.confidence) and 0 <= opinion.confidence <= 1
        if opinion.seat in enabled and usable:
            first.setdefault(opinion.seat, opinion)
    return tuple(first[seat] for seat in sorted(first))


def _weight(seat: str, weights: Mapping[str, float]) -> float:
    weight = weights.get(seat, DEFAULT_WEIGHT)
    if not math.isfinite(weight) or weight < 0:
        raise ValueError(f"council: weight of seat {seat} must be >= 0, is {weight}")
    return weight


def _leader(weighed: Sequence[tuple[Opinion, float]]) -> tuple[Action, float]:
    """The action with most weight; HOLD wins every tie, and LONG against SHORT is a tie."""
    tally = dict.fromkeys(Action, 0.0)
    for vote, weight in weighed:
        tally[vote.action] += weight
    best = max(tally.values())
    leaders = [action for action in Action if tally[action] == best]
    if len(leaders) == 1:
        return leaders[0], best
    return Action.HOLD, max(tally[Action.HOLD], best)

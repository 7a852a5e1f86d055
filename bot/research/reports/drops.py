"""Why a signal's road ended: the step it did not take, and every rule that stood against it.

Owns the reading of checks and flags out of a recorded trace; counts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.adapters.store.report_rows import StoredTrace
from bot.domain.reasons import CheckCode, Reason, Stage
from bot.domain.scoring import TIERS
from bot.pipeline.funnel import STEPS

_ORDER = {stage.value: number for number, stage in enumerate(Stage)}
FLAG = "red_flag:"  # before the code of a hard red flag


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that said no. `gap` is how far the value was from passing, as a share of the
    limit; None where the two are no numbers, or the limit is 0.
    """

    code: str
    value: object = None
    limit: object = None
    unit: str = ""
    gap: float | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """Where one trace left the road; `step` is the first step of the funnel it is missing in."""

    trace_id: str
    symbol: str
    strategy: str | None
    at: int
    step: str
    reason: str
    rules: tuple[Rule, ...]


def step_missed(stage: str) -> str | None:
    """The first step of the funnel that a trace ended at `stage` did not reach."""
    order = _ORDER[stage]
    return next((name for name, first in STEPS if _ORDER[first.value] > order), None)


def had_signal(stage: str) -> bool:
    """Whether a strategy had spoken: only then the body tells rules."""
    return _ORDER[stage] >= _ORDER[Stage.SCORE.value]


def drop_of(trace: StoredTrace, body: Mapping[str, Any]) -> Drop | None:
    """Why this trace ended; None for one that was executed. `body` may be empty for a trace
    without a signal.
    """
    step = step_missed(trace.stage)
    if step is None:
        return None
    rules = _rules(trace, body)
    return Drop(
        trace.id,
        trace.symbol,
        trace.strategy,
        trace.started_at,
        step,
        trace.result,
        rules or (Rule(trace.result),),
    )


def nearest_first(drops: Sequence[Drop]) -> list[Drop]:
    """Those that one number would have let pass come first, the smallest gap leading."""

    def rank(drop: Drop) -> tuple[int, float, str]:
        return len(drop.rules), max(_gap(rule) for rule in drop.rules), drop.trace_id

    measured = [drop for drop in drops if all(rule.gap is not None for rule in drop.rules)]
    return sorted(measured, key=rank)


def farthest(drop: Drop) -> Rule:
    """Of the rules against one signal the one that was farthest from passing."""
    return max(drop.rules, key=lambda rule: -1.0 if rule.gap is None else rule.gap)


def nearest_of_each(drops: Sequence[Drop]) -> list[Drop]:
    """The nearest miss of every rule, nearest rule first: one rule must not hide the others."""
    best: dict[str, Drop] = {}
    for drop in nearest_first(drops):
        best.setdefault(farthest(drop).code, drop)
    return list(best.values())


def as_number(value: object) -> float | None:
    """A float, an int or the text of a Decimal as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _rules(trace: StoredTrace, body: Mapping[str, Any]) -> tuple[Rule, ...]:
    match trace.stage:
        case Stage.SCORE if trace.result == Reason.NOT_WORTH_ASKING:
            worth = _table(body.get("worth"))
            return _rejections(trace, {"verdict": worth, "preview": worth.get("preview")})
        case Stage.SCORE:
            flags = body.get("flags")
            hard = [flag for flag in flags if flag.get("hard")] if isinstance(flags, list) else []
            return tuple(Rule(FLAG + str(flag["code"]), flag.get("detail")) for flag in hard)
        case Stage.APPROVE:
            return _rejections(trace, _table(body.get("approval")))
        case Stage.SIZE | Stage.CLEAR:
            if trace.result in (Reason.QUEUE_FULL, Reason.REPLACED, Reason.STOPPING):
                return ()  # the desk never looked: what stands in the body is older
            return _failed(_table(_table(body.get("desk")).get("verdict")).get("checks"))
        case _:
            return ()


def _rejections(trace: StoredTrace, approval: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The approval gate's, with what only follows from another rule left out.

    A signal that could not be sized has no reward to risk: the preview's own checks say why.
    The rules analyst says HOLD because of the tier (council.analyst), and the tier is the score
    in steps: the score against the least score of the tier is the number that was missing.
    """
    rules = _failed(_table(approval.get("verdict")).get("checks"))
    unsized = _failed(_table(approval.get("preview")).get("checks"))
    if unsized:
        rules = tuple(rule for rule in rules if rule.code != CheckCode.REWARD_TO_RISK) + unsized
    if any(rule.code == CheckCode.TIER for rule in rules):
        rules = tuple(rule for rule in rules if rule.code != CheckCode.DECISION)
        rules = tuple(_as_score(rule, trace.score) for rule in rules)
    return tuple({rule.code: rule for rule in rules}.values())


def _as_score(rule: Rule, score: float | None) -> Rule:
    limit = as_number(rule.limit)
    least = next((least for least, tier in TIERS if tier == limit), None)
    if rule.code != CheckCode.TIER or score is None or least is None:
        return rule
    return Rule(rule.code, round(score, 2), least, "score", _distance(score, least))


def _failed(checks: object) -> tuple[Rule, ...]:
    if not isinstance(checks, list):
        return ()
    return tuple(
        Rule(
            str(check["code"]),
            check.get("value"),
            check.get("limit"),
            str(check.get("unit") or ""),
            _distance(as_number(check.get("value")), as_number(check.get("limit"))),
        )
        for check in checks
        if isinstance(check, Mapping) and "code" in check and not check.get("ok")
    )


def _distance(value: float | None, limit: float | None) -> float | None:
    if value is None or not limit:
        return None
    return abs(value - limit) / abs(limit)


def _gap(rule: Rule) -> float:
    return rule.gap if rule.gap is not None else math.inf


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

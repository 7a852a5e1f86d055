"""Bottlenecks and recommendations: stated rules over the figures of a report, each with its bound.

Owns the rules and their words; measures nothing. The bounds are those of spec 40 ("Traces and
the trace report"); where it names none, the reason stands beside the number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.research.reports.latency import Latency
from bot.research.reports.tally import DECIDING, WITHOUT_MODELS

ALERT_EXECUTION, TARGET_EXECUTION = 1.0, 10.0  # percent of the signals that were asked
ALERT_P95_MS, TARGET_P95_MS = 5_000.0, 2_000.0
ALERT_ERRORS, TARGET_ERRORS = 10.0, 1.0  # percent of the traces
TARGET_APPROVAL = 50.0  # percent of the asked, repeated ones left out
NONE_APPROVED_OVER = 50  # signals
ONE_STRATEGY = 60.0  # percent of the signals
TARGET_BYTES = 4096.0  # a trace in the mean
LEAST_SIGNALS = 20  # fewer say nothing of a rate: of 20, 0 is up to 16 % with 95 % confidence
LEAST_TRACES = 100
ONE_RULE = 50.0  # percent of all rejections at a gate; half the loss has one cause


class Level(StrEnum):
    """alert: spec 40 names it; target: a goal is missed; note: worth knowing."""

    ALERT = "alert"
    TARGET = "target"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that applied: what was found, against which bound, what to do."""

    level: Level
    rule: str
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of a window. `asked` without repeated signals; `strategies`: (signals, executed)."""

    traces: int
    signals: int
    asked: int
    approved: int
    executed: int
    failed_traces: int
    errors: Sequence[tuple[str, int]]
    latency: Mapping[str, Latency]
    strategies: Mapping[str, tuple[int, int]]
    enabled: tuple[str, ...]
    rejections: Mapping[str, Sequence[Mapping[str, object]]]
    mean_bytes: float


def judge(sample: Sample) -> list[Finding]:
    """Apply every rule; alerts first."""
    found = [finding for rule in _RULES for finding in rule(sample)]
    order = list(Level)
    return sorted(found, key=lambda finding: order.index(finding.level))


def _too_little(sample: Sample) -> list[Finding]:
    if sample.traces >= LEAST_TRACES and sample.asked >= LEAST_SIGNALS:
        return []
    said = f"{sample.traces} traces and {sample.asked} signals that were asked"
    remedy = f"judge rates from {LEAST_SIGNALS} asked signals on: widen --since, or let it run"
    return [Finding(Level.NOTE, "sample", f"{said}: too little for some rules", remedy)]


def _execution(sample: Sample) -> list[Finding]:
    if sample.asked < LEAST_SIGNALS:
        return []
    share = 100 * sample.executed / sample.asked
    if share >= TARGET_EXECUTION:
        return []
    alert = share < ALERT_EXECUTION
    bound = ALERT_EXECUTION if alert else TARGET_EXECUTION
    return [
        Finding(
            Level.ALERT if alert else Level.TARGET,
            "execution_rate",
            f"{sample.executed} of {sample.asked} asked signals executed: {share:.1f} %, "
            f"under {bound:g} %",
            "see in the funnel which step loses most, then whynot for the nearest misses",
        )
    ]


def _approval(sample: Sample) -> list[Finding]:
    top = _top_rule(sample, "approved")
    if sample.approved == 0 and sample.asked >= NONE_APPROVED_OVER:
        found = f"0 of {sample.asked} signals approved; {top} rejected most"
        remedy = "the gate is shut: compare its limit with the values in whynot"
        return [Finding(Level.ALERT, "approval_zero", found, remedy)]
    if sample.asked < LEAST_SIGNALS:
        return []
    share = 100 * sample.approved / sample.asked
    if share >= TARGET_APPROVAL:
        return []
    found = f"{share:.1f} % approved, under {TARGET_APPROVAL:g} %; {top} rejected most"
    remedy = "look whether that rule's limit fits what the strategies give"
    return [Finding(Level.TARGET, "approval_rate", found, remedy)]


def _speed(sample: Sample) -> list[Finding]:
    deciding = sample.latency.get(WITHOUT_MODELS)
    if deciding is None or deciding.p95 <= TARGET_P95_MS:
        return []
    alert = deciding.p95 > ALERT_P95_MS
    bound = ALERT_P95_MS if alert else TARGET_P95_MS
    found = f"P95 of deciding traces without models {deciding.p95:.0f} ms, over {bound:.0f} ms"
    remedy = f"the slowest stage is {_slowest(sample)}"
    return [Finding(Level.ALERT if alert else Level.TARGET, "latency", found, remedy)]


def _bottleneck(sample: Sample) -> list[Finding]:
    deciding = sample.latency.get(DECIDING)
    if deciding is None or deciding.max == 0.0:
        return []
    stage = _slowest(sample)
    slow = sample.latency.get(stage)
    if slow is None:
        return []
    spent = slow.mean * slow.count
    share = 100 * spent / max(spent, deciding.mean * deciding.count)
    found = f"{stage} takes {share:.0f} % of all deciding time (P95 {slow.p95:.1f} ms)"
    return [Finding(Level.NOTE, "bottleneck", found, "the first place to look for speed")]


def _clock_stood(sample: Sample) -> list[Finding]:
    deciding = sample.latency.get(DECIDING)
    if deciding is None or deciding.p90 > 0.0:
        return []
    found = "most stages took exactly 0 ms: recorded with --speed max, where time stands still"
    return [Finding(Level.NOTE, "lockstep", found, "measure latency on a run with a clock")]


def _errors(sample: Sample) -> list[Finding]:
    if sample.traces < LEAST_TRACES:
        return []
    share = 100 * sample.failed_traces / sample.traces
    if share < TARGET_ERRORS or not sample.errors:
        return []
    alert = share > ALERT_ERRORS
    kind, count = sample.errors[0]
    bound = ALERT_ERRORS if alert else TARGET_ERRORS
    found = f"{share:.1f} % of traces failed, over {bound:g} %; most by {kind} ({count})"
    remedy = _ERROR_REMEDIES.get(kind, "read keel.log around the traces with this result")
    return [Finding(Level.ALERT if alert else Level.TARGET, "error_rate", found, remedy)]


def _one_strategy(sample: Sample) -> list[Finding]:
    if sample.signals < LEAST_SIGNALS or len(sample.enabled) == 1:
        return []
    return [
        Finding(
            Level.ALERT,
            "one_strategy",
            f"{name} gave {100 * signals / sample.signals:.0f} % of the signals, "
            f"over {ONE_STRATEGY:g} %",
            "the others rarely speak: check their regimes and parameters",
        )
        for name, (signals, _) in sorted(sample.strategies.items())
        if 100 * signals / sample.signals > ONE_STRATEGY
    ]


def _never_executed(sample: Sample) -> list[Finding]:
    return [
        Finding(
            Level.ALERT,
            "never_executes",
            f"{name} gave {signals} signals and none was executed",
            "whynot shows which rule stands against it; else take it out of STRATEGIES",
        )
        for name, (signals, executed) in sorted(sample.strategies.items())
        if signals >= LEAST_SIGNALS and executed == 0
    ]


def _never_spoke(sample: Sample) -> list[Finding]:
    silent = [name for name in sample.enabled if name not in sample.strategies]
    if not silent or sample.traces < LEAST_TRACES:
        return []
    remedy = "their regimes may not have come up; backtest them, or take them out of STRATEGIES"
    return [Finding(Level.NOTE, "never_spoke", f"no signal from {', '.join(silent)}", remedy)]


def _one_rule(sample: Sample) -> list[Finding]:
    found: list[Finding] = []
    for step, rules in sample.rejections.items():
        total = sum(int(str(rule["count"])) for rule in rules)
        if total < LEAST_SIGNALS or len(rules) < 2:
            continue
        top = rules[0]
        share = 100 * int(str(top["count"])) / total
        if share > ONE_RULE:
            said = f"{top['rule']} is {share:.0f} % of what kept signals from being {step}"
            remedy = f"it stood alone {top['alone']} times: those would have passed without it"
            found.append(Finding(Level.NOTE, "one_rule", said, remedy))
    return found


def _fat_traces(sample: Sample) -> list[Finding]:
    if sample.mean_bytes <= TARGET_BYTES:
        return []
    found = f"a trace takes {sample.mean_bytes:.0f} bytes in the mean, over {TARGET_BYTES:.0f}"
    remedy = "archive old traces; see which section of a body has grown"
    return [Finding(Level.TARGET, "trace_size", found, remedy)]


def _slowest(sample: Sample) -> str:
    """The stage that all traces together spent most time in."""
    stages = {name: t for name, t in sample.latency.items() if name not in _SUMS}
    return max(stages, key=lambda name: stages[name].mean * stages[name].count, default="none")


def _top_rule(sample: Sample, step: str) -> str:
    rules = sample.rejections.get(step)
    return str(rules[0]["rule"]) if rules else "no rule"


_SUMS = ("all", DECIDING, WITHOUT_MODELS)
_ERROR_REMEDIES = {
    "stale_data": "the feed was late or the start filled its history: see /health and keel.log",
    "no_bars": "candles could not be had: see venue and rate limit in keel.log",
    "not_durable": "the database could not be written: see python main.py check",
    "venue_rejected": "the venue's words stand in the order's reason: GET /traces/{id}",
    "unknown_outcome": "the venue did not answer: see the network and /health",
}
_RULES: tuple[Callable[[Sample], list[Finding]], ...] = (
    _execution,
    _approval,
    _speed,
    _errors,
    _one_strategy,
    _never_executed,
    _too_little,
    _clock_stood,
    _bottleneck,
    _one_rule,
    _never_spoke,
    _fat_traces,
)

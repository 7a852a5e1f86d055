"""bot.research.reports.advice: each rule applies at its bound and is silent before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.research.reports.advice import Level, Sample, judge
from bot.research.reports.latency import Latency

WELL = Sample(
    traces=1_000,
    signals=100,
    asked=100,
    approved=60,
    executed=40,
    failed_traces=0,
    errors=[],
    latency={},
    strategies={"a": (50, 20), "b": (50, 20)},
    enabled=("a", "b"),
    rejections={},
    mean_bytes=1_000.0,
)


def slow(p95: float) -> dict[str, Latency]:
    times = Latency(100, 1.0, 1.0, 1.0, 1.0, p95, p95, p95, 1.0)
    return {"without_models": times, "deciding": times, "observe": times}


def said(sample: Sample) -> dict[str, Level]:
    return {finding.rule: finding.level for finding in judge(sample)}


def test_nothing_is_said_of_a_good_window() -> None:
    """A rule that always speaks is not read."""
    assert said(WELL) == {}


@pytest.mark.parametrize(
    ("change", "rule", "level"),
    [
        ({"executed": 9}, "execution_rate", Level.TARGET),
        ({"executed": 0}, "execution_rate", Level.ALERT),
        ({"approved": 0, "executed": 0}, "approval_zero", Level.ALERT),
        ({"approved": 49}, "approval_rate", Level.TARGET),
        ({"latency": slow(2_001.0)}, "latency", Level.TARGET),
        ({"latency": slow(5_001.0)}, "latency", Level.ALERT),
        ({"failed_traces": 11, "errors": [("no_bars", 11)]}, "error_rate", Level.TARGET),
        ({"failed_traces": 101, "errors": [("no_bars", 101)]}, "error_rate", Level.ALERT),
        ({"strategies": {"a": (61, 20), "b": (39, 20)}}, "one_strategy", Level.ALERT),
        ({"strategies": {"a": (50, 40), "b": (50, 0)}}, "never_executes", Level.ALERT),
        ({"enabled": ("a", "b", "c")}, "never_spoke", Level.NOTE),
        ({"asked": 19}, "sample", Level.NOTE),
        ({"mean_bytes": 4_097.0}, "trace_size", Level.TARGET),
    ],
)
def test_a_rule_applies_beyond_its_bound(
    change: dict[str, object], rule: str, level: Level
) -> None:
    """Spec 40: execution under 1 %, P95 over 5 s, errors over 10 %, 0 of 50, 60 % of one."""
    assert said(replace(WELL, **change)).get(rule) is level  # type: ignore[arg-type]


def test_few_signals_are_no_rate() -> None:
    """One of ten executed is between 2 and 40 %: nothing to alert on."""
    assert set(said(replace(WELL, asked=10, approved=1, executed=0))) == {"sample"}


def test_alerts_come_first() -> None:
    """The reader may stop after the first line."""
    findings = judge(replace(WELL, executed=0, mean_bytes=9_999.0, enabled=("a", "b", "c")))
    levels = [finding.level for finding in findings]
    assert levels == sorted(levels, key=list(Level).index)
    assert all(finding.remedy for finding in findings)

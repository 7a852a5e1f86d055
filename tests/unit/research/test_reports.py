"""The trace report on worlds recorded by the real store."""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.store.place import place_of_file
from bot.adapters.store.report_rows import StoredTrace
from bot.adapters.store.trace_rows import trace_rows
from bot.app.probes import Outcome, database
from bot.app.reports import ReportView, moment, trace_report
from bot.domain.errors import ConfigError
from bot.domain.reasons import CheckCode, Reason, Stage
from bot.domain.types import Abstention, Ms, RedFlag, Refused, Tier
from bot.pipeline.desk import Desk
from bot.ports import TraceRecord
from bot.research.reports.drops import drop_of
from bot.research.reports.latency import measure
from bot.research.reports.tally import Tally, TradeTally
from bot.research.reports.trace_report import funnel_of
from bot.runtime.clock import ManualClock
from tests.postgres import PostgresServer, postgres
from tests.unit.pipeline.given import BTC, POLICIES, running
from tests.unit.pipeline.thinking import thinking
from tests.unit.research.recorded import AT, MINUTE, World, no, record, refused, rejected, trade

__all__ = ["postgres"]

Json = Any  # what a reader of the JSON sees


def stored(found: TraceRecord) -> StoredTrace:
    """The row of a record, as the reports read it."""
    row = trace_rows(found).row
    names = [name for name in StoredTrace.__slots__ if name != "packed"]
    return StoredTrace(**{name: row[name] for name in names}, packed=row["body"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Ten looks: one of each way to end."""
    tier = no(CheckCode.TIER, 4.0, 3.0, "tier")
    said = no(CheckCode.DECISION, "HOLD", "LONG")
    flags = [RedFlag("low_volume", True, "volume 0.1"), RedFlag("mid_range", False, "")]
    silent = {"answers": {"opinions": [], "abstentions": [Abstention("gpt", "timeout", "60 s")]}}
    spacing = no(CheckCode.ENTRY_SPACING, 58_000.0, 60_000.0, "ms")
    made = World(tmp_path)
    made.records = [
        record(1, "scan", "no_new_candle"),
        record(2, "observe", "stale_data"),
        record(3, "propose", "no_signal"),
        record(4, "score", "red_flag", body={"flags": flags}),
        record(5, "approve", "hold", body={**rejected(tier, said), **silent}, score=54.9),
        record(6, "approve", "rejected", body=rejected(no(CheckCode.CONFIDENCE, 0.7, 0.75))),
        record(7, "size", "expired", body=refused(no(CheckCode.SIGNAL_AGE, -1.0, 0.0, "s"))),
        record(8, "clear", "refused", body=refused(spacing), strategy="sma_trend.fast"),
        record(9, "protect", "executed", durations={"observe": 1.0, "propose": 2.0, "execute": 97}),
        record(10, "protect", "executed", symbol="ETH"),
    ]
    made.trades = [trade(9, "5"), trade(10, "-2", symbol="ETH")]
    return made.write()


def rows(report: Json, name: str, key: str) -> Json:
    return {row[key]: row for row in report[name]}


def test_the_head_counts_what_is_there(world: World) -> None:
    """Totals, rates of asked signals, symbols, size, and the window of it all."""
    head: Json = trace_report(world.settings, None, None)["head"]
    assert (head["traces"], head["traces_in_window"], head["symbols"]) == (10, 10, 2)
    assert (head["first_at"], head["last_at"]) == (AT + MINUTE, AT + 10 * MINUTE)
    assert (head["trades_executed"], head["execution_rate"]) == (2, 33.33)  # of 6 asked
    assert head["error_rate"] == 20.0  # one stale look, one with a silent seat
    assert head["closed"]["trades"] == 2
    assert head["database_bytes"] > 0


def test_latency_overall_and_by_stage(world: World) -> None:
    """Nearest rank, so each figure is one that was measured; waiting for models is apart."""
    latency: Json = trace_report(world.settings, None, None)["latency_ms"]
    assert latency["all"].count == 10
    assert latency["all"].max == 100.0
    assert latency["deciding"].count == 8
    assert latency["execute"].p50 == 97.0
    assert latency["observe"].mean == 1.0


def test_errors_by_kind(world: World) -> None:
    """A look without data and a seat that gave no vote are errors; a red flag is none."""
    errors = rows(trace_report(world.settings, None, None), "errors", "kind")
    assert {kind: row["count"] for kind, row in errors.items()} == {
        "stale_data": 1,
        "gpt: timeout": 1,
    }


def test_the_funnel_names_what_rejected_most(world: World) -> None:
    """Each drop with its rules; HOLD of the rules analyst is the tier's, not a rule of its own."""
    steps = rows(trace_report(world.settings, None, None), "funnel", "step")
    counts = [step["count"] for step in steps.values()]
    assert counts == [8, 7, 6, 4, 3, 2, 2, 1]
    named = {name: [row["rule"] for row in step["reasons"]] for name, step in steps.items()}
    assert named["asked"] == ["red_flag:low_volume"]
    assert sorted(named["approved"]) == ["confidence", "tier"]
    assert named["sized"] == ["signal_age"]
    assert named["passed_risk"] == ["entry_spacing"]
    assert named["won"] == ["closed by stop"]


def test_strategies_with_their_win_rate(world: World) -> None:
    """Of closed trades with the 95 % interval; one that never spoke stands there with zeros."""
    used = rows(trace_report(world.settings, None, None), "strategies", "name")
    assert used["scalper.standard"]["signals"] == 6
    assert used["scalper.standard"]["executed"] == 2
    assert used["scalper.standard"]["ci95"] == [9.5, 90.5]
    assert used["breakout.standard"]["signals"] == 0


def test_one_symbol_only(world: World) -> None:
    """--symbol leaves out the rest, trades too."""
    report: Json = trace_report(world.settings, None, "ETH")
    assert report["head"]["traces"] == 1
    assert report["head"]["closed"]["won"] == 0


def test_since_is_market_time_before_the_newest_record(world: World) -> None:
    """The world may be of 2021: a span counts from what was recorded last."""
    report: Json = trace_report(world.settings, "3m", None)
    assert report["head"]["traces"] == 4


def test_the_limit_keeps_the_newest_and_says_so(world: World) -> None:
    """Every figure is of the traces counted, trades too."""
    head: Json = trace_report(world.settings, None, None, 1)["head"]
    assert (head["traces"], head["traces_in_window"]) == (1, 10)
    assert head["closed"]["trades"] == 1


@pytest.mark.parametrize("text", ["", "3x", "yesterday", "-1h", "24 h", "2026-13-01"])
def test_a_window_that_is_none(text: str) -> None:
    """One line says what is allowed."""
    with pytest.raises(ConfigError, match="--since"):
        moment(text, Ms(AT))


def test_windows_that_are_understood() -> None:
    """Spans and ISO 8601; without a zone it is UTC."""
    assert moment("1.5h", Ms(AT)) == AT - 90 * MINUTE
    assert moment("2026-09-21T13:20", Ms(0)) == moment("2026-09-21T15:20+02:00", Ms(0))


ENDS = st.sampled_from(
    [
        (Stage.SCAN, Reason.NO_NEW_CANDLE),
        (Stage.OBSERVE, Reason.STALE_DATA),
        (Stage.PROPOSE, Reason.NO_SIGNAL),
        (Stage.SCORE, Reason.RED_FLAG),
        (Stage.DELIBERATE, Reason.NO_QUORUM),
        (Stage.APPROVE, Reason.REJECTED),
        (Stage.SIZE, Reason.QUEUE_FULL),
        (Stage.CLEAR, Reason.REFUSED),
        (Stage.EXECUTE, Reason.VENUE_REJECTED),
        (Stage.PROTECT, Reason.EXECUTED),
    ]
)


@given(st.lists(st.tuples(ENDS, st.lists(st.sampled_from(["3", "-1"]), max_size=2)), max_size=30))
def test_no_step_is_larger_than_the_one_before(looks: list[tuple[Any, list[str]]]) -> None:
    """Whatever ended where, and however often a trace was flat: the funnel only narrows."""
    tally, trades = Tally(), TradeTally()
    for number, ((stage, reason), nets) in enumerate(looks):
        tally.add(stored(record(number, stage.value, reason.value)))
        for net in nets:
            trades.add(trade(number, net))
    steps = funnel_of(tally, trades)
    counts = [len(looks), *(int(str(step["count"])) for step in steps)]
    assert counts == sorted(counts, reverse=True)
    assert [int(str(step["lost"])) for step in steps] == [
        before - count for before, count in pairwise(counts)
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_quantiles_are_measured_times_in_order(times: list[float]) -> None:
    """min <= P50 <= ... <= max, each one of the times."""
    found = measure(array("d", times))
    assert found is not None
    line = [found.min, found.p50, found.p75, found.p90, found.p95, found.p99, found.max]
    assert line == sorted(line)
    assert set(line) <= set(times)


def test_durations_are_read_without_the_whole_body() -> None:
    """The short way and the long way say the same, wherever the section stands in the body."""
    early = record(1, "propose", "no_signal", body={"proposal": {"considered": []}})
    late = record(2, "approve", "rejected", body={"answers": "x" * 5_000})
    for one in (early, late):
        assert dict(stored(one).durations()) == one.body["durations_ms"]


def test_a_signal_that_cannot_be_sized_says_why() -> None:
    """Reward to risk is 0 then: the checks of the preview are the reason, not that zero."""
    unsized = Refused((no(CheckCode.MIN_NOTIONAL, "9.2", "10", "USD"),))
    body = rejected(no(CheckCode.REWARD_TO_RISK, 0.0, 1.3, "R"), preview=unsized)
    found = record(1, "approve", "rejected", body=body)
    drop = drop_of(stored(found), stored(found).body())
    assert drop is not None
    (rule,) = drop.rules
    assert (rule.code, rule.value, rule.limit) == ("min_notional", "9.2", "10")
    assert rule.gap == pytest.approx(0.08)


async def test_the_roads_own_traces_are_understood() -> None:
    """The gate's words are read where the road really writes them."""
    strict = replace(POLICIES, approval=replace(POLICIES.approval, min_tier=Tier(1)))
    made = thinking(policies=strict)
    await made.road.cycle([BTC])
    (found,) = made.records
    drop = drop_of(stored(found), stored(found).body())
    assert drop is not None
    assert (drop.step, [rule.code for rule in drop.rules]) == ("approved", ["tier"])
    assert drop.rules[0].limit == 85.0


async def test_the_desks_own_traces_are_understood() -> None:
    """What the risk gate refused is read where the desk really writes it."""
    limits = replace(POLICIES.limits, max_spread_bps=1e-9)
    made = thinking(policies=replace(POLICIES, limits=limits))
    await made.road.cycle([BTC])
    for one in made.offers:
        Desk.offer(made.kit.desk, one)
    async with running(made.kit):
        await made.kit.play(3_000)
    found = made.records[-1]
    drop = drop_of(stored(found), stored(found).body())
    assert drop is not None
    assert drop.step == "passed_risk"
    assert "spread" in [rule.code for rule in drop.rules]


def test_a_server_says_the_same_as_a_file(
    world: World, postgres: PostgresServer, tmp_path: Path
) -> None:
    """PostgreSQL holds the same world; only its size is another."""
    there = replace(world, folder=tmp_path / "there", server_url=postgres.fresh("reports")).write()
    ours: Json = dict(trace_report(world.settings, "1h", None))
    theirs: Json = dict(trace_report(there.settings, "1h", None))
    for report in (ours, theirs):
        report["head"] = {**report["head"], "database_bytes": 0}
    assert theirs == ours
    lines = asyncio.run(database(there.settings, lambda: 0.0))
    assert [line.outcome for line in lines] == [Outcome.OK] * 3
    assert "c0rrect-h0rse" not in repr(lines)


def test_the_page_is_answered_beside_the_loop(world: World) -> None:
    """Asked twice within 30 s it is computed once; another window is another answer."""

    async def ask() -> None:
        view = ReportView(place_of_file(world.path), ManualClock(Ms(AT)))
        first = await view.traces_report(None)
        again = await view.traces_report(None)
        other = await view.traces_report(Ms(AT + 9 * MINUTE), "BTC")
        assert again is first
        assert first["head"] != other["head"]

    asyncio.run(ask())

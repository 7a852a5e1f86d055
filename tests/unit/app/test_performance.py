"""Win rates: fractions, with their intervals, over time and by who earned them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from bot.adapters.store import Earned
from bot.app.performance import WINDOW, course_of, figures_of, standings_of
from bot.domain.types import ANSWERED, Attempt, TraceId
from bot.web.exposition import expose
from tests.unit.app.given import parts
from tests.unit.app.test_view import view_of
from tests.unit.research.recorded import trade

FOUR_OF_SEVEN = [trade(n, net) for n, net in enumerate(("5", "-3", "2", "4", "-1", "7", "-2"))]


def test_rates_are_fractions_and_have_an_interval() -> None:
    """What ended at nothing is a trade, and decides nothing."""
    found = figures_of([*FOUR_OF_SEVEN, trade(8, "0")], 100)
    assert (found["total_trades"], found["trades_counted"]) == (100, 8)
    assert (found["win_rate"], found["win_rate_decided"]) == (0.5, 0.5714)
    assert found["ci95"] == [0.2505, 0.8418]
    assert found["average_pnl_usd"] == Decimal("1.5")
    thirds = figures_of([trade(n, net) for n, net in enumerate(("1", "0", "0"))], 3)
    assert thirds["average_pnl_usd"] == Decimal("0.33333333")
    assert figures_of([], 0)["win_rate"] is figures_of([], 0)["ci95"] is None


async def test_a_running_keel_exposes_rates_as_ratios_and_its_latency() -> None:
    """From the view's own figures to Prometheus: four of seven is 0.571, and never 57.1."""
    made, _, _, clock = parts()
    made.books.trades.extend(FOUR_OF_SEVEN)
    made.books.closed_trades = 7
    view = view_of(made)
    made.facts.tell("cycle_done", clock.now(), machine_s=0.25)
    made.traces.durations[TraceId("BTC-20260921T1320-1")] = 12.0
    made.models.purse.note(Attempt(TraceId("T"), "gpt", 1, ANSWERED, clock.wall(), latency_ms=80.0))
    body, _ = expose(view.metrics(), "text/plain")
    found = {s.name: s.value for family in parse(body.decode()) for s in family.samples}
    assert found["keel_win_rate_ratio"] == 0.5714
    assert found["keel_win_rate_decided_ratio"] == 0.5714
    assert (found["keel_ci95_low_ratio"], found["keel_ci95_high_ratio"]) == (0.2505, 0.8418)
    assert found["keel_latency_cycle_p95_seconds"] == 0.25
    assert found["keel_latency_decision_p50_seconds"] == 0.012
    assert found["keel_dependency_venue_questions_calls_total"] == 12
    assert found["keel_dependency_database_money_p95_seconds"] == 0.002
    assert found["keel_dependency_model_gpt_p50_seconds"] == 0.08
    assert found["keel_queue_money_rows"] == 0
    ratios = {name: value for name, value in found.items() if name.endswith("_ratio")}
    assert [name for name, value in ratios.items() if not 0 <= value <= 1] == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine")
async def test_promtool_finds_nothing_to_say_of_a_running_keels_metrics() -> None:
    """`promtool check metrics`, with a model, breakers, trades and calls among the figures."""
    made, _, _, clock = parts()
    made.books.trades.extend(FOUR_OF_SEVEN)
    view = view_of(made)
    made.facts.tell("cycle_done", clock.now(), machine_s=0.25)
    made.models.purse.note(Attempt(TraceId("T"), "gpt", 1, ANSWERED, clock.wall(), latency_ms=80.0))
    body, _ = expose(view.metrics(), "text/plain")
    command = ["promtool", "check", "metrics"]
    checked = await asyncio.to_thread(
        lambda: subprocess.run(command, input=body, capture_output=True, check=False)
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_the_course_is_that_of_the_last_trades() -> None:
    """A point a trade; the band narrows while the window fills, and the oldest leave it."""
    trades = [trade(n, "1") for n in range(WINDOW)] + [trade(n, "-1") for n in range(60, 70)]
    found = course_of(trades)
    points = found["points"]
    assert isinstance(points, list)
    assert len(points) == len(trades)
    assert points[0] == [int(trades[0].closed_at), 1.0, 0.2065, 1.0, 1]
    ms, rate, low, high, behind = points[-1]
    assert (ms, rate, behind) == (int(trades[-1].closed_at), 0.8, WINDOW)
    assert low < rate < high
    assert points[49][3] - points[49][2] < points[0][3] - points[0][2]
    assert course_of([])["points"] == []


def test_standings_are_ranked_by_what_was_earned() -> None:
    """Best first; equals by name."""
    rows = (Earned("b", 4, 3, 1.0), Earned("a", 4, 1, 1.0), Earned("c", 2, 2, 9.5))
    found = standings_of(rows)
    assert [row["name"] for row in found] == ["c", "a", "b"]
    assert found[2]["win_rate"] == 0.75
    assert found[2]["ci95"] == pytest.approx([0.3006, 0.9544], abs=1e-4)

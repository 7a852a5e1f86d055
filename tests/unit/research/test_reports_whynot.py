"""Why nothing was traded, on worlds recorded by the real store."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.store import EquityPoint
from bot.app.reports import why_not_traded
from bot.domain.reasons import CheckCode
from bot.domain.types import Ms
from tests.unit.research.recorded import AT, MINUTE, World, no, record, refused, rejected

HOUR = 60 * MINUTE
THIRD = str(Decimal(100) / 3)
BREAKER = {
    "code": "losses_in_row",
    "since": AT,
    "until": AT + 99 * HOUR,
    "value": "3",
    "threshold": "3",
}
BOOK = {
    "day": 20_717,
    "day_open_equity": "1000",
    "peak": "1000",
    "equity": "990",
    "losses_in_row": 3,
    "open": [BREAKER],
}


def answer(world: World, hours: float = 24) -> Any:
    return why_not_traded(world.write().settings, hours)


def tier(score: float, number: int) -> Any:
    checks = (no(CheckCode.TIER, 4.0, 3.0, "tier"), no(CheckCode.DECISION, "HOLD", "LONG"))
    return record(number, "approve", "hold", body=rejected(*checks), score=score)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.records = [
        record(0, "propose", "no_signal", body={"proposal": {"considered": ["sma_trend.fast"]}}),
        tier(40.0, 1),
        tier(54.9, 2),
        record(3, "clear", "refused", body=refused(no(CheckCode.MARGIN, "110", "100", "USD"))),
    ]
    return made


def test_the_first_sentence_names_the_main_cause(world: World) -> None:
    """Where most signals were lost, and by which rule."""
    said = answer(world)
    assert said["executed"] == 0
    assert said["verdict"] == (
        "nothing was traded in the last 24 h of market time: "
        "2 of 3 signals were not approved, most by tier (2)"
    )


def test_it_says_so_when_trades_did_happen(world: World) -> None:
    """The question was wrong then, and the answer says it first."""
    world.records.append(record(4, "protect", "executed"))
    assert answer(world)["verdict"].startswith("1 trade(s) were opened in the last 24 h")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"trading": {"state": "HALTED", "why": "by hand"}}, "HALTED (by hand)"),
        ({"breakers": BOOK}, "breaker losses_in_row is open"),
    ],
)
def test_what_stands_in_the_way_of_everything_comes_first(
    world: World, state: dict[str, object], word: str
) -> None:
    """A halt explains more than any gate."""
    world.state = state
    assert word in answer(world)["verdict"]


def test_a_breaker_whose_time_is_over_holds_nothing(world: World) -> None:
    """Judged at the newest market time on record, not by the clock on the wall."""
    over = {**BREAKER, "until": AT + MINUTE}
    world.state = {"breakers": {**BOOK, "open": [over]}}
    said = answer(world)
    assert said["trading"]["breakers"] == ()
    assert said["trading"]["losses_in_row"] == 3


def test_the_nearest_miss_of_each_rule(world: World) -> None:
    """The score against the least of its tier, nearest first; one rule does not hide another."""
    near = answer(world)["nearest_misses"]
    found = [(miss["code"], miss["trace_id"][-1]) for miss in near]
    assert found == [("tier", "2"), ("margin", "3")]
    assert (near[0]["value"], near[0]["limit"], near[0]["gap_percent"]) == (54.9, 55.0, 0.2)


def test_strategies_that_never_fired(world: World) -> None:
    """With how often the regime let them speak at all."""
    never = answer(world)["strategies"]["never_fired"]
    assert never == [
        {"name": "breakout.standard", "asked": 0},
        {"name": "sma_trend.fast", "asked": 1},
    ]


def test_confidence_against_its_threshold(world: World) -> None:
    """How many reached it, and how near the best came."""
    world.records = [
        record(n, "approve", "rejected", body=rejected(no(CheckCode.CONFIDENCE, value, 0.75)))
        for n, value in enumerate([0.5, 0.6, 0.74])
    ]
    found = answer(world)["confidence"]
    assert (found["threshold"], found["asked"], found["reached"]) == (0.75, 3, 0)
    assert (found["median"], found["best"]) == (0.6, 0.74)


def test_blocked_symbols_and_margin_of_the_last_look(world: World) -> None:
    """Without a daemon to ask: what the desk saw when it last looked, to the eighth decimal."""
    view = {"blocked": {"ETH": "foreign position"}, "capital": "100", "free_margin": THIRD}
    body = refused(no(CheckCode.MARGIN, "9", "4", "USD"), view=view)
    world.records.append(record(5, "clear", "refused", body=body))
    point = EquityPoint(Ms(AT), Decimal(99), Decimal(99), Decimal(0), Decimal(120))
    world.equity = [point]
    said = answer(world)
    assert said["trading"]["source"] == "database"
    assert said["trading"]["blocked"] == {"ETH": "foreign position"}
    assert said["capital"]["free_margin_at_last_look"] == "33.33333333"
    assert (said["capital"]["equity"], said["capital"]["peak"]) == (Decimal(99), Decimal(120))
    assert said["disk"]["traces_waiting_at_last_look"] == 7


def test_stale_data_is_named_with_its_words(tmp_path: Path) -> None:
    """Which symbols, and why."""
    made = World(tmp_path)
    body = {"stale": "mark not confirmed for 40 s"}
    made.records = [record(n, "observe", "stale_data", body=body, symbol="ETH") for n in range(3)]
    said = answer(made)
    assert "no bar could be decided on; stale_data (3)" in said["verdict"]
    assert said["data"]["stale"] == {"ETH": "mark not confirmed for 40 s"}
    assert said["data"]["looks_without_data"] == 3


def test_the_window_ends_at_the_newest_record(world: World) -> None:
    """A world of 2021 is asked about its own last hours."""
    world.records.append(record(9, "propose", "no_signal", at=AT + 30 * HOUR))
    said = answer(world)
    assert said["window"]["to_at"] == AT + 30 * HOUR
    assert said["window"]["traces"] == 1


def test_an_empty_world_asks_whether_a_daemon_ran(tmp_path: Path) -> None:
    """No trace at all is an answer too."""
    assert "was the daemon running?" in answer(World(tmp_path))["verdict"]


def test_what_was_not_worth_asking_is_told_by_its_money(tmp_path: Path) -> None:
    """The rule that stopped it, its figure and its limit; the council was never asked."""
    made = World(tmp_path)
    checks = [no(CheckCode.WORTH_ASKING, 0.2, 0.5, "USD")]
    made.records = [record(0, "score", "not_worth_asking", body={"worth": {"checks": checks}})]
    said = answer(made)
    (miss,) = said["nearest_misses"]
    assert (miss["code"], miss["value"], miss["limit"]) == ("worth_asking", 0.2, 0.5)
    assert {step["step"]: step["count"] for step in said["funnel"]}["asked"] == 0

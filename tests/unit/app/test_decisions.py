"""A decision as the page shows it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.app.decisions import digest, nearest_miss
from bot.domain import canonical
from bot.domain.reasons import Check, CheckCode
from bot.domain.types import (
    ANSWERED,
    Abstention,
    Action,
    Attempt,
    Cited,
    Decision,
    Direction,
    Ms,
    Opinion,
    Symbol,
    TraceId,
)
from bot.ports import TraceRecord


def row(code: CheckCode, ok: bool, value: object = None, limit: object = None) -> dict[str, Any]:
    """A check as a stored body has it."""
    return {"code": code.value, "ok": ok, "value": value, "limit": limit, "unit": "R", "note": ""}


def record(**body: object) -> TraceRecord:
    """A stored trace: its body in plain JSON."""
    plain = canonical.plain(body)
    assert isinstance(plain, dict)
    return TraceRecord(
        trace_id=TraceId("BTC-20260101T0000-1"),
        cycle=1,
        symbol=Symbol("BTC"),
        bar_close=Ms(1_000),
        started_at=Ms(2_000),
        duration_ms=1.5,
        stage="approve",
        result="rejected",
        regime="ranging",
        strategy="breakout.standard",
        side="LONG",
        score=47.1,
        tier=4,
        fingerprint="f",
        body=plain,
    )


def test_the_nearest_miss_is_the_failed_number_closest_to_its_limit() -> None:
    """Relative to the limit; what passed and what is no number does not count."""
    checks = [
        row(CheckCode.REWARD_TO_RISK, False, 1.2, 1.3),
        row(CheckCode.MIN_PROFIT, False, "0.10", "0.50"),
        row(CheckCode.SPREAD, True, 1.0, 1.0001),
        row(CheckCode.DECISION, False, "HOLD", "LONG"),
    ]
    found = nearest_miss(checks, 60.0)
    assert found is not None
    assert (found["code"], found["value"], found["limit"]) == ("reward_to_risk", 1.2, 1.3)
    assert found["also"] == ["min_profit", "decision"]


def test_a_number_that_failed_alone_would_have_let_it_pass() -> None:
    """Nothing else stands beside it."""
    found = nearest_miss([row(CheckCode.SPREAD, False, 9.0, 8.0)], None)
    assert found is not None and found["also"] == []


def test_a_missed_tier_is_told_as_the_score_that_reaches_it() -> None:
    """The score is the number that moves; tier 3 begins at 55."""
    found = nearest_miss([row(CheckCode.TIER, False, 4.0, 3.0)], 47.1)
    assert found is not None
    assert (found["code"], found["value"], found["limit"]) == ("score", 47.1, 55.0)


@pytest.mark.parametrize(
    "checks",
    [
        [],
        [row(CheckCode.SPREAD, True, 1.0, 2.0)],
        [row(CheckCode.TRADING_STATE, False, "HALTED", "ACTIVE")],
        [row(CheckCode.RULES_MAY_TRADE, False)],
        [row(CheckCode.POSITION_OPEN, False, True, False)],
        [row(CheckCode.TIER, False, 4.0, 9.0)],
    ],
)
def test_where_no_number_failed_there_is_no_nearest_miss(checks: list[dict[str, Any]]) -> None:
    """Passed, texts, truths and nothing at all."""
    assert nearest_miss(checks, 47.1) is None


def test_a_digest_gathers_the_gates_in_the_order_of_the_road() -> None:
    """Approval, the preview where it found no size, the risk gate; each with its verdict."""
    bad = Check(CheckCode.MIN_PROFIT, False, 0.1, 0.5, "USD")
    good = Check(CheckCode.QUORUM, True, 1.0)
    found = digest(
        record(
            proposal={"signal": {"why": "price broke out"}},
            score={"total": 47.1, "parts": [{"name": "volume", "value": 1.0, "weight": 15.0}]},
            flags=[{"code": "mid_range", "hard": False, "detail": "half way"}],
            decision={"action": "HOLD", "confidence": 0.4, "why": "no", "opinions": []},
            approval={"verdict": {"checks": [good]}, "preview": {"checks": [bad]}},
            desk={"verdict": {"checks": [good]}},
        )
    )
    gates = [(gate["gate"], gate["ok"], len(gate["checks"])) for gate in found["gates"]]
    assert gates == [("approval", True, 1), ("preview", False, 1), ("risk", True, 1)]
    assert found["nearest_miss"]["code"] == "min_profit"
    assert found["why"] == "price broke out"
    assert found["score"]["parts"][0]["name"] == "volume"
    assert found["council"]["action"] == "HOLD"
    assert found["council"]["abstentions"] == []


def test_a_road_that_ended_early_has_an_empty_rest() -> None:
    """No gate, no vote, no miss; nothing is invented. The preview of a sized wish has no checks."""
    found = digest(record(approval={"preview": {"quantity": "1"}}))
    assert (found["gates"], found["council"], found["nearest_miss"]) == ([], None, None)
    assert found["flags"] == found["score"]["parts"] == []


def test_a_councils_voices_are_told_with_what_they_rest_on_and_what_they_took() -> None:
    """Evidence, fabrication, kind of silence, model, time and cost; the raw text stays away."""
    tries = (
        Attempt(TraceId("t"), "gpt", 1, "timeout", 0, 900.0, reserved=Decimal("0.002")),
        Attempt(TraceId("t"), "gpt", 2, ANSWERED, 0, 100.0, cost=Decimal("0.001"), model="gpt-x"),
    )
    opinion = Opinion(
        "gpt",
        Action.LONG,
        0.8,
        False,
        "so",
        attempts=tries,
        evidence=(Cited("5m.rsi", Direction.BULLISH),),
        evidence_score=0.5,
        fabricated=("number 99",),
        text="{...}",
    )
    silent = Abstention("grok", "budget", "spent", ())
    said = Decision(Action.LONG, 0.8, True, (opinion,), (silent,), "why", stand_in=False)
    found = digest(record(decision=said, prompt={"version": "council-v1-abc", "facts": []}))
    council = found["council"]
    assert (council["prompt"], council["stand_in"]) == ("council-v1-abc", False)
    (one,), (other,) = council["opinions"], council["abstentions"]
    assert (one["model"], one["tries"], one["ms"]) == ("gpt-x", 2, 1000.0)
    assert (one["cost_usd"], one["reserved_usd"]) == ("0.001", "0.002")
    assert (one["evidence_score"], one["fabricated"]) == (0.5, ["number 99"])
    assert one["evidence"] == [{"key": "5m.rsi", "direction": "bullish"}]
    assert "text" not in one and "attempts" not in one
    assert (other["kind"], other["tries"], other["cost_usd"]) == ("budget", 0, "0")


def test_what_came_too_late_stands_beside_the_vote() -> None:
    """With what it cost in the end; the vote still says what was known when it was taken."""
    asked = Attempt(TraceId("t"), "gpt", 1, "asked", 0, reserved=Decimal("0.002"))
    given_up = replace(asked, kind="timeout", latency_ms=90_000.0)
    said = Decision(
        Action.HOLD, 0.0, False, (), (Abstention("gpt", "timeout", "", (asked,)),), "no votes"
    )
    late = ({"after_s": 90.0, "voice": Abstention("gpt", "timeout", "given up", (given_up,))},)
    council = digest(record(decision=said, late=late))["council"]
    ((silent,), (row,)) = council["abstentions"], council["late"]
    assert (silent["tries"], silent["cost_usd"], silent["reserved_usd"]) == (1, "0", "0.002")
    assert (row["after_s"], row["detail"], row["ms"]) == (90.0, "given up", 90_000.0)


def test_what_was_not_worth_asking_shows_its_two_figures() -> None:
    """The nearest miss is the money."""
    check = Check(CheckCode.WORTH_ASKING, False, 0.1, 0.4, "USD")
    found = digest(record(worth={"checks": [check]}))
    assert [gate["gate"] for gate in found["gates"]] == ["asking"]
    assert found["nearest_miss"]["code"] == "worth_asking"

"""The council on the road: who is asked, what silence is, what is kept, what comes too late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.domain.approval import ApprovalPolicy
from bot.domain.prompt import bytes_hash
from bot.domain.reasons import CheckCode, Reason, Stage
from bot.domain.types import AbstentionKind, Decision, Opinion, Tier, TradingState
from bot.pipeline.council import CouncilOptions
from bot.pipeline.policies import Policies
from bot.pipeline.road import RoadOptions
from bot.ports import Seat
from tests.council import FakeModel, answer, template
from tests.judgement import FixedRule
from tests.unit.pipeline.given import BTC, POLICIES
from tests.unit.pipeline.thinking import BARS, CLOSE, M5, Thinking, show, thinking
from tests.until import until

SHORT = CouncilOptions(deadline_s=0.05, late_s=5.0)
TIERLESS = ApprovalPolicy(0.5, Tier.TIER_4_NEUTRAL, 1.3, rules_may_trade=True)


def policies(*seats: Seat, **other: Any) -> Policies:
    return replace(
        POLICIES,
        seats=tuple(seat.name for seat in seats),
        prompt=template().version,
        approval=TIERLESS,
        sizing=replace(POLICIES.sizing, taker_fee_frac=0.0),
        **other,
    )


def council(
    *seats: FakeModel,
    options: CouncilOptions = SHORT,
    road: RoadOptions = RoadOptions(),  # noqa: B008 - frozen
    **other: Any,
) -> Thinking:
    """A road with these models in the council, and a rule whose target is worth it."""
    return thinking(
        rules=[FixedRule("scalper.standard", target_r=4.0)],
        seats=seats,
        policies=other.pop("policies", policies(*seats)),
        options=road,
        council=options,
        template=template(),
        **other,
    )


def three(**other: Any) -> tuple[FakeModel, FakeModel, FakeModel]:
    return FakeModel("a", **other), FakeModel("b", **other), FakeModel("c", **other)


def decision_of(made: Thinking) -> Decision:
    body = made.offers[0].trail.body if made.offers else made.records[-1].body
    found = body["decision"]
    assert isinstance(found, Decision)
    return found


def kinds(made: Thinking) -> list[tuple[str, str]]:
    return [(one.seat, one.kind) for one in decision_of(made).abstentions]


# --- asking --------------------------------------------------------------------------------------


async def test_all_models_are_asked_at_once_and_their_votes_make_the_offer() -> None:
    """Nobody is asked after another: all three stand before any has answered."""
    gate = asyncio.Event()
    seats = three(gate=gate)
    made = council(*seats, options=CouncilOptions())
    cycle = asyncio.ensure_future(made.road.cycle([BTC]))
    await until(lambda: all(seat.questions for seat in seats))
    assert made.offers == []
    gate.set()
    await cycle
    (offer,) = made.offers
    said = decision_of(made)
    assert [one.seat for one in said.opinions] == ["a", "b", "c"]
    assert (said.quorum_met, said.stand_in) == (True, False)
    assert offer.wish.leverage == 3.0


async def test_every_model_sees_the_same_bytes_and_neither_coin_nor_price_nor_time() -> None:
    """What cannot be read cannot be remembered or obeyed."""
    seats = three()
    made = council(*seats)
    await made.road.cycle([BTC])
    messages = {seat.questions[0].messages for seat in seats}
    assert len(messages) == 1
    (one,) = messages
    market = made.kit.feed.market(BTC)
    assert market is not None
    shown = one.system + one.user
    assert "BTC" not in shown
    assert str(CLOSE) not in shown and "2023" not in shown
    assert f"{market.mark:.1f}" not in shown
    assert one.version.startswith("council-v1-")
    assert made.offers[0].trail.body["prompt"] == {
        "version": one.version,
        "facts": seats[0].questions[0].brief.facts,
        "hash": bytes_hash(one),
        "seats": {"a": "model a", "b": "model b", "c": "model c"},
    }


async def test_a_trace_names_a_seat_as_it_was_asked() -> None:
    """The first question waits for the trial at the start, which may demote the model."""

    class Demoted(FakeModel):
        @property
        def identity(self) -> str:
            return "asked by tool" if self.questions else "asked by json_schema"

    made = council(Demoted("a"), FakeModel("b"))
    await made.road.cycle([BTC])
    shown = made.offers[0].trail.body["prompt"]
    assert isinstance(shown, dict)
    assert shown["seats"] == {"a": "asked by tool", "b": "model b"}


@pytest.mark.parametrize("kind", list(AbstentionKind))
async def test_every_failure_is_an_abstention_of_its_kind_and_two_votes_still_decide(
    kind: AbstentionKind,
) -> None:
    """One of three is silent: a quorum of two is there."""
    a, b, c = three()
    c.abstains = kind.value
    made = council(a, b, c)
    await made.road.cycle([BTC])
    assert len(made.offers) == 1
    assert kinds(made) == [("c", kind.value)]
    assert made.council.counts[f"abstained_{kind.value}"] == 1


async def test_below_the_quorum_nothing_is_traded() -> None:
    """One voice of three is no council, and no HOLD either."""
    a, b, c = three()
    b.abstains, c.abstains = "timeout", "refusal"
    made = council(a, b, c)
    await made.road.cycle([BTC])
    assert made.offers == []
    assert made.ended() == [(Stage.APPROVE, Reason.NO_QUORUM)]
    assert len(decision_of(made).opinions) == 1


async def test_a_seat_that_raises_abstains_and_ends_nothing_else() -> None:
    """A border: whatever an adapter does wrong is a kind of silence."""
    a, b, c = three()
    c.error = RuntimeError("a defect")
    made = council(a, b, c)
    await made.road.cycle([BTC])
    assert len(made.offers) == 1
    assert kinds(made) == [("c", "error")]


async def test_votes_that_differ_too_much_are_a_hold() -> None:
    """LONG by one of two thirds would pass; by one of two it does not."""
    a, b, c = three()
    b.text = answer(action="SHORT")
    c.text = answer(action="HOLD")
    made = council(a, b, c)
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.APPROVE, Reason.HOLD)]


async def test_a_council_cannot_turn_a_signal_around() -> None:
    """All say SHORT on a LONG: no trade, in neither direction."""
    made = council(*three(text=answer(action="SHORT")))
    await made.road.cycle([BTC])
    assert made.offers == []
    assert made.ended() == [(Stage.APPROVE, Reason.REJECTED)]


# --- the stand-in --------------------------------------------------------------------------------


@pytest.mark.parametrize("may", [True, False])
async def test_when_no_model_is_heard_the_rules_analyst_answers_and_is_marked(may: bool) -> None:
    """Whether that may trade is RULES_MAY_TRADE's to say."""
    seats = three(abstains="transport")
    given = policies(*seats)
    given = replace(given, approval=replace(given.approval, rules_may_trade=may))
    made = council(*seats, policies=given)
    await made.road.cycle([BTC])
    said = decision_of(made)
    assert said.stand_in
    assert [one.seat for one in said.opinions] == ["rules"]
    assert [one.kind for one in said.abstentions] == ["transport"] * 3
    assert "in place of the models" in said.why
    approval: Any = made.records[-1].body["approval"]  # its score is too low: a HOLD either way
    failed = [check.code for check in approval["verdict"].failed]
    assert (CheckCode.RULES_MAY_TRADE in failed) is not may


async def test_one_voice_is_enough_to_keep_the_rules_analyst_out() -> None:
    """It stands in for nobody heard, not for a missing quorum."""
    a, b, c = three()
    b.abstains = c.abstains = "transport"
    made = council(a, b, c)
    await made.road.cycle([BTC])
    assert not decision_of(made).stand_in
    assert [one.seat for one in decision_of(made).opinions] == ["a"]


# --- the deadline and what comes after -----------------------------------------------------------


async def test_a_hanging_model_is_a_timeout_and_the_others_decide_at_the_deadline() -> None:
    """The council ends; the hanging question lives on as a late one."""
    a, b, c = three()
    c.gate = asyncio.Event()
    made = council(a, b, c)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(made.offers) == 1)
        assert kinds(made) == [("c", "timeout")]
        assert made.council.state()["late_waiting"] == 1
        c.gate.set()
        await until(lambda: made.council.counts["late"] == 1)
    assert len(decision_of(made).opinions) == 2


async def test_a_late_answer_is_recorded_and_not_counted() -> None:
    """Its trace is closed already: the row is written again, the decision stays."""
    a, b, c = three()
    a.gate, b.gate = asyncio.Event(), asyncio.Event()
    made = council(a, b, c)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: bool(made.records))
        assert made.ended() == [(Stage.APPROVE, Reason.NO_QUORUM)]
        a.gate.set()
        b.gate.set()
        await until(lambda: made.council.counts["late"] == 2)
    assert made.offers == []
    assert made.ended()[-1] == (Stage.APPROVE, Reason.NO_QUORUM)
    late = made.records[-1].body["late"]
    assert isinstance(late, tuple)
    assert [row["voice"].seat for row in late] == ["a", "b"]
    assert all(isinstance(row["voice"], Opinion) for row in late)


async def test_an_answer_that_never_comes_is_given_up_after_its_time() -> None:
    """Nothing leaks: the question is cancelled."""
    a, b, c = three()
    c.gate = asyncio.Event()
    made = council(a, b, c, options=CouncilOptions(deadline_s=0.02, late_s=0.05))
    async with asyncio.timeout(3):
        await made.road.cycle([BTC])
    assert c.cancelled == 1
    assert (made.council.counts["late"], made.council.state()["late_waiting"]) == (0, 0)


async def test_only_so_many_late_answers_are_waited_for_and_the_oldest_makes_room() -> None:
    """A provider that hangs for an hour does not fill the memory with questions."""
    seats = tuple(FakeModel(f"m{n}", gate=asyncio.Event()) for n in range(5))
    options = CouncilOptions(deadline_s=0.02, late_s=30.0, late_at_once=3)
    made = council(*seats, options=options)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: sum(seat.cancelled for seat in seats) == 2)
        assert [seat.cancelled for seat in seats] == [1, 1, 0, 0, 0]
        assert made.council.state()["late_waiting"] == 3


async def test_models_own_time_stands_apart_from_the_stages() -> None:
    """What a provider takes is not our latency."""
    seats = three()
    made = council(*seats)
    await made.road.cycle([BTC])
    made.kit.trace_book.close(made.offers[0].trail)
    durations = made.records[-1].body["durations_ms"]
    assert isinstance(durations, dict)
    assert {"models", "deliberate"} <= set(durations)


# --- worth asking --------------------------------------------------------------------------------


async def test_what_cannot_pay_for_the_asking_is_not_asked() -> None:
    """The reason, and the two figures, are in the trace."""
    seats = three(cost=Decimal(1_000))
    made = council(*seats)
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.SCORE, Reason.NOT_WORTH_ASKING)]
    assert not any(seat.questions for seat in seats)
    worth = made.records[0].body["worth"]
    assert isinstance(worth, dict)
    (failed,) = [check for check in worth["checks"] if not check.ok]
    assert failed.code is CheckCode.WORTH_ASKING
    assert failed.limit >= 3_000


async def test_a_signal_that_no_answer_can_save_is_not_asked_about() -> None:
    """Its tier is under the profile's: the gate would refuse it whatever the models say."""
    seats = three()
    given = policies(*seats)
    given = replace(given, approval=replace(given.approval, min_tier=Tier.TIER_1_MUST_BUY))
    made = council(*seats, policies=given)
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.SCORE, Reason.NOT_WORTH_ASKING)]
    assert not any(seat.questions for seat in seats)


async def test_nobody_is_asked_while_no_entry_could_be_made() -> None:
    """Halted: the desk would refuse it, so nothing is paid."""
    seats = three()
    made = council(*seats)
    made.kit.books.safety.set_state(TradingState.REDUCE_ONLY, "a test")
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.SCORE, Reason.NOT_WORTH_ASKING)]
    assert not any(seat.questions for seat in seats)


@pytest.mark.parametrize(("able", "asked"), [(0, True), (1, False), (2, True), (3, True)])
async def test_nobody_is_paid_where_no_quorum_is_possible(able: int, asked: bool) -> None:
    """One of three cannot decide; with none the rules analyst stands in, as ever."""
    seats = three()
    for seat in seats[able:]:
        seat.able, seat.abstains = False, "breaker_open"
    made = council(*seats)
    await made.road.cycle([BTC])
    assert [bool(seat.questions) for seat in seats] == [asked] * 3
    if not asked:
        assert made.ended() == [(Stage.SCORE, Reason.NOT_WORTH_ASKING)]
        worth = made.records[0].body["worth"]
        assert isinstance(worth, dict) and worth["asked"]["able"] == able
        (failed,) = [check for check in worth["checks"] if not check.ok]
        assert (failed.code, failed.value, failed.limit) == (CheckCode.QUORUM, able, 2)


# --- lives ---------------------------------------------------------------------------------------


async def test_an_offer_of_the_council_lives_from_its_answer_on() -> None:
    """The bar has ended while the models thought: the desk judges by the price, not the bar."""
    gate = asyncio.Event()
    seats = three(gate=gate)
    made = council(*seats, options=CouncilOptions())
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: all(seat.questions for seat in seats))
        made.kit.clock.advance(M5.ms)
        show(made.kit, BTC, BARS + 1)
        gate.set()
        await until(lambda: bool(made.offers))
    (offer,) = made.offers
    assert offer.expires_at >= made.kit.clock.now() + M5.ms
    assert offer.decided_price == offer.snapshot.market.mark

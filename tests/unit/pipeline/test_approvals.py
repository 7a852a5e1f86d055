"""Offers that wait for a person: asked once, answered once, and never a side effect meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from bot.domain.answer import Answer, Denial, Denied, Said
from bot.domain.approval import ApprovalMode
from bot.domain.reasons import CheckCode, Reason, Stage
from bot.domain.types import Approved, Ms, Rejected, Side, Symbol, TradingState
from bot.pipeline.approvals import PLACES
from bot.pipeline.asking import ident_of
from bot.pipeline.desk import Desk
from bot.pipeline.policies import Policies
from bot.ports import Approver
from bot.runtime.clock import ManualClock
from tests.unit.pipeline.given import BTC, ETH, POLICIES, SOL, kit, running
from tests.unit.pipeline.thinking import BARS, CLOSE, EXPIRY_S, M5, Thinking, show, thinking


def asking(mode: ApprovalMode) -> Policies:
    return replace(POLICIES, approval=replace(POLICIES.approval, mode=mode))


MANUAL = asking(ApprovalMode.MANUAL)


PATIENT_S = 3_600.0


async def asked(
    *symbols: Symbol, policies: Policies = MANUAL, expiry_s: float = EXPIRY_S
) -> Thinking:
    """A road that has put one signal of each symbol before a person."""
    stepped = kit(clock=ManualClock(Ms(CLOSE + 3_000)), policies=policies)
    made = thinking(policies=policies, expiry_s=expiry_s, made=stepped)
    await made.road.cycle(symbols or (BTC,))
    return made


def the_id(made: Thinking) -> str:
    (card,) = made.approvals.waiting()
    return card.id


def denied(answer: Answer | Denied) -> Denial:
    assert isinstance(answer, Denied), answer
    assert answer.message
    return answer.code


def approval_of(made: Thinking) -> tuple[Answer, Approved | Rejected]:
    """What the newest trace says of the person's word, and the verdict with it."""
    section = cast(dict[str, object], made.records[-1].body["approval"])
    return cast(Answer, section["answer"]), cast(Approved | Rejected, section["verdict"])


# --- the wait ----------------------------------------------------------------------------


async def test_a_signal_that_passed_waits_without_any_effect() -> None:
    """Nothing is offered, reserved or sent; the trace says that nobody has answered."""
    made = await asked()
    assert made.offers == [] and made.kit.venue.sent == [] and made.kit.books.reservations == {}
    assert made.kit.desk.waiting == (0, 0)
    assert made.ended() == [(Stage.APPROVE, Reason.UNANSWERED)]
    answer, verdict = approval_of(made)
    assert (answer.said, answer.id) == (Said.UNANSWERED, the_id(made))
    assert isinstance(verdict, Rejected)
    assert [check.code for check in verdict.failed] == [CheckCode.APPROVER]


async def test_the_card_shows_what_is_at_stake() -> None:
    """Side, preview size, risk, stop, target, liquidation, score, voices, cost, what is left."""
    made = await asked()
    made.kit.clock.advance(20_000)
    (card,) = made.approvals.waiting()
    assert (card.symbol, card.side, card.strategy) == (BTC, Side.LONG, "scalper.standard")
    assert card.stop < card.price and card.target is not None and card.target > card.price
    assert card.risk_usd == (card.price - card.stop) * card.quantity
    assert card.notional == card.price * card.quantity
    assert card.liquidation_price is not None and card.liquidation_price < card.stop
    assert card.liquidation_frac == pytest.approx(
        float((card.price - card.liquidation_price) / card.price), abs=1e-4
    )
    assert [(voice.seat, voice.said) for voice in card.voices] == [("rules", "LONG")]
    assert card.fees_usd > 0 and card.council_usd == 0
    assert card.expires_in_s == EXPIRY_S - 20


async def test_auto_and_a_hybrid_tier_1_ask_nobody() -> None:
    """Auto hands on at once; hybrid asks for what is below tier 1."""
    for mode, offered in ((ApprovalMode.AUTO, 1), (ApprovalMode.HYBRID, 0)):
        made = await asked(policies=asking(mode))
        assert (len(made.offers), len(made.approvals.waiting())) == (offered, 1 - offered)


async def test_the_id_stands_for_exactly_what_was_shown() -> None:
    """Another size, vote or trace is another id."""
    made = await asked()
    (pending,) = made.approvals._pending.values()
    one, trace = pending.asking, pending.offer.trail.id
    assert ident_of(one, trace) == the_id(made)
    bigger = replace(one, preview=replace(one.preview, quantity=one.preview.quantity * 2))
    surer = replace(one, decision=replace(one.decision, confidence=0.99))
    other = (ident_of(bigger, trace), ident_of(surer, trace), ident_of(one, type(trace)("x-1")))
    assert len({the_id(made), *other}) == 4


# --- yes and no --------------------------------------------------------------------------


async def test_a_yes_hands_it_to_the_desk_once() -> None:
    """A second tap is told that the id is used; the offer goes once."""
    made = await asked()
    ident = the_id(made)
    answer = made.approvals.approve(ident, "ada")
    assert isinstance(answer, Answer) and (answer.said, answer.by) == (Said.APPROVED, "ada")
    assert answer.wall_ms is not None
    assert len(made.offers) == 1 and made.approvals.waiting() == ()
    assert denied(made.approvals.approve(ident, "ada")) is Denial.ALREADY_ANSWERED
    assert denied(made.approvals.reject(ident, "bob")) is Denial.ALREADY_ANSWERED
    assert len(made.offers) == 1


async def test_a_crash_between_a_yes_and_the_desk_does_not_deny_the_yes() -> None:
    """It is in the store before the offer is anywhere else, under the name of who said it."""
    made = await asked()
    at_the_desk: list[list[tuple[str, str]]] = []
    made.approvals._enter = lambda _: at_the_desk.append(made.ended())
    made.approvals.approve(the_id(made), "ada")
    ((*_, last),) = at_the_desk
    assert last == (Stage.APPROVE, Reason.APPROVED)
    answer, verdict = approval_of(made)
    assert (answer.said, answer.by) == (Said.APPROVED, "ada")
    assert isinstance(verdict, Approved)


async def test_a_yes_is_looked_at_again_by_the_desk_and_executed() -> None:
    """Bars later: the signal lives for its answer and data is judged by its newest bar."""
    made = await asked(expiry_s=PATIENT_S)
    made.kit.clock.advance(2 * M5.ms + 10_000)
    made.approvals.saw(BTC, Ms(made.kit.clock.now() - 10_000))
    made.approvals.approve(the_id(made), "ada")
    (one,) = made.offers
    assert one.expires_at > made.kit.clock.now()
    async with running(made.kit):
        Desk.offer(made.kit.desk, one)
        await made.kit.play(3_000)
    assert made.ended()[-1] == (Stage.PROTECT, Reason.EXECUTED)
    answer, verdict = approval_of(made)
    assert isinstance(verdict, Approved) and verdict.by == answer.by == "ada"


async def test_a_yes_does_not_overrule_the_gates() -> None:
    """HALTED meanwhile: the desk refuses with its own code."""
    made = await asked()
    made.kit.books.safety.set_state(TradingState.HALTED, "by hand")
    made.approvals.approve(the_id(made), "ada")
    async with running(made.kit):
        Desk.offer(made.kit.desk, made.offers[0])
        await made.kit.play(1_000)
    assert made.ended()[-1] == (Stage.CLEAR, Reason.REFUSED)
    assert made.kit.venue.sent == []


async def test_a_no_ends_it() -> None:
    """REJECTED, with the check that failed and who said so."""
    made = await asked()
    answer = made.approvals.reject(the_id(made), "ada")
    assert isinstance(answer, Answer) and answer.said is Said.REJECTED
    assert made.offers == [] and made.approvals.waiting() == ()
    assert made.ended()[-1] == (Stage.APPROVE, Reason.REJECTED)
    kept, verdict = approval_of(made)
    assert kept == answer and kept.by == "ada" and isinstance(verdict, Rejected)
    assert [check.code for check in verdict.failed] == [CheckCode.APPROVER]


# --- too late ----------------------------------------------------------------------------


async def test_nobody_in_time_is_a_no() -> None:
    """The service ends the wait at its limit of machine time, and no answer is taken after."""
    made = await asked()
    ident = the_id(made)
    service = asyncio.create_task(made.approvals.run())
    await made.kit.clock.run_for(int(EXPIRY_S * 1000) - 10)
    assert len(made.approvals.waiting()) == 1
    await made.kit.clock.run_for(20)
    service.cancel()
    assert made.approvals.waiting() == ()
    assert made.ended()[-1] == (Stage.APPROVE, Reason.REJECTED)
    assert approval_of(made)[0].said is Said.TIMEOUT
    assert denied(made.approvals.approve(ident, "ada")) is Denial.EXPIRED
    assert made.offers == []


async def test_a_late_yes_is_refused_before_the_service_has_looked() -> None:
    """The limit holds by itself."""
    made = await asked()
    ident = the_id(made)
    made.kit.clock.advance(int(EXPIRY_S * 1000))
    assert made.approvals.waiting() == ()
    assert denied(made.approvals.approve(ident, "ada")) is Denial.EXPIRED
    assert made.offers == []
    assert made.ended()[-1] == (Stage.APPROVE, Reason.REJECTED)


@pytest.mark.parametrize(("moved", "taken"), [(0.0049, True), (0.0051, False)])
async def test_a_price_that_ran_away_refuses_the_yes(moved: float, taken: bool) -> None:
    """More than half a stop distance (0.01 of the price here), in either direction."""
    for sign in (1, -1):
        made = await asked()
        shown = float(made.approvals.waiting()[0].price)
        ident = the_id(made)
        made.kit.price(BTC, shown * (1 + sign * moved))
        answer = made.approvals.approve(ident, "ada")
        assert isinstance(answer, Answer) is taken
        assert len(made.offers) == int(taken)
        if not taken:
            assert denied(answer) is Denial.PRICE_MOVED
            assert made.ended()[-1] == (Stage.APPROVE, Reason.PRICE_MOVED)
            made.kit.price(BTC, shown)  # it came back: the id is used all the same
            assert denied(made.approvals.approve(ident, "ada")) is Denial.PRICE_MOVED


async def test_a_newer_signal_of_the_symbol_takes_its_place() -> None:
    """The older id is refused by name; other symbols wait on."""
    made = await asked(BTC, ETH, expiry_s=PATIENT_S)
    old = {card.symbol: card.id for card in made.approvals.waiting()}
    show(made.kit, BTC, BARS + 1)
    made.kit.clock.advance(M5.ms)
    await made.road.cycle([BTC])
    new = {card.symbol: card.id for card in made.approvals.waiting()}
    assert new[ETH] == old[ETH] and new[BTC] != old[BTC]
    assert denied(made.approvals.approve(old[BTC], "ada")) is Denial.NEWER_SIGNAL
    assert (Stage.APPROVE, Reason.REPLACED) in made.ended()
    assert made.offers == []


async def test_a_newer_signal_that_needs_nobody_ends_the_wait_too() -> None:
    """Two entries of one symbol must never both be on their way."""
    made = await asked()
    ident = the_id(made)
    (pending,) = made.approvals._pending.values()
    made.approvals.offer(replace(pending.offer, asking=None))
    assert denied(made.approvals.approve(ident, "ada")) is Denial.NEWER_SIGNAL
    assert len(made.offers) == 1


async def test_an_id_that_was_never_asked_is_unknown() -> None:
    """A guess, or one from before a restart: the new process has forgotten it."""
    before, after = await asked(), thinking(policies=MANUAL)
    assert denied(after.approvals.approve(the_id(before), "ada")) is Denial.UNKNOWN
    assert denied(after.approvals.reject("0123456789abcdef", "ada")) is Denial.UNKNOWN
    assert before.ended() == [(Stage.APPROVE, Reason.UNANSWERED)]  # what its trace still says


async def test_the_places_are_bounded_and_the_lowest_score_goes() -> None:
    """More than a person can judge is dropped, counted with its reason."""
    made = await asked()
    (first,) = made.approvals._pending.values()
    for number in range(PLACES):
        trail = await made.kit.trace_book.open(1, Symbol(f"C{number}"), Ms(1_790_000_100_000))
        seen = replace(first.offer.snapshot, symbol=Symbol(f"C{number}"))
        made.approvals.offer(replace(first.offer, trail=trail, snapshot=seen, score=99.0))
    assert len(made.approvals.waiting()) == PLACES
    assert denied(made.approvals.approve(first.ident, "ada")) is Denial.CROWDED_OUT
    assert made.ended()[-1] == (Stage.APPROVE, Reason.QUEUE_FULL)


async def test_a_stop_ends_every_wait() -> None:
    """Nothing waits while Keel stops, and nothing new is asked."""
    made = await asked()
    ident = the_id(made)
    made.approvals.stop("stopping")
    assert denied(made.approvals.approve(ident, "ada")) is Denial.STOPPING
    assert made.ended()[-1] == (Stage.APPROVE, Reason.STOPPING)
    await made.road.cycle([SOL])
    assert made.approvals.waiting() == ()
    assert made.ended(SOL)[-1] == (Stage.APPROVE, Reason.STOPPING)


async def test_it_is_an_approver() -> None:
    """The port that every channel speaks."""
    made = thinking()
    approver: Approver = made.approvals
    assert approver.waiting() == ()

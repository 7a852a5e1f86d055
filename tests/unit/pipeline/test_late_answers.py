"""Questions that were open at the deadline: in the trace, on the card, in the books."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bot.domain.approval import ApprovalMode
from bot.domain.reasons import Reason, Stage
from bot.domain.types import ASKED, ZERO, Abstention, AbstentionKind, Opinion
from bot.pipeline.council import CouncilOptions
from tests.council import FakeModel, MemoryAnswers
from tests.unit.adapters.seats.given import ANSWERED, COST, Table
from tests.unit.pipeline.given import BTC
from tests.unit.pipeline.test_council import council, decision_of, policies
from tests.unit.pipeline.thinking import BARS, M5, Thinking, show
from tests.until import until

QUICK = CouncilOptions(deadline_s=0.05, late_s=5.0)
BRIEF = CouncilOptions(deadline_s=0.02, late_s=0.05)


def hanging() -> tuple[Table, asyncio.Event]:
    """A model whose request has left, and what lets its answer come."""
    gate = asyncio.Event()

    async def reply() -> str:
        await gate.wait()
        return ANSWERED

    return Table(reply), gate


def with_two(table: Table, **other: Any) -> Thinking:
    """Two that answer at once, and the hanging one."""
    return council(FakeModel("a"), FakeModel("b"), table.seat, **other)  # type: ignore[arg-type]


def late(made: Thinking) -> Mapping[str, Any]:
    rows = made.records[-1].body["late"]
    assert isinstance(rows, tuple)
    (row,) = rows
    assert isinstance(row, Mapping)
    return row


async def test_a_hanging_model_stands_at_its_reserve_in_trace_and_on_the_card() -> None:
    """Its request has left: it is no attempt too few and no cent too little."""
    table, gate = hanging()
    seats = (FakeModel("a"), FakeModel("b"), table.seat)
    given = policies(*seats)
    given = replace(given, approval=replace(given.approval, mode=ApprovalMode.MANUAL))
    made = with_two(table, options=QUICK, policies=given, spent=table.purse.of_decision)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(made.approvals.waiting()) == 1)
        (silent,) = decision_of(made).abstentions
        assert (silent.seat, silent.kind) == ("openai", AbstentionKind.TIMEOUT)
        (row,) = silent.attempts
        assert (row.kind, row.cost) == (ASKED, ZERO)
        (card,) = made.approvals.waiting()
        assert card.council_usd == row.reserved == table.purse.reserved > 0
        gate.set()
        await until(lambda: made.council.counts["late"] == 1)
        (card,) = made.approvals.waiting()
        assert card.council_usd == COST  # what it came to in the end
    voice = late(made)["voice"]
    assert isinstance(voice, Opinion)
    assert [attempt.cost for attempt in voice.attempts] == [COST]


async def test_a_question_that_is_given_up_says_so_in_its_trace() -> None:
    """After its time, with what stands for it in the books."""
    table, _ = hanging()
    made = with_two(table, options=BRIEF)
    async with asyncio.timeout(3):
        await made.road.cycle([BTC])
    assert made.council.counts["given_up"] == 1
    made.kit.trace_book.close(made.offers[0].trail)
    row = late(made)
    voice = row["voice"]
    assert isinstance(voice, Abstention)
    assert voice.detail.startswith("given up after ")
    (attempt,) = voice.attempts
    assert attempt.kind == AbstentionKind.TIMEOUT
    assert attempt.reserved == table.purse.reserved > Decimal(0)


async def test_what_makes_room_for_a_younger_question_says_so_too() -> None:
    """The oldest of too many: cancelled once, and written into its trace."""
    seats = tuple(FakeModel(f"m{n}", gate=asyncio.Event()) for n in range(3))
    made = council(*seats, options=CouncilOptions(deadline_s=0.02, late_s=30.0, late_at_once=2))
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: made.council.counts["given_up"] == 1)
        assert [seat.cancelled for seat in seats] == [1, 0, 0]
        assert late(made)["voice"].seat == "m0"


async def test_a_stop_writes_down_what_was_still_asked() -> None:
    """The process ends while a model hangs: the trace knows."""
    table, _ = hanging()
    made = with_two(table, options=QUICK)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(made.offers) == 1)
    made.kit.trace_book.close(made.offers[0].trail)
    assert late(made)["voice"].attempts[0].reserved == table.purse.reserved


async def test_an_answer_that_never_counted_is_not_kept() -> None:
    """It came after the deadline: a restart on the same bar asks again, it does not vote."""
    store, gate = MemoryAnswers(), asyncio.Event()
    a, b, c = FakeModel("a"), FakeModel("b"), FakeModel("c", gate=gate)
    made = council(a, b, c, options=QUICK, answers=store)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(made.offers) == 1)
        gate.set()
        await until(lambda: made.council.counts["late"] == 1)
    assert sorted(row.seat for row in store.rows.values()) == ["a", "b"]
    again = FakeModel("a"), FakeModel("b"), FakeModel("c")
    await council(*again, answers=store).road.cycle([BTC])
    assert [len(seat.questions) for seat in again] == [0, 0, 1]


async def test_answers_of_a_session_that_was_cut_short_are_not_kept() -> None:
    """A stop, or a newer signal: nobody counted them."""
    store, gate = MemoryAnswers(), asyncio.Event()
    made = council(FakeModel("a", gate=gate), options=CouncilOptions(), answers=store)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: made.road._sessions.waiting == (BTC,))
        made.kit.clock.advance(M5.ms)
        show(made.kit, BTC, BARS + 1)
        await made.road.cycle([BTC])
        gate.set()
        await until(lambda: made.council.counts["late"] == 1)
    assert len(store.rows) <= 1  # the younger question's, which counted


# --- data that grew too old ----------------------------------------------------------------------


async def slow_answers(ms: int, **other: Any) -> Thinking:
    """Three models that answer so much market time after the question."""
    gate = asyncio.Event()
    seats = tuple(FakeModel(name, gate=gate, **other) for name in "abc")
    options = CouncilOptions(past_close_ms=M5.ms)
    made = council(*seats, options=options)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: all(seat.questions for seat in seats))
        made.kit.clock.advance(ms)
        gate.set()
        await until(lambda: made.road._sessions.waiting == ())
    return made


TOO_OLD_MS = 2 * M5.ms - 3_000 + 1  # the bar closed 3 s before the question


async def test_an_answer_about_a_bar_that_is_too_old_is_stale() -> None:
    """The age at which data stops entries, reached while the models thought: no votes, no trade."""
    made = await slow_answers(TOO_OLD_MS)
    assert made.offers == []
    said = decision_of(made)
    assert [one.kind for one in said.abstentions] == [AbstentionKind.STALE] * 3
    assert all(one.text for one in said.abstentions)  # it was paid: what it said is in the trace
    assert not said.stand_in and said.opinions == ()
    assert made.ended()[-1] == (Stage.APPROVE, Reason.NO_QUORUM)


async def test_nobody_stands_in_on_a_bar_that_is_too_old() -> None:
    """No model was heard, and the rules analyst would judge the same old bar."""
    made = await slow_answers(TOO_OLD_MS, abstains="transport")
    assert not decision_of(made).stand_in


async def test_an_answer_just_before_that_age_counts() -> None:
    """The next bar may have closed meanwhile: the desk looks at the price."""
    made = await slow_answers(TOO_OLD_MS - 1)
    assert len(made.offers) == 1

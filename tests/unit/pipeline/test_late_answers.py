"""Questions that were open at the deadline: in the trace, on the card, in the books."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bot.domain.approval import ApprovalMode
from bot.domain.types import ASKED, ZERO, Abstention, AbstentionKind, Opinion
from bot.pipeline.council import CouncilOptions
from tests.council import FakeModel
from tests.unit.adapters.seats.given import ANSWERED, COST, Table
from tests.unit.pipeline.given import BTC
from tests.unit.pipeline.test_council import council, decision_of, policies
from tests.unit.pipeline.thinking import Thinking
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

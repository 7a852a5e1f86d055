"""One budget on a real database: never passed by many at once, never forgotten by a restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.adapters.seats.model import ModelSeat, Purse
from bot.adapters.store import Store
from bot.domain.types import ANSWERED, ASKED, ZERO, Abstention, Attempt, Opinion, TraceId
from bot.runtime.clock import ManualClock
from tests.unit.adapters.seats.given import (
    ANSWERED as GOOD,
)
from tests.unit.adapters.seats.given import COST, NOW, POLICY, FakeLine, limits, options, question

CALLS = 50


def purse(store: Store, *, decision: str = "10", day: str = "100") -> Purse:
    return Purse(store.attempts, ManualClock(NOW), limits(decision, day))


def reserve(number: int, trace: str | None = None) -> Attempt:
    ident = TraceId(trace or f"T-{number}")
    return Attempt(ident, "openai", number, ASKED, NOW, reserved=Decimal("0.10"))


async def test_fifty_at_once_never_pass_the_day_and_each_is_on_the_disk(store: Store) -> None:
    """Ten leave, and for each of them its reserve is a row before it may."""
    money = purse(store, day="1")
    on_disk: list[int] = []

    async def ask(number: int) -> str | None:
        attempt = reserve(number)
        why = await money.reserve(attempt)
        if why is None:
            on_disk.append(len(await store.attempts.of_trace(attempt.trace_id)))
        return why

    said = await asyncio.gather(*(ask(number) for number in range(CALLS)))
    assert sum(why is None for why in said) == 10
    assert on_disk == [1] * 10
    rows = await store.attempts.since(0)
    assert sum((row.reserved for row in rows), ZERO) == money.reserved == Decimal(1)


async def test_fifty_of_one_decision_never_pass_its_budget(store: Store) -> None:
    """All models together share it."""
    money = purse(store, decision="0.35")
    said = await asyncio.gather(*(money.reserve(reserve(n, "T-1")) for n in range(CALLS)))
    assert sum(why is None for why in said) == 3
    assert len(await store.attempts.of_trace(TraceId("T-1"))) == 3


async def test_a_restart_among_fifty_goes_on_from_what_stands(store: Store) -> None:
    """Killed with six settled and four on their way: the next process may spend the rest."""
    money = purse(store, day="1")
    calls = [reserve(number) for number in range(10)]
    await asyncio.gather(*(money.reserve(one) for one in calls))
    for one in calls[:6]:
        done = replace(one, kind=ANSWERED, cost=Decimal("0.050000000001"), reserved=ZERO)
        money.settle(one, done)
    await money.flush()
    again = purse(store, day="1")
    await again.open()
    assert (again.spent, again.reserved) == (Decimal("0.300000000006"), Decimal("0.40"))
    said = await asyncio.gather(*(again.reserve(reserve(n)) for n in range(100, 100 + CALLS)))
    assert sum(why is None for why in said) == 2


@pytest.mark.parametrize("left", [0, 7])
async def test_fifty_questions_of_a_seat_book_what_they_cost(store: Store, left: int) -> None:
    """The whole way: reserve, answer, settlement; the books and the purse agree to the digit."""
    clock, line = ManualClock(NOW), FakeLine(GOOD)
    one = ModelSeat(options(), line, purse(store), clock, POLICY).cost_of(question())
    budget = one * left if left else Decimal(100)
    money = Purse(store.attempts, clock, limits("100", str(budget)))
    seat = ModelSeat(options(requests_per_minute=6_000.0), line, money, clock, POLICY)
    asking = [asyncio.create_task(seat.ask(question(f"T-{n}"))) for n in range(CALLS)]
    while not all(task.done() for task in asking):
        await clock.run_for(100)
        await asyncio.sleep(0.001)  # the database is real
    said = [task.result() for task in asking]
    await money.flush()
    answers = sum(isinstance(voice, Opinion) for voice in said)
    assert all(voice.kind == "budget" for voice in said if isinstance(voice, Abstention))
    assert answers == CALLS if not left else left <= answers < CALLS
    rows = await store.attempts.since(0)
    booked = sum((row.cost for row in rows), ZERO)
    assert booked == money.spent == answers * COST
    assert booked + sum((row.reserved for row in rows), ZERO) <= budget

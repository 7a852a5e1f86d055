"""The budgets: never passed however many ask at once, never forgotten by a restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.adapters.seats.model import Purse
from bot.domain.types import ANSWERED, ASKED, ZERO, Attempt, Ms, TraceId
from bot.runtime.clock import ManualClock
from tests.unit.adapters.seats.given import NOW, MemoryAttempts, limits

DAY_MS = 86_400_000


def attempt(number: int = 1, reserved: str = "0.10", trace: str = "T-1", at: int = NOW) -> Attempt:
    return Attempt(TraceId(trace), "openai", number, ASKED, at, reserved=Decimal(reserved))


def answered(one: Attempt, cost: str) -> Attempt:
    return replace(one, kind=ANSWERED, cost=Decimal(cost), reserved=ZERO)


def purse(
    store: MemoryAttempts | None = None, decision: str = "10", day: str = "1"
) -> tuple[Purse, ManualClock]:
    clock = ManualClock(NOW)
    return Purse(store or MemoryAttempts(), clock, limits(decision, day)), clock


async def test_fifty_calls_at_once_never_pass_the_day() -> None:
    """1 USD a day, 0.10 each: ten leave, forty are refused, in whatever order they wait."""
    money, _ = purse()
    calls = [attempt(trace=f"T-{n}") for n in range(50)]
    said = await asyncio.gather(*(money.reserve(one) for one in calls))
    assert sum(why is None for why in said) == 10
    assert money.reserved == Decimal(1)


async def test_fifty_calls_of_one_decision_never_pass_its_budget() -> None:
    """All models together share it."""
    money, _ = purse(decision="0.35", day="100")
    said = await asyncio.gather(*(money.reserve(attempt(n)) for n in range(50)))
    assert sum(why is None for why in said) == 3
    assert money.of_decision(TraceId("T-1")) == Decimal("0.30")


async def test_settling_gives_back_what_was_not_spent() -> None:
    """Real usage takes the reserve's place: the next call fits again."""
    money, _ = purse(day="0.15")
    first = attempt()
    assert await money.reserve(first) is None
    assert await money.reserve(attempt(2)) is not None
    money.settle(first, answered(first, "0.02"))
    assert (money.spent, money.reserved) == (Decimal("0.02"), ZERO)
    assert await money.reserve(attempt(2)) is None


@pytest.mark.parametrize("settled", [True, False])
async def test_a_restart_keeps_what_was_spent_and_what_stands(settled: bool) -> None:
    """A killed process leaves its reserve behind: the next one starts with it."""
    store = MemoryAttempts()
    money, _ = purse(store)
    one = attempt(reserved="0.95")
    assert await money.reserve(one) is None
    if settled:
        money.settle(one, answered(one, "0.95"))
        await money.flush()
    again, _ = purse(store)
    await again.open()
    assert (again.spent + again.reserved) == Decimal("0.95")
    assert again.spent == (Decimal("0.95") if settled else ZERO)
    assert await again.reserve(attempt(trace="T-2")) is not None


async def test_a_new_day_has_a_new_budget() -> None:
    """00:00 UTC of the wall clock; what is settled after it belongs to its own day."""
    money, clock = purse(day="0.10")
    old = attempt()
    assert await money.reserve(old) is None
    clock.set(Ms(NOW - NOW % DAY_MS + DAY_MS))
    assert await money.reserve(attempt(trace="T-2", at=clock.wall())) is None
    money.settle(old, answered(old, "0.05"))
    assert money.spent == ZERO
    assert money.reserved == Decimal("0.10")


async def test_rows_that_wait_are_written_together() -> None:
    """One commit a burst: twenty symbols that ask at once cost no twenty waits for the disk."""
    store = MemoryAttempts()
    money, _ = purse(store, day="100")
    await asyncio.gather(*(money.reserve(attempt(trace=f"T-{n}")) for n in range(20)))
    assert len(store.rows) == 20
    assert store.writes <= 2


async def test_what_could_not_be_written_is_written_later() -> None:
    """A settled call whose row found no database waits for it."""
    store = MemoryAttempts()
    money, clock = purse(store)
    one = attempt()
    await money.reserve(one)
    store.away = True
    money.settle(one, answered(one, "0.02"))
    service = asyncio.create_task(money.run())
    await clock.run_for(1_000)
    assert money.backlog == 1
    store.away = False
    await clock.run_for(10_000)
    assert money.backlog == 0
    assert [row.kind for row in store.rows.values()] == [ANSWERED]
    service.cancel()


async def test_the_figures_tell_answers_from_silence() -> None:
    """What /status shows: money, answers, abstentions, by seat and kind."""
    money, _ = purse()
    one, two = attempt(), attempt(2)
    await money.reserve(one)
    money.settle(one, answered(one, "0.02"))
    await money.reserve(two)
    money.settle(two, replace(two, kind="timeout"))
    said = money.figures()
    assert (said["answers"], said["abstentions"]) == (1, 1)
    assert (said["cost_usd"], said["reserved_usd"]) == (Decimal("0.02"), Decimal("0.10"))
    assert said["left_usd"] == Decimal("0.88")

"""A start asks for every fill that no row tells of, also where none was ever written."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.types import Funding, Ms, OrderStatus
from bot.pipeline.desk import _reservation
from bot.pipeline.recover import restore
from tests.unit.pipeline.given import BTC, START, closing, entry, kit, plan, running
from tests.unit.pipeline.test_recover import LIFE_MS, start_again
from tests.unit.pipeline.test_time_stop import settable


async def test_the_first_fill_ever_is_asked_for_though_its_order_is_over() -> None:
    """Lost by the stream, then a crash, then hours: no row of a fill says from when to ask."""
    made = kit()
    async with running(made):
        made.venue.tells = False
        cleared = entry()
        intent = cleared.intent
        made.books.reserve(intent.cloid, _reservation(intent), made.clock.now())
        entering = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
        await made.play(500)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        order = made.books.orders[intent.cloid]
        over = replace(order, status=OrderStatus.CANCELLED, filled=order.quantity / 2)
        gone = [replace(o, status=OrderStatus.REJECTED) for o in made.books.open_orders()]
        made.books.follow_up((over, *(o for o in gone if o.cloid != over.cloid)))
        await made.play(500)
    made.clock.advance(36_000_000)
    again = await start_again(made)
    assert again.books.positions == {}
    async with running(again):
        await again.finish(again.reconcile.step())
        assert again.books.positions[BTC].signed == again.venue.positions[BTC][0]
    assert not again.books.safety.blocked


@pytest.mark.parametrize("off_ms", [0, 3_600_000, 3 * 86_400_000])
async def test_a_first_start_with_a_clock_that_is_ahead_loses_no_fill_once_it_is_right(
    off_ms: int,
) -> None:
    """Asked from a time that has not come, the venue would tell nothing of fill and funding."""
    made = kit()
    clock = settable(made)
    clock.by_ms, made.venue.skew_ms = off_ms, -off_ms
    recovered = await made.journal.recover()
    restore(made.books, recovered, clock.now(), clock.wall() + LIFE_MS)
    async with running(made):
        assert await made.finish(made.reconcile.step())
        clock.by_ms = made.venue.skew_ms = 0
        made.venue.tells = False
        entering = asyncio.ensure_future(made.enter())
        await made.play(2_000)
        paid = Funding(BTC, Decimal("-0.3"), Decimal("0.0001"), Decimal(1), made.clock.now())
        made.venue.fundings.append(paid)
        made.reconcile._funding_hour = None  # as after the hour
        assert await made.finish(made.reconcile.step())
        assert made.books.positions[BTC].signed == made.venue.positions[BTC][0]
        assert made.books.ledger.funding == Decimal("-0.3")
        entering.cancel()


async def test_no_fill_is_asked_for_that_a_start_no_longer_remembers() -> None:
    """At a high speed the minute of the machine holds more fills than a start reads back."""
    made = kit()
    async with running(made):
        await made.enter()
        await made.finish(closing(made, BTC))
    recovered = await made.journal.recover()
    opened, closed = recovered.fills
    found = [
        replace(each, fill_id=1_000 + 2 * number + which, at=Ms(START + 60_000 * number))
        for number in range(1, 251)
        for which, each in enumerate((opened, closed))
    ]
    late = replace(recovered, fills=tuple(found), last_fill_at=found[-1].at)
    again = kit(venue=made.venue, journal=made.journal, clock=made.clock)
    again.books.safety.speed = 1_000.0
    restore(again.books, late, again.clock.now(), again.clock.wall() + LIFE_MS)
    async with running(again):
        await again.finish(again.reconcile.step())
    assert (again.books.fills_from, again.books.positions) == (Ms(found[0].at + 1), {})
    assert again.books.ledger.fees == late.fees

"""A position of ours whose plan is lost: a stop for an emergency, and its guard."""

from __future__ import annotations

from decimal import Decimal

from bot.domain.protection import stop_reason
from bot.domain.types import ExitReason
from tests.fakes import Tables
from tests.unit.pipeline.given import BTC, Kit, kit, running, stops


async def orphan(made: Kit, price: float = 100.0) -> None:
    """Open a position, and lose plan, guard, stop and target of it."""
    made.price(BTC, price)
    await made.enter()
    made.books.plans.clear()
    made.books.guards.clear()
    for order in made.venue.resting(BTC):
        assert order.cloid is not None
        await made.venue.cancel(BTC, order.cloid)


async def test_a_position_of_ours_without_a_plan_gets_an_emergency_stop() -> None:
    """Its plan is lost: a stop 2 % away is better than none."""
    async with running(kit()) as made:
        await orphan(made)
        assert await made.finish(made.execution.protect(BTC))
        assert stops(made) == [Decimal("98")]


async def test_an_emergency_stop_is_guarded_at_the_price_at_which_it_rests() -> None:
    """On the venue's tick, as its row tells it too: its fill is then a STOP, not a TRAIL."""
    async with running(kit()) as made:
        await orphan(made, price=100.37)
        assert await made.finish(made.execution.protect(BTC))
        (rests,) = stops(made)
        assert rests != Decimal("100.37") * Decimal("0.98"), "2 % away lies between two ticks"
        guard = made.books.guards[BTC]
        assert (guard.stop, guard.initial_stop) == (float(rests), float(rests))
        assert stop_reason(guard) is ExitReason.STOP
        await made.play(100)
        row = Tables(made.journal.written).state[f"guard:{BTC}"]
        assert isinstance(row, dict) and row["stop"] == float(rests)

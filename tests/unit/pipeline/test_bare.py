"""A stop that somebody else took away is noticed at once, not at the next comparison."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.types import Leg, OrderStatus, OrderUpdate, TradingState
from bot.pipeline.reconcile import Cadence
from tests.unit.pipeline.given import BTC, Kit, kit, running, stops

FAR = Cadence(every_s=3_600.0)


def take_away(made: Kit, raw: str) -> None:
    """End the stop that rests, in the venue's own word, and tell it by the stream."""
    (stop,) = [order for order in made.venue.resting(BTC) if order.is_stop]
    gone = replace(stop, status=OrderStatus.CANCELLED, raw_status=raw, at=made.clock.now())
    made.venue.orders[stop.venue_id] = gone
    made.venue.tell(OrderUpdate(gone))


@pytest.mark.parametrize("raw", ["marginCanceled", "liquidatedCanceled", "canceled"])
async def test_a_stop_that_somebody_took_away_is_placed_again_within_two_seconds(raw: str) -> None:
    """The venue for margin, or a person at its page; and it is told."""
    made = kit(cadence=FAR)
    async with running(made, made.reconcile.run()):
        await made.enter()
        await made.play(5_000)
        take_away(made, raw)
        await made.play(2_000)
        assert len(stops(made)) == 1
        assert [fact.name for fact in made.told].count("stop_taken_away") == 1


@pytest.mark.parametrize("raw", ["siblingFilledCanceled", "reduceOnlyCanceled"])
async def test_a_stop_that_ends_with_its_position_is_no_news(raw: str) -> None:
    """Its frame may come before the fill that closed the position."""
    made = kit(cadence=FAR)
    async with running(made, made.reconcile.run()):
        await made.enter()
        await made.play(5_000)
        asked = made.venue.asked.count("account")
        take_away(made, raw)
        await made.play(2_000)
        assert made.venue.asked.count("account") == asked
        assert "stop_taken_away" not in [fact.name for fact in made.told]


async def test_an_old_stop_that_made_room_for_a_new_one_is_no_news() -> None:
    """It is cancelled by us, and another one rests."""
    made = kit(cadence=FAR)
    async with running(made, made.reconcile.run()):
        await made.enter()
        await made.play(5_000)
        made.desk.move_stop(BTC, 99.9)
        await made.play(5_000)
        assert len(stops(made)) == 1 and len(made.venue.cancelled) == 1
        assert "stop_taken_away" not in [fact.name for fact in made.told]


async def test_a_liquidation_in_part_leaves_only_the_way_out() -> None:
    """A fifth of a large position: told, durable, and nothing is opened; the rest stays ours."""
    made = kit(cadence=FAR)
    async with running(made, made.reconcile.run()):
        await made.enter()
        whole = made.books.positions[BTC].quantity
        part = (whole / 5).quantize(Decimal("0.001"))
        made.venue.trade(BTC, -part, liquidation=True)
        await made.play(1_000)
        assert made.books.positions[BTC].quantity == whole - part
        safety = made.books.safety
        assert (safety.state, safety.why) == (
            TradingState.REDUCE_ONLY,
            "BTC was liquidated in part: its stop did not come first",
        )
        assert "part_liquidated" in [fact.name for fact in made.told]
        assert made.venue.of_leg(Leg.EXIT) == [], "what is left is guarded, not closed"
    stored = (await made.journal.recover()).state["trading"]
    assert isinstance(stored, dict) and stored["state"] == "REDUCE_ONLY"

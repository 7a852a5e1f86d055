"""An order that the venue does not know: when that proves that it can no longer arrive."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.types import Cleared, Leg, OrderStatus
from bot.pipeline.reconcile import Cadence
from bot.pipeline.recover import restore
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryJournal
from tests.unit.pipeline.given import BTC, START, Kit, entry, kit, plan, running, stops

HOUR_MS = 3_600_000
OFTEN = Cadence(every_s=0.5)


async def unanswered(made: Kit) -> Cleared:
    """An entry of which nobody knows what became."""
    made.venue.fail("submit:entry", AmbiguousOutcome("no answer within 5 s"))
    cleared = entry()
    await made.finish(made.execution.enter(cleared, plan(cleared)))
    return cleared


def status(made: Kit, cleared: Cleared) -> OrderStatus:
    return made.books.orders[cleared.intent.cloid].status


async def test_a_clock_of_ours_that_is_ahead_proves_no_absence() -> None:
    """Signed an hour ahead, the order lives an hour at the venue: it may land at any time."""
    made = kit(cadence=OFTEN)
    made.venue.skew_ms = -HOUR_MS
    async with running(made, made.reconcile.run()):
        cleared = await unanswered(made)
        await made.play(60_000)
        assert status(made, cleared) is OrderStatus.UNKNOWN
        assert BTC in made.books.safety.blocked
        made.venue._execute(cleared.intent)  # now it lands
        await made.play(3_000)
        assert made.books.positions[BTC].quantity == cleared.intent.quantity
        assert stops(made) == [cleared.intent.stop]
        assert len(made.venue.of_leg(Leg.ENTRY)) == 1
        assert not made.books.safety.blocked


async def test_it_is_proved_by_the_venues_clock_in_the_end_without_asking_all_the_while() -> None:
    """At the usual pace for an hour, then EXPIRED."""
    made = kit()
    made.venue.skew_ms = -HOUR_MS
    async with running(made, made.reconcile.run()):
        cleared = await unanswered(made)
        await made.play(HOUR_MS + 10_000)
        assert status(made, cleared) is OrderStatus.UNKNOWN
        assert made.venue.asked.count("account") <= HOUR_MS / 30_000 + 5
        await made.play(10_000)
        assert status(made, cleared) is OrderStatus.EXPIRED
        assert not made.books.safety.blocked


async def test_a_venue_whose_clock_is_ahead_proves_nothing_before_13_s_of_machine_time() -> None:
    """One figure alone is not believed where a mistake doubles a position."""
    made = kit(cadence=OFTEN)
    made.venue.skew_ms = HOUR_MS
    async with running(made, made.reconcile.run()):
        signed_at = made.clock.now()
        cleared = await unanswered(made)
        await made.play(signed_at + 12_900 - made.clock.now())
        assert status(made, cleared) is OrderStatus.UNKNOWN
        await made.play(2_000)
        assert status(made, cleared) is OrderStatus.EXPIRED


@pytest.mark.parametrize(
    "error", [TransientError("502"), VenueRejected("HTTP 422"), AmbiguousOutcome("no answer")]
)
async def test_without_the_venues_time_nothing_is_proved(error: Exception) -> None:
    """It is asked in the same step; an older answer does not count."""
    made = kit(cadence=OFTEN)
    async with running(made, made.reconcile.run()):
        cleared = await unanswered(made)
        await made.play(5_000)
        made.venue.fail("clock_skew_ms", *([error] * 40))
        await made.play(18_000)
        assert status(made, cleared) is OrderStatus.UNKNOWN
        assert BTC in made.books.safety.blocked
        made.venue.errors.clear()
        await made.play(2_000)
        assert status(made, cleared) is OrderStatus.EXPIRED


async def test_a_restart_keeps_the_later_end_and_counts_machine_time_anew() -> None:
    """The clock was right again at the start: what was signed before lives on all the same."""
    made = kit()
    async with running(made):
        cleared = await unanswered(made)
    recovered = await made.journal.recover()
    late = recovered.open_orders[0].expires_at
    assert late is not None
    ahead = tuple(replace(o, expires_at=late + HOUR_MS) for o in recovered.open_orders)
    again = kit(venue=made.venue, journal=MemoryJournal(), clock=made.clock, cadence=OFTEN)
    now = again.clock.now()
    restore(again.books, replace(recovered, open_orders=ahead), now, again.clock.wall() + 8_000)
    async with running(again, again.reconcile.run()):
        await again.play(60_000)
        assert status(again, cleared) is OrderStatus.UNKNOWN
    third = kit(venue=made.venue, journal=MemoryJournal(), clock=made.clock, cadence=OFTEN)
    third.venue.skew_ms = HOUR_MS
    restore(third.books, recovered, third.clock.now(), third.clock.wall() + 8_000)
    async with running(third, third.reconcile.run()):
        await third.play(12_500)
        assert status(third, cleared) is OrderStatus.UNKNOWN
        await third.play(2_000)
        assert status(third, cleared) is OrderStatus.EXPIRED


class SetClock(ManualClock):
    """Its wall clock can be set, as a machine's can."""

    ahead_ms = 0

    def wall(self) -> int:
        return super().wall() + self.ahead_ms


async def test_a_clock_that_is_set_while_the_venue_is_asked_gives_no_time() -> None:
    """What was ours before and after the question is not one clock."""
    clock = SetClock(START)
    made = kit(clock=clock)
    made.venue.gates["clock_skew_ms"] = gate = asyncio.Event()
    task = asyncio.ensure_future(made.health.measure())
    await clock.run_for(100)
    clock.ahead_ms = HOUR_MS
    gate.set()
    await made.finish(task)
    assert made.health.venue_wall(0.0) is None
    await made.health.measure()
    assert made.health.venue_wall(0.0) == clock.wall()

"""Exits that the venue does not fill, stops that are moved meanwhile, positions that are gone."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.types import ExitReason, Leg, TradingState
from bot.pipeline.books import Books
from bot.pipeline.desk import _reservation
from tests.unit.pipeline.given import BTC, Kit, entry, kit, plan, running


async def test_an_exit_that_is_refused_waits_longer_each_time() -> None:
    """Care asks each second; the venue is asked after 1, 2, 4 s and so on."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", *[VenueRejected("post-only")] * 60)
        for _ in range(30):
            made.desk.close(BTC, ExitReason.TIME_STOP)
            await made.play(1_000)
        assert 9 <= len(made.venue.of_leg(Leg.EXIT)) <= 3 * 7


async def test_the_next_position_of_a_coin_does_not_wait_for_the_last_ones_exit() -> None:
    """Its stop ended the first one in the pause; the second one's exit goes at once."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", *[VenueRejected("post-only")] * 9)
        for _ in range(6):
            made.desk.close(BTC, ExitReason.TIME_STOP)
            await made.play(1_000)
        assert len(made.venue.of_leg(Leg.EXIT)) == 9, "the next try is 4 s after the third"
        made.venue.trigger(next(order for order in made.venue.resting(BTC) if order.is_stop))
        made.price(BTC, 100.0)
        await made.enter(entry(number=2))
        made.desk.close(BTC, ExitReason.TIME_STOP)
        await made.play(1_000)
        assert made.books.positions == {}
        assert len(made.venue.of_leg(Leg.EXIT)) == 10


async def test_an_exit_that_was_not_executed_keeps_its_bound_and_waits_a_second() -> None:
    """429 says nothing of the price: 2 % again after 1 s, and the ladder climbs only from there."""
    made = kit()
    async with running(made):
        await made.enter()
        limited = TransientError("rate limited (429), not executed")
        made.venue.fail("submit:exit", limited, limited)
        made.venue.exit_parts = [Decimal(0)]
        made.desk.close(BTC, ExitReason.TIME_STOP)
        await made.play(900)
        assert len(made.venue.of_leg(Leg.EXIT)) == 1
        await made.play(1_000)
        assert len(made.venue.of_leg(Leg.EXIT)) == 2
        await made.play(500)
        assert _bounds(made) == ["0.02", "0.02", "0.02", "0.05"]
        assert made.books.positions == {}


async def test_exits_that_are_never_executed_are_three_a_try_and_never_wider() -> None:
    """A venue out of reach: as many requests as the ladder has rungs, then the desk's back-off."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", *[TransientError("no connection, nothing sent")] * 3)
        assert not await made.finish(made.execution.leave(BTC, ExitReason.FLATTEN))
        assert _bounds(made) == ["0.02", "0.02", "0.02"]


async def test_a_stop_that_fills_between_two_tries_of_an_exit_ends_it() -> None:
    """What is flat is not left a second time."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", TransientError("rate limited (429), not executed"))
        made.desk.close(BTC, ExitReason.TIME_STOP)
        await made.play(500)
        stop = next(order for order in made.venue.resting(BTC) if order.is_stop)
        made.venue.trigger(stop)
        await made.play(2_000)
        assert made.books.positions == {}
        assert len(made.venue.of_leg(Leg.EXIT)) == 1


async def test_a_question_that_hangs_holds_up_no_next_try() -> None:
    """2 s for the answer to the exit, 2 s for the question, then the next attempt goes."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", AmbiguousOutcome("no answer within 5 s"))
        made.venue.gates["order_status"] = _gate()
        made.desk.close(BTC, ExitReason.STOP)
        await made.play(5_000)
        assert [intent.attempt for intent in made.venue.of_leg(Leg.EXIT)] == [0, 1]
        assert made.venue.positions == {}


async def test_a_person_does_not_wait_for_the_back_off() -> None:
    """Close by hand goes at once, whatever was refused a moment ago."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", *[VenueRejected("post-only")] * 9)
        for _ in range(3):
            made.desk.close(BTC, ExitReason.TIME_STOP)
            await made.play(4_000)
        made.desk.close(BTC, ExitReason.MANUAL)
        await made.play(500)
        assert made.books.positions == {}


async def test_a_stop_is_not_moved_while_its_exit_is_on_its_way() -> None:
    """The exit hangs: no new stop is placed beside it."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.gates["submit:exit"] = _gate()
        made.desk.move_stop(BTC, 99.5)  # queued before the exit, served after it
        made.desk.close(BTC, ExitReason.MANUAL)
        await made.play(1_000)
        made.desk.move_stop(BTC, 99.6)
        await made.play(1_000)
        assert made.venue.of_leg(Leg.STOP) == []


async def test_a_position_that_is_gone_is_neither_closed_nor_moved_nor_cared_for() -> None:
    """Each order for it could only be refused; a person must look."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter()
        made.venue.positions.clear()
        for _ in range(3):
            await made.finish(made.reconcile.step())
        assert made.books.gone == {BTC}
        assert made.books.safety.state is TradingState.HALTED
        sent = len(made.venue.sent)
        made.desk.close(BTC, ExitReason.MANUAL)
        made.desk.move_stop(BTC, 99.5)
        made.price(BTC, 50.0)
        await made.play(30_000)
        assert len(made.venue.sent) == sent
        assert made.reconcile.prover.naked == {}


async def test_a_refused_entry_is_no_entry_of_the_hour() -> None:
    """Nothing traded: neither the cap nor the spacing counts it, after a start neither."""
    made = kit()
    async with running(made):
        cleared = entry()
        books: Books = made.books
        books.reserve(cleared.intent.cloid, _reservation(cleared.intent), made.clock.now())
        assert len(books.entry_times) == 1
        made.venue.fail("submit", VenueRejected("Insufficient margin"))
        await made.finish(made.execution.enter(cleared, plan(cleared)))
        assert not books.entry_times and not books.reservations
        await made.finish(made.rows.drained())
        assert (await made.journal.recover()).state["entries"] == []


async def test_the_words_of_an_earlier_refusal_say_nothing_of_an_exit_without_an_answer() -> None:
    """A post-only window of days ago: the next rung goes at once, it does not wait in the book."""
    made = kit()
    async with running(made):
        await made.enter()
        made.execution.refusals[BTC] = "Only post-only orders allowed immediately after an upgrade"
        made.venue.fail("submit:exit", AmbiguousOutcome("no answer within 5 s"))
        assert await made.finish(made.execution.leave(BTC, ExitReason.STOP))
        assert _bounds(made) == ["0.02", "0.05"]


async def test_an_exit_that_is_tried_again_leaves_the_next_position_alone() -> None:
    """The stop ended its own while it paused after a 429; the coin was entered again meanwhile."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", TransientError("rate limited (429), not executed"))
        leaving = asyncio.ensure_future(made.execution.leave(BTC, ExitReason.TIME_STOP))
        await made.play(200)
        made.venue.trigger(next(order for order in made.venue.resting(BTC) if order.is_stop))
        made.price(BTC, 100.0)
        await made.play(100)
        second = await made.enter(entry(number=2))
        assert await made.finish(leaving)
        assert made.books.positions[BTC].trace_id == second.trace_id
        assert [trade.exit_reason for trade in made.books.trades] == [ExitReason.STOP]


async def test_a_stop_that_fails_with_its_position_does_not_close_the_next_one() -> None:
    """It was placed for a position that went meanwhile: the refusal is no verdict on the next."""
    made = kit()
    async with running(made):
        await made.enter()
        for order in made.venue.resting(BTC):
            assert order.cloid is not None
            await made.venue.cancel(BTC, order.cloid)
        made.venue.gates["submit:stop"] = gate = _gate()
        made.venue.fail("submit:stop", VenueRejected("Reduce only order would increase position."))
        defending = asyncio.ensure_future(made.execution.defend(BTC))
        await made.play(200)
        assert await made.finish(made.execution.leave(BTC, ExitReason.TIME_STOP))
        second = await made.enter(entry(number=2))
        gate.set()
        await made.finish(defending)
        assert made.books.positions[BTC].trace_id == second.trace_id


async def test_a_stop_that_is_moved_for_a_gone_position_guards_no_later_one() -> None:
    """The guard says where the stop of its own position rests, and care goes by that."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.gates["submit:stop"] = gate = _gate()
        moving = asyncio.ensure_future(made.execution.move_stop(BTC, 99.9))
        await made.play(200)
        assert await made.finish(made.execution.leave(BTC, ExitReason.TIME_STOP))
        second = await made.enter(entry(number=2))
        gate.set()
        await made.finish(moving)
        assert second.stop is not None
        assert made.books.guards[BTC].stop == float(second.stop)


def _bounds(made: Kit) -> list[str]:
    sent = made.venue.of_leg(Leg.EXIT)
    return [str(round(1 - intent.limit / intent.reference, 2)) for intent in sent]


def _gate() -> asyncio.Event:

    return asyncio.Event()

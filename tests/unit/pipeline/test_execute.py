"""How orders reach the venue, and what becomes of them when it does not answer as it should."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.portfolio import Reservation
from bot.domain.reasons import Reason
from bot.domain.types import Cleared, ExitReason, Leg, Ms, OrderStatus, Side
from tests.unit.pipeline.given import BTC, Kit, entry, kit, legs, plan, running, stops
from tests.until import until

NO_ANSWER = AmbiguousOutcome("no answer within 5 s")
REFUSED = VenueRejected("Insufficient margin to place order. asset=0")
AWAY = TransientError("connection refused")


def reserve(made: Kit, cleared: Cleared) -> None:
    """What the desk does before it hands an entry over."""
    intent = cleared.intent
    made.books.reserve(
        intent.cloid, Reservation(BTC, Side.LONG, intent.notional, Decimal(1)), Ms(1)
    )


async def test_an_entry_is_durable_with_stop_and_target_before_anything_is_sent() -> None:
    """The intent with its client ids is in the journal when the venue first hears of it."""
    async with running(kit()) as made:
        made.venue.gates["set_leverage"] = asyncio.Event()
        cleared = entry()
        task = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
        await made.clock.run_for(100)
        rows = [order.leg for changes in made.journal.written for order in changes.orders]
        assert rows == [Leg.ENTRY, Leg.STOP, Leg.TARGET]
        assert made.venue.sent == []
        made.venue.gates["set_leverage"].set()
        assert await made.finish(task) is Reason.EXECUTED


async def test_nothing_is_sent_when_the_intent_cannot_be_written() -> None:
    """NOT_DURABLE: no leverage, no order, and the exposure is given back."""
    async with running(kit()) as made:
        made.journal.away = True
        cleared = entry()
        reserve(made, cleared)
        reason = await made.finish(made.execution.enter(cleared, plan(cleared)))
        assert reason is Reason.NOT_DURABLE
        assert (made.venue.sent, made.venue.asked) == ([], [])
        assert (made.books.reservations, made.books.orders) == ({}, {})


@pytest.mark.parametrize("error", [REFUSED, AWAY, NO_ANSWER], ids=["refused", "away", "unknown"])
async def test_an_entry_without_its_leverage_is_not_sent(error: Exception) -> None:
    """Whatever became of the leverage, the order never left: rejected, nothing reserved."""
    async with running(kit()) as made:
        made.venue.fail("set_leverage", error)
        cleared = entry()
        reserve(made, cleared)
        reason = await made.finish(made.execution.enter(cleared, plan(cleared)))
        assert reason is Reason.VENUE_REJECTED
        assert made.venue.sent == []
        assert {o.status for o in made.books.orders.values()} == {OrderStatus.REJECTED}
        assert (made.books.reservations, made.books.plans) == ({}, {})


@pytest.mark.parametrize("error", [REFUSED, AWAY], ids=["refused", "away"])
async def test_a_refused_entry_ends_rejected(error: Exception) -> None:
    """VenueRejected and TransientError both prove that no order exists."""
    async with running(kit()) as made:
        made.venue.fail("submit", error)
        cleared = entry()
        reserve(made, cleared)
        reason = await made.finish(made.execution.enter(cleared, plan(cleared)))
        assert reason is Reason.VENUE_REJECTED
        assert made.books.open_orders() == ()
        assert made.books.reservations == {}
        assert not made.books.safety.blocked


async def test_an_entry_that_finds_nobody_is_no_fill() -> None:
    """An immediate-or-cancel entry without a match leaves no order, no plan, no exposure."""
    async with running(kit()) as made:
        made.venue.entry_part = Decimal(0)
        cleared = entry()
        reserve(made, cleared)
        reason = await made.finish(made.execution.enter(cleared, plan(cleared)))
        assert reason is Reason.NO_FILL
        assert made.books.open_orders() == ()
        assert (made.books.reservations, made.books.plans) == ({}, {})


async def test_an_unknown_entry_is_never_resent_and_keeps_symbol_and_exposure() -> None:
    """No answer: UNKNOWN, symbol blocked, reservation kept, asked for at once, sent once."""
    async with running(kit()) as made:
        made.venue.fail("submit", NO_ANSWER)
        cleared = entry()
        reserve(made, cleared)
        reason = await made.finish(made.execution.enter(cleared, plan(cleared)))
        await made.play(20_000)
        assert reason is Reason.UNKNOWN_OUTCOME
        assert legs(made) == [Leg.ENTRY]
        assert made.books.orders[cleared.intent.cloid].status is OrderStatus.UNKNOWN
        assert BTC in made.books.safety.blocked
        assert cleared.intent.cloid in made.books.reservations
        assert made.execution.doubt.is_set()


@pytest.mark.parametrize("answer_after", [0, 5], ids=["with the answer", "before the answer"])
async def test_a_whole_fill_is_seen_whenever_it_comes(answer_after: int) -> None:
    """The fill and the answer come in either order; the stop rests, nothing more is sent."""
    async with running(kit()) as made:
        made.venue.answer_after = answer_after
        intent = await made.enter()
        assert made.books.positions[BTC].quantity == intent.quantity
        assert stops(made) == [intent.stop]
        assert legs(made) == [Leg.ENTRY]


async def test_a_fill_that_the_stream_tells_late_is_waited_for() -> None:
    """Within 2 s the stream brings it; nobody is asked."""
    async with running(kit()) as made:
        made.venue.tells = False
        cleared = entry()
        task = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
        await made.play(1_500)
        assert not task.done() and BTC not in made.books.positions
        made.venue.let_go()
        assert await made.finish(task) is Reason.EXECUTED
        assert "fills_since" not in made.venue.asked
        assert legs(made) == [Leg.ENTRY]


async def test_a_trade_that_is_stopped_out_at_once_is_no_alarm() -> None:
    """The fills of entry and stop come in one go: nothing is held, and nothing is sent for it."""
    async with running(kit()) as made:
        made.venue.tells = False
        cleared = entry()
        task = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
        await made.play(500)
        (stop,) = [order for order in made.venue.resting(BTC) if order.is_stop]
        made.venue.trigger(stop)
        made.venue.let_go()
        before = made.clock.now()
        assert await made.finish(task) is Reason.EXECUTED
        assert made.clock.now() - before < 500
        assert legs(made) == [Leg.ENTRY]
        assert [trade.exit_reason for trade in made.books.trades] == [ExitReason.STOP]


async def test_a_fill_that_the_stream_never_tells_is_asked_for_after_2_s() -> None:
    """A silent stream: the fill is fetched, and the unseen stop is placed again."""
    async with running(kit()) as made:
        made.venue.tells = False
        intent = await made.enter()
        assert "fills_since" in made.venue.asked
        assert made.books.positions[BTC].quantity == intent.quantity
        assert legs(made)[:2] == [Leg.ENTRY, Leg.STOP]


async def test_a_part_filled_entry_gets_stop_and_target_of_its_own_at_once() -> None:
    """Its children never come (hyperliquid.md 0.11): position stop and target, without a wait."""
    async with running(kit()) as made:
        made.venue.entry_part = Decimal("0.6")
        before = made.clock.now()
        await made.enter()
        assert made.clock.now() - before < 500
        assert legs(made) == [Leg.ENTRY, Leg.STOP, Leg.TARGET]
        assert made.venue.sent[1].quantity == made.books.positions[BTC].quantity
        assert len(stops(made)) == 1


async def test_a_stop_not_seen_resting_within_2_s_is_placed_again() -> None:
    """The venue took the children and shows none: a position stop goes out after 2 s."""
    async with running(kit()) as made:
        made.venue.children_rest = False
        before = made.clock.now()
        intent = await made.enter()
        assert 2_000 <= made.clock.now() - before < 2_500
        assert legs(made)[:2] == [Leg.ENTRY, Leg.STOP]
        assert stops(made) == [intent.stop]
        assert made.venue.sent[1].cloid != intent.stop_cloid


async def test_a_position_whose_stop_cannot_be_placed_is_closed() -> None:
    """Position stop refused: the position goes, with the reason UNPROTECTED."""
    async with running(kit()) as made:
        made.venue.children_rest = False
        made.venue.fail("submit:stop", REFUSED)
        await made.enter()
        assert legs(made) == [Leg.ENTRY, Leg.STOP, Leg.EXIT]
        assert made.books.positions == {}
        assert made.books.trades[-1].exit_reason is ExitReason.UNPROTECTED


async def test_a_position_whose_stop_is_never_seen_is_closed() -> None:
    """Answered but not resting, and not known when asked: as good as no stop."""
    async with running(kit()) as made:
        made.venue.children_rest = made.venue.stops_rest = False
        await made.enter()
        assert legs(made) == [Leg.ENTRY, Leg.STOP, Leg.EXIT]
        assert made.venue.positions == {}


async def test_an_unknown_stop_that_rests_after_all_counts() -> None:
    """A stop without an answer is asked for after 2 s; found resting, nothing is sent again."""
    async with running(kit()) as made:
        made.venue.children_rest = False
        made.venue.lands = True
        made.venue.fail("submit:stop", NO_ANSWER)
        intent = await made.enter()
        assert legs(made)[:2] == [Leg.ENTRY, Leg.STOP]
        assert legs(made).count(Leg.STOP) == 1
        assert stops(made) == [intent.stop]


# --- exits -----------------------------------------------------------------------------


async def test_an_exit_goes_out_at_2_percent_and_is_flat() -> None:
    """One order, 2 % below the bid for a long, under attempt 0."""
    async with running(kit()) as made:
        await made.enter()
        assert await made.finish(made.execution.leave(BTC, ExitReason.MANUAL))
        (intent,) = made.venue.of_leg(Leg.EXIT)
        assert intent.limit == Decimal("97.99")  # bid 99.99, less 2 %, on the tick
        assert made.books.trades[-1].exit_reason is ExitReason.MANUAL


async def test_an_exit_that_finds_nobody_widens_to_5_and_10_percent() -> None:
    """The ladder: 2, 5, 10 %, each under its own attempt."""
    async with running(kit()) as made:
        await made.enter()
        made.venue.exit_parts = [Decimal(0), Decimal(0)]
        assert await made.finish(made.execution.leave(BTC, ExitReason.FLATTEN))
        sent = made.venue.of_leg(Leg.EXIT)
        assert [round(1 - i.limit / i.reference, 2) for i in sent] == [
            Decimal("0.02"),
            Decimal("0.05"),
            Decimal("0.10"),
        ]
        assert [i.attempt for i in sent] == [0, 1, 2]
        assert len({i.cloid for i in sent}) == 3


async def test_what_a_part_filled_exit_leaves_is_sent_wider_at_once() -> None:
    """A thin book at 2 %: the rest follows without a wait of 2 s, at its own size."""
    async with running(kit()) as made:
        whole = (await made.enter()).quantity
        made.venue.exit_parts = [Decimal("0.5")]
        before = made.clock.now()
        assert await made.finish(made.execution.leave(BTC, ExitReason.FLATTEN))
        assert made.clock.now() - before < 500
        first, second = made.venue.of_leg(Leg.EXIT)
        assert first.quantity == whole
        assert second.quantity == whole - (whole * Decimal("0.5")).quantize(Decimal("0.001"))


async def test_an_exit_that_never_fills_says_so() -> None:
    """Three rungs and no buyer: not flat, nothing hidden."""
    async with running(kit()) as made:
        await made.enter()
        made.venue.exit_parts = [Decimal(0)] * 3
        assert not await made.finish(made.execution.leave(BTC, ExitReason.FLATTEN))
        assert len(made.venue.of_leg(Leg.EXIT)) == 3
        assert BTC in made.books.positions


async def test_an_unknown_exit_is_asked_for_after_2_s_and_sent_again_under_the_next_attempt() -> (
    None
):
    """It cannot grow a position: asked, unknown to the venue, sent again as attempt 1."""
    async with running(kit()) as made:
        await made.enter()
        made.venue.fail("submit:exit", NO_ANSWER)
        before = made.clock.now()
        task = asyncio.ensure_future(made.execution.leave(BTC, ExitReason.MANUAL))
        await made.play(1_900)
        assert len(made.venue.of_leg(Leg.EXIT)) == 1
        assert await made.finish(task)
        assert made.clock.now() - before >= 2_000
        first, second = made.venue.of_leg(Leg.EXIT)
        assert (first.attempt, second.attempt) == (0, 1)
        assert first.cloid != second.cloid
        assert "order_status" in made.venue.asked


async def test_an_unknown_exit_that_took_effect_is_not_sent_again() -> None:
    """The venue says FILLED: the fill is fetched, whatever the stream does."""
    async with running(kit()) as made:
        await made.enter()
        made.venue.lands, made.venue.tells = True, False
        made.venue.fail("submit:exit", NO_ANSWER)
        assert await made.finish(made.execution.leave(BTC, ExitReason.MANUAL))
        assert len(made.venue.of_leg(Leg.EXIT)) == 1
        assert made.books.positions == {}


async def test_an_exit_waits_20_ms_for_its_row_and_then_goes() -> None:
    """A database that hangs keeps nobody in a position."""
    async with running(kit()) as made:
        await made.enter()
        made.journal.dies_after = len(made.journal.written)
        task = asyncio.ensure_future(made.execution.leave(BTC, ExitReason.STOP))
        await until(task.done)
        assert made.venue.positions == {}
        assert made.rows.backlog > 0


# --- moving a stop ---------------------------------------------------------------------


async def test_a_stop_moves_by_placing_seeing_and_only_then_cancelling() -> None:
    """At no moment is the position without a resting stop."""
    async with running(kit()) as made:
        intent = await made.enter()
        made.venue.gates["cancel"] = asyncio.Event()
        task = asyncio.ensure_future(made.execution.move_stop(BTC, 99.9))
        await made.play(500)
        assert stops(made) == [intent.stop, Decimal("99.9")]
        made.venue.gates["cancel"].set()
        assert await made.finish(task)
        assert stops(made) == [Decimal("99.9")]
        assert made.venue.cancelled == [intent.stop_cloid]
        assert made.books.guards[BTC].stop == 99.9


async def test_a_moved_stop_is_known_and_told_at_the_price_at_which_it_rests() -> None:
    """A trail's price lies between two ticks; what rests at the venue lies on one."""
    async with running(kit()) as made:
        await made.enter()
        assert await made.finish(made.execution.move_stop(BTC, 99.9037142))
        [resting] = stops(made)
        assert resting == Decimal("99.904")
        assert made.books.guards[BTC].stop == float(resting)
        assert [f.figures["to"] for f in made.told if f.name == "stop_moved"] == [str(resting)]


@pytest.mark.parametrize("error", [REFUSED, AWAY, NO_ANSWER], ids=["refused", "away", "unknown"])
async def test_a_new_stop_that_fails_leaves_the_old_one(error: Exception) -> None:
    """Nothing is cancelled, and care still believes in the old price."""
    async with running(kit()) as made:
        intent = await made.enter()
        made.venue.fail("submit:stop", error)
        assert not await made.finish(made.execution.move_stop(BTC, 99.9))
        assert stops(made) == [intent.stop]
        assert made.venue.cancelled == []
        assert intent.stop is not None
        assert made.books.guards[BTC].stop == float(intent.stop)


async def test_a_new_stop_that_is_not_seen_leaves_the_old_one() -> None:
    """Answered, but never shown resting: the old one stays."""
    async with running(kit()) as made:
        intent = await made.enter()
        made.venue.stops_rest = False
        assert not await made.finish(made.execution.move_stop(BTC, 99.9))
        assert stops(made) == [intent.stop]
        assert made.venue.cancelled == []


async def test_a_stop_that_cannot_be_cancelled_leaves_doubt() -> None:
    """The next comparison looks again; the order is not believed to be gone."""
    async with running(kit()) as made:
        intent = await made.enter()
        made.venue.fail("cancel", NO_ANSWER)
        assert await made.finish(made.execution.move_stop(BTC, 99.9))
        assert intent.stop_cloid is not None
        assert made.books.orders[intent.stop_cloid].status is OrderStatus.OPEN
        assert made.execution.doubt.is_set()

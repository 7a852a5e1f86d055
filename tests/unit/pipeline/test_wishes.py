"""A person's wish to be out of a position stands until that is so, also over a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from bot.domain.errors import AmbiguousOutcome, VenueRejected
from bot.domain.types import (
    Cleared,
    ExitReason,
    Leg,
    LegAck,
    OrderStatus,
    Symbol,
    TradingState,
)
from bot.pipeline.blocks import BlockKind
from bot.pipeline.closing import TRIES, Closing, Closure
from bot.pipeline.desk import _reservation
from bot.pipeline.wishes import ExitWishes
from tests.fakes import Tables
from tests.unit.pipeline.given import BTC, ETH, Kit, entry, kit, plan, running
from tests.unit.pipeline.test_recover import start_again

RUNGS = 3  # of the ladder of an exit
REFUSED = VenueRejected("market is halted")


def wishing(made: Kit) -> Closing:
    wishes = ExitWishes(made.books, made.rows, made.clock, lambda: True)
    return Closing(made.clock, made.feed, made.books, made.desk, made.execution, wishes)


async def cut_off(made: Kit, symbols: Sequence[Symbol], reason: ExitReason) -> None:
    """Ask for these to be closed at a venue that refuses every exit; die in the middle of it."""
    made.venue.fail("submit:exit", *[REFUSED] * 500)
    asking = asyncio.create_task(wishing(made).close(symbols, reason, by="ada"))
    await made.play(700)
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def next_life(dead: Kit) -> tuple[Kit, Closing]:
    """A new process on the same rows and the same venue, which takes exits now."""
    made = await start_again(dead)
    one = wishing(made)
    one.recover(Tables(dead.journal.written).state)
    return made, one


@pytest.mark.parametrize("state", list(TradingState))
async def test_a_flatten_cut_off_by_a_crash_goes_on_in_every_state(state: TradingState) -> None:
    """Nobody asks again: each position is closed as flattened, each told, and that ends it."""
    dead = kit()
    async with running(dead):
        await dead.enter(symbol=BTC)
        await dead.enter(symbol=ETH)
        dead.books.safety.set_state(state, "by hand")
        await cut_off(dead, (BTC, ETH), ExitReason.FLATTEN)
    made, one = await next_life(dead)
    assert [(wish.symbol, wish.by) for wish in one.standing()] == [(BTC, "ada"), (ETH, "ada")]
    async with running(made, made.reconcile.run(), one.run()):
        await made.finish(made.reconcile.start())
        await made.play(5_000)
        assert made.venue.positions == {} and made.books.positions == {}
        assert [trade.exit_reason for trade in made.books.trades] == [ExitReason.FLATTEN] * 2
        assert one.standing() == () and not made.books.safety.blocked
        assert made.books.safety.state is state
    _, third = await next_life(made)
    assert third.standing() == (), "done is done, also after the next crash"


@pytest.mark.parametrize("rows", range(1, 12))
async def test_a_crash_at_any_row_of_a_flatten_leaves_nothing_open(rows: int) -> None:
    """From the row of the wish on: flat in the next life, each order sent once, books equal."""
    dead = kit()
    async with running(dead):
        await dead.enter(symbol=BTC)
        await dead.enter(symbol=ETH)
        await dead.play(1_000)
        dead.journal.dies_after = len(dead.journal.written) + rows
        asking = asyncio.create_task(wishing(dead).close((BTC, ETH), ExitReason.FLATTEN))
        for _ in range(400):
            await dead.clock.run_for(5)
            if dead.journal.died.is_set() or asking.done():
                break
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    made, one = await next_life(dead)
    async with running(made, made.reconcile.run(), one.run()):
        await made.finish(made.reconcile.start())
        await made.play(60_000)
    assert made.venue.positions == {} and made.books.positions == {}
    assert made.venue.resting(BTC) == made.venue.resting(ETH) == []
    assert one.standing() == () and not made.books.safety.blocked
    cloids = [intent.cloid for intent in made.venue.sent]
    assert len(cloids) == len(set(cloids))
    assert len(made.books.trades) == 2


async def test_what_stays_open_is_tried_on_after_the_answer() -> None:
    """Told as still open once; the venue takes it minutes later, and nobody had to ask."""
    made = kit()
    one = wishing(made)
    async with running(made, one.run()):
        await made.enter()
        made.venue.fail("submit:exit", *[REFUSED] * (RUNGS * (TRIES + 2)))
        (told,) = await made.finish(one.close((BTC,), ExitReason.FLATTEN))
        assert told.state is Closure.STILL_OPEN
        before = len(made.venue.of_leg(Leg.EXIT))
        await made.play(1_000)
        assert len(made.venue.of_leg(Leg.EXIT)) <= before + RUNGS, "by the desk's own waits"
        await made.play(60_000)
        assert BTC not in made.books.positions and one.standing() == ()


async def test_nothing_is_opened_in_a_symbol_that_is_being_closed() -> None:
    """So the wish is about the position that was meant, and about no later one."""
    made = kit()
    one = wishing(made)
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", *[REFUSED] * (RUNGS * TRIES))
        await made.finish(one.close((BTC,), ExitReason.FLATTEN))
        assert made.books.safety.shut(BTC) == "is being closed by hand"
        assert made.books.safety.shut(ETH) == ""
        again = wishing(made)
        assert again.standing() == ()
        await made.finish(one.close((BTC,), ExitReason.FLATTEN))
        assert made.books.safety.shut(BTC) == ""


async def test_an_entry_that_nobody_answered_before_the_crash_is_closed_when_it_turns_up() -> None:
    """On its way when all was to be closed: it fills in the next life, and goes at once."""
    dead = kit()
    async with running(dead):
        dead.venue.tells, dead.venue.lands = False, True
        dead.venue.fail("submit:entry", AmbiguousOutcome("no answer"))
        cleared = entry()
        intent = cleared.intent
        dead.books.reserve(intent.cloid, _reservation(intent), dead.clock.now())
        await dead.finish(dead.execution.enter(cleared, plan(cleared)))
        assert BTC not in dead.books.positions
        asking = asyncio.create_task(wishing(dead).close((BTC,), ExitReason.FLATTEN))
        await dead.play(1_000)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    made, one = await next_life(dead)
    async with running(made, made.reconcile.run(), one.run()):
        await made.finish(made.reconcile.start())
        await made.play(10_000)
    assert made.venue.positions == {} and len(made.venue.of_leg(Leg.ENTRY)) == 1
    assert one.standing() == ()


async def test_what_the_stop_closed_while_nobody_ran_is_not_tried() -> None:
    """The venue's stop was first: the wish ends without an order."""
    dead = kit()
    async with running(dead):
        await dead.enter()
        await cut_off(dead, (BTC,), ExitReason.MANUAL)
    (stop,) = [order for order in dead.venue.resting(BTC) if order.is_stop]
    dead.venue.trigger(stop)
    made, one = await next_life(dead)
    sent = len(made.venue.of_leg(Leg.EXIT))
    async with running(made, one.run()):
        await made.finish(made.reconcile.start())
        await made.play(2_000)
    assert one.standing() == () and len(made.venue.of_leg(Leg.EXIT)) == sent


async def test_a_withdrawn_wish_sends_nothing_more_and_stays_withdrawn() -> None:
    """Also in the wait of whoever asked, and after a crash; the stop stays where it is."""
    dead = kit()
    one = wishing(dead)
    async with running(dead, one.run()):
        await dead.enter()
        dead.venue.fail("submit:exit", *[REFUSED] * 500)
        asking = asyncio.create_task(one.close((BTC,), ExitReason.FLATTEN))
        await dead.play(300)
        sent = len(dead.venue.of_leg(Leg.EXIT))
        assert sent == RUNGS
        assert await dead.finish(one.withdraw()) == (BTC,)
        assert one.standing() == () and not dead.books.safety.blocked
        await dead.play(30_000)
        assert asking.done()
        assert len(dead.venue.of_leg(Leg.EXIT)) == sent
        assert await dead.finish(one.withdraw()) == ()
    made, again = await next_life(dead)
    assert again.standing() == ()
    assert not made.books.safety.blocks.of(BTC)


async def test_an_exit_that_waits_in_the_book_goes_with_its_wish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a post-only window the exit rests: a withdrawn one must not fill an hour later."""
    made = kit()
    one = wishing(made)
    monkeypatch.setattr(made.venue, "submit", in_a_post_only_window(made))
    async with running(made, one.run()):
        await made.enter()
        await made.finish(one.close((BTC,), ExitReason.FLATTEN))
        waiting = made.books.resting_exits(BTC)
        assert waiting
        await made.finish(one.withdraw())
        assert {order.cloid for order in waiting} <= set(made.venue.cancelled)
        assert made.books.resting_exits(BTC) == ()


def in_a_post_only_window(
    made: Kit,
) -> Callable[[Cleared], Coroutine[Any, Any, tuple[LegAck, ...]]]:
    """A venue that takes no exit but one that rests."""
    takes = made.venue.submit

    async def submit(cleared: Cleared) -> tuple[LegAck, ...]:
        intent = cleared.intent
        if intent.leg is not Leg.EXIT:
            return await takes(cleared)
        made.venue.sent.append(intent)
        if not intent.post_only:
            raise VenueRejected("Only post-only orders allowed immediately after a network upgrade")
        return (LegAck(intent.cloid, OrderStatus.OPEN, 900 + len(made.venue.sent)),)

    return submit


async def test_a_wish_is_for_what_is_held_or_on_its_way() -> None:
    """Nothing open: nothing is remembered, and the symbol stays open to entries."""
    made = kit()
    one = wishing(made)
    async with running(made):
        (told,) = await made.finish(one.close((BTC,), ExitReason.MANUAL))
        assert told.state is Closure.NOTHING_OPEN
        assert one.standing() == ()
        kinds = [block.kind for block in made.books.safety.blocks.of(BTC)]
        assert BlockKind.LEAVING not in kinds

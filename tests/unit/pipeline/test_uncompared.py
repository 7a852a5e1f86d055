"""Closing before books and venue were compared: nobody knows yet what is open, and it is said."""

from __future__ import annotations

import asyncio

from bot.domain.types import ExitReason, Symbol
from bot.pipeline.closing import Closing, Closure
from bot.pipeline.wishes import ALL, ExitWishes
from tests.fakes import Tables
from tests.unit.pipeline.given import BTC, ETH, Kit, entry, kit, plan, running
from tests.unit.pipeline.test_recover import start_again


def closing(made: Kit) -> Closing:
    """Wired as `app.parts` does; it takes up what the rows tell."""
    compared = lambda: made.reconcile.last_at is not None  # noqa: E731
    wishes = ExitWishes(made.books, made.rows, made.clock, compared)
    one = Closing(made.clock, made.feed, made.books, made.desk, made.execution, wishes)
    one.recover(Tables(made.journal.written).state)
    return one


async def reborn(*held: Symbol) -> tuple[Kit, Closing]:
    """A life whose books hold `held`; the crash took the row of BTC's fill along."""
    dead = kit()
    async with running(dead):
        for symbol in held:
            await dead.enter(symbol=symbol)
        dead.venue.tells = False
        cleared = entry(BTC)
        entering = asyncio.create_task(dead.execution.enter(cleared, plan(cleared)))
        await dead.play(500)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
    assert BTC in dead.venue.positions
    made = await start_again(dead)
    assert made.books.symbols() == held
    return made, closing(made)


async def compare(made: Kit) -> None:
    """The first comparison of this life, and time for what follows from it."""
    await made.finish(made.reconcile.start())
    await made.play(3_000)


async def test_a_flatten_before_the_first_comparison_closes_what_that_finds() -> None:
    """The books hold nothing, so nothing is told; the wish stands until all is known and flat."""
    made, one = await reborn()
    async with running(made, one.run()):
        assert await made.finish(one.close_all(ExitReason.FLATTEN, "ada")) == ()
        assert not one.known
        assert [(wish.symbol, wish.by) for wish in one.standing()] == [(ALL, "ada")]
        await compare(made)
        assert made.venue.positions == {} and one.standing() == ()
        assert [trade.exit_reason for trade in made.books.trades] == [ExitReason.FLATTEN]
        assert not made.books.safety.blocked
        state = Tables(made.journal.written).state
        assert state[f"leave:{ALL}"] is None and state["leave:BTC"] is None


async def test_a_flatten_before_the_first_comparison_outlives_a_crash() -> None:
    """It is a row; the next life carries it out."""
    dead, wished = await reborn()
    async with running(dead):
        await dead.finish(wished.close_all(ExitReason.FLATTEN, "ada"))
        await dead.play(100)
    made = await start_again(dead)
    one = closing(made)
    assert [wish.symbol for wish in one.standing()] == [ALL]
    async with running(made, one.run()):
        await compare(made)
        assert made.venue.positions == {} and one.standing() == ()


async def test_what_the_books_hold_is_closed_at_once_and_the_rest_when_it_is_known() -> None:
    """No exit waits for a comparison; neither wish ends before it."""
    made, one = await reborn(ETH)
    async with running(made, one.run()):
        (told,) = await made.finish(one.close_all(ExitReason.FLATTEN))
        assert (told.symbol, told.state) == (ETH, Closure.CLOSED)
        assert list(made.venue.positions) == [BTC]
        assert {wish.symbol for wish in one.standing()} == {ALL, ETH}
        await compare(made)
        assert made.venue.positions == {} and one.standing() == ()


async def test_a_coin_that_the_books_do_not_hold_is_not_called_flat() -> None:
    """Named by a person: unknown, closed to entries, and closed when it turns up."""
    made, one = await reborn()
    async with running(made, one.run()):
        (told,) = await made.finish(one.close((BTC,), ExitReason.MANUAL))
        assert told.state is Closure.UNKNOWN and "not compared since this start" in told.why
        assert made.books.safety.shut(BTC) == "is being closed by hand"
        await made.play(1_000)
        assert one.standing(), "nothing ends before it is known"
        await compare(made)
        assert made.venue.positions == {} and one.standing() == ()
        assert [trade.exit_reason for trade in made.books.trades] == [ExitReason.MANUAL]
        (told,) = await made.finish(one.close((BTC,), ExitReason.MANUAL))
        assert told.state is Closure.NOTHING_OPEN


async def test_where_nothing_was_open_the_wish_ends_with_the_comparison() -> None:
    """Named or all: nothing is sent, and the coin is open to entries again."""
    made = kit()
    one = closing(made)
    async with running(made, one.run()):
        await made.finish(one.close_all(ExitReason.FLATTEN))
        await made.finish(one.close((ETH,), ExitReason.MANUAL))
        await compare(made)
        assert (one.standing(), made.venue.sent) == ((), [])
        assert not made.books.safety.blocked


async def test_a_flatten_that_is_withdrawn_before_the_comparison_closes_nothing() -> None:
    """It is named, since something may be open; what the comparison finds keeps its stop."""
    made, one = await reborn()
    async with running(made, one.run()):
        await made.finish(one.close_all(ExitReason.FLATTEN))
        assert await made.finish(one.withdraw()) == (ALL,)
        await compare(made)
        assert BTC in made.venue.positions and BTC in made.books.positions
        assert Tables(made.journal.written).state[f"leave:{ALL}"] is None


async def test_a_wish_of_an_earlier_life_is_tried_before_the_first_comparison() -> None:
    """The venue takes orders and answers no question: what the books hold is closed at once."""
    dead = kit()
    async with running(dead):
        await dead.enter()
        dead.venue.gates["submit:exit"] = asyncio.Event()
        wished = asyncio.create_task(closing(dead).close((BTC,), ExitReason.FLATTEN, by="ada"))
        await dead.play(500)
        wished.cancel()
        await asyncio.gather(wished, return_exceptions=True)
    assert BTC in dead.venue.positions
    dead.venue.gates.clear()
    made = await start_again(dead)
    one = closing(made)
    made.venue.gates["account"] = asyncio.Event()
    async with running(made, one.run(), made.reconcile.run()):
        await made.play(5_000)
        assert not one.known
        assert made.venue.positions == {}
        assert [wish.symbol for wish in one.standing()] == [BTC], "not known to be flat"

"""Closing by hand: every position is tried, in every state, and each says how it ended."""

from __future__ import annotations

import asyncio

import pytest
from pytest import MonkeyPatch

from bot.domain.errors import AmbiguousOutcome, VenueRejected
from bot.domain.types import ExitReason, Leg, Symbol, TradingState
from bot.pipeline import books
from bot.pipeline.closing import TRIES, Closed, Closing, Closure
from bot.pipeline.reconcile import Cadence
from bot.pipeline.wishes import ExitWishes
from tests.unit.pipeline.given import BTC, ETH, SOL, Kit, entry, kit, plan, running


def closing(made: Kit) -> Closing:
    wishes = ExitWishes(made.books, made.rows, made.clock, lambda: True)
    return Closing(made.clock, made.feed, made.books, made.desk, made.execution, wishes)


async def close(made: Kit, *symbols: Symbol, limit_ms: int = 30_000) -> tuple[Closed, ...]:
    """Close these, or all that is concerned, playing market time meanwhile."""
    one = closing(made)
    wanted = symbols or one.concerned()
    return await made.finish(one.close(wanted, ExitReason.FLATTEN), limit_ms)


def states(found: tuple[Closed, ...]) -> dict[str, Closure]:
    return {one.symbol: one.state for one in found}


async def test_every_position_is_closed_and_told() -> None:
    """Side, size, trace and result of each; nothing rests at the venue afterwards."""
    made = kit()
    async with running(made):
        for symbol in (BTC, ETH, SOL):
            await made.enter(symbol=symbol)
        found = await close(made)
    assert states(found) == dict.fromkeys((BTC, ETH, SOL), Closure.CLOSED)
    assert made.venue.positions == {} and made.books.positions == {}
    assert all(one.net_pnl is not None and one.quantity and one.trace_id for one in found)
    assert {trade.exit_reason for trade in made.books.trades} == {ExitReason.FLATTEN}


@pytest.mark.parametrize("state", list(TradingState))
@pytest.mark.parametrize("entries", ["", "stopping"])
async def test_no_trading_state_and_no_stop_of_entries_keeps_it_back(
    state: TradingState, entries: str
) -> None:
    """ACTIVE, REDUCE_ONLY, HALTED, and a desk that takes no entry any more."""
    made = kit()
    async with running(made):
        await made.enter()
        made.books.safety.set_state(state, "by hand")
        if entries:
            made.desk.stop_entries(entries)
        assert states(await close(made)) == {BTC: Closure.CLOSED}


async def test_a_database_that_is_away_keeps_nothing_open(monkeypatch: MonkeyPatch) -> None:
    """The exit goes before its row; the row follows when the database is back."""
    monkeypatch.setattr(books, "EXIT_ROW_WAIT_S", 0.0)  # real time, and market time runs here
    made = kit()
    async with running(made):
        await made.enter()
        made.journal.away = True
        assert states(await close(made)) == {BTC: Closure.CLOSED}


async def test_one_that_the_venue_refuses_does_not_keep_the_others_open() -> None:
    """Each is tried; the one that stays says in the venue's own words why."""
    made = kit()
    async with running(made):
        await made.enter(symbol=BTC)
        await made.enter(symbol=ETH)
        gate = made.venue.submit

        async def refuses_btc(cleared):  # type: ignore[no-untyped-def]
            if cleared.intent.symbol == BTC and cleared.intent.leg is Leg.EXIT:
                made.venue.sent.append(cleared.intent)
                raise VenueRejected("market is halted")
            return await gate(cleared)

        made.venue.submit = refuses_btc  # type: ignore[method-assign]
        found = await close(made)
    assert states(found) == {BTC: Closure.STILL_OPEN, ETH: Closure.CLOSED}
    stuck = found[0]
    assert stuck.why == "the venue rejected the exit: market is halted"
    assert stuck.quantity == made.books.positions[BTC].quantity
    tried = [intent for intent in made.venue.of_leg(Leg.EXIT) if intent.symbol == BTC]
    assert len(tried) == 3 * TRIES  # the ladder has three steps


async def test_an_exit_that_is_refused_once_is_tried_again() -> None:
    """The whole ladder once more, without another tap."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.fail("submit:exit", *[VenueRejected("busy")] * 3)
        assert states(await close(made)) == {BTC: Closure.CLOSED}


async def test_without_a_price_the_exit_is_measured_from_the_entry() -> None:
    """Better a bound that may miss than no order: stream and request say nothing."""
    made = kit()
    async with running(made):
        await made.enter()
        made.feed.prices.clear()
        (one,) = await close(made)
    assert one.state is Closure.CLOSED


async def test_an_unknown_entry_that_has_landed_is_found_and_closed() -> None:
    """The books hold nothing yet: the venue is asked at once, and what it has is closed."""
    made = kit(cadence=Cadence(every_s=600.0))
    async with running(made):
        made.venue.tells, made.venue.lands = False, True
        made.venue.fail("submit:entry", AmbiguousOutcome("no answer"))
        await _enter_unknown(made)
        assert BTC in made.books.safety.blocked and BTC not in made.books.positions
        made.venue.tells = True
        made.execution.doubt.clear()  # of the entry's own doubt the venue said nothing
        asking = asyncio.create_task(made.reconcile.run())
        assert states(await close(made, BTC)) == {BTC: Closure.CLOSED}
        asking.cancel()
        assert made.venue.positions == {}


async def test_an_unknown_entry_that_never_landed_ends_as_nothing_open() -> None:
    """Once it can no longer arrive, the symbol is known to hold nothing."""
    made = kit()
    async with running(made, made.reconcile.run()):
        made.venue.fail("submit:entry", AmbiguousOutcome("no answer"))
        await _enter_unknown(made)
        assert states(await close(made, BTC)) == {BTC: Closure.NOTHING_OPEN}


async def test_an_unknown_entry_that_nobody_settles_is_told_as_unknown() -> None:
    """A venue that is away: neither flat nor open may be said."""
    made = kit()
    async with running(made):
        made.venue.fail("submit:entry", AmbiguousOutcome("no answer"))
        await _enter_unknown(made)
        (one,) = await close(made, BTC)
    assert one.state is Closure.UNKNOWN
    assert "unknown outcome of entry" in one.why
    assert not one.state.flat


async def test_closed_twice_is_sent_once() -> None:
    """Idempotent: two at once make one exit, a third finds nothing."""
    made = kit()
    async with running(made):
        await made.enter()
        one = closing(made)
        both = [one.close((BTC,), ExitReason.MANUAL) for _ in range(2)]
        first, second = [await made.finish(work) for work in both]
        assert {first[0].state, second[0].state} <= {Closure.CLOSED, Closure.NOTHING_OPEN}
        assert states(await close(made, BTC)) == {BTC: Closure.NOTHING_OPEN}
    assert len(made.venue.of_leg(Leg.EXIT)) == 1


async def test_what_the_venue_does_not_hold_is_not_tried() -> None:
    """Only a person can say what became of it."""
    made = kit()
    async with running(made):
        await made.enter()
        made.books.gone.add(BTC)
        sent = len(made.venue.sent)
        (one,) = await close(made, BTC)
    assert (one.state, len(made.venue.sent)) == (Closure.STILL_OPEN, sent)
    assert "look at the venue" in one.why


async def _enter_unknown(made: Kit) -> None:
    """An entry without an answer, as the desk would have sent it: with its reservation."""
    from bot.pipeline.desk import _reservation

    cleared = entry()
    intent = cleared.intent
    made.books.reserve(intent.cloid, _reservation(intent), made.clock.now())
    await made.finish(made.execution.enter(cleared, plan(cleared)))

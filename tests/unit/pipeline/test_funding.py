"""Funding against the books: each payment finds the position or trade that owes it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from bot.domain.types import ZERO, ExitReason, Funding, Ms, Symbol
from tests.unit.pipeline.given import BTC, ETH, Kit, entry, plan, running
from tests.unit.pipeline.given import kit as a_kit
from tests.unit.pipeline.test_recover import start_again


def paid(symbol: Symbol, usd: str, at: int) -> Funding:
    return Funding(symbol, Decimal(usd), ZERO, ZERO, Ms(at))


async def died_before_a_fill_was_told(made: Kit) -> tuple[Funding, Funding]:
    """BTC is held and has paid; ETH has paid too, and the fill that owes it is not told."""
    async with running(made):
        await made.enter()
        made.venue.tells = False
        cleared = entry(ETH)
        entering = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
        await made.play(500)
        at = made.clock.now()
        payments = (paid(ETH, "-0.5", at), paid(BTC, "-1", at + 3))
        made.venue.tells = True
        for payment in payments:
            made.venue.tell(payment)
        made.venue.fundings.extend(payments)
        await made.play(500)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
    assert made.books.ledger.funding == Decimal(-1)
    return payments


async def test_a_payment_that_waits_for_its_fill_is_booked_by_the_next_life() -> None:
    """A later one of another coin was booked before the crash: it is asked for all the same."""
    dead = a_kit()
    await died_before_a_fill_was_told(dead)
    made = await start_again(dead)
    async with running(made):
        await made.finish(made.reconcile.step())
        assert made.books.positions[ETH].funding == Decimal("-0.5")
        assert made.books.positions[BTC].funding == Decimal(-1)
        assert made.books.ledger.funding == Decimal("-1.5")
    third = await start_again(made)
    async with running(third):
        await third.finish(third.reconcile.step())
        assert third.books.ledger.funding == Decimal("-1.5")


async def test_a_payment_of_before_a_position_is_not_that_positions() -> None:
    """A stranger's hour, told once more after ours was opened: by the question, or to a start."""
    made = a_kit()
    async with running(made):
        foreign = paid(ETH, "-60", made.clock.now())
        made.venue.fundings = [foreign]
        await made.play(61_000)
        await made.enter(symbol=ETH)
        made.venue.tell(foreign)
        await made.finish(made.reconcile.step())
        assert made.books.ledger.funding == ZERO
    again = await start_again(made)
    again.books.paid.since = foreign.at
    async with running(again):
        await again.finish(again.reconcile.step())
        assert (again.books.ledger.funding, again.books.positions[ETH].funding) == (ZERO, ZERO)


async def test_a_payment_told_before_its_fill_waits_for_the_fill() -> None:
    """The channels are not in step: what nobody seems to owe is asked for after the fills."""
    made = a_kit()
    async with running(made):
        await made.enter()
        paid = Funding(ETH, Decimal("-0.5"), ZERO, ZERO, made.clock.now())
        made.execution.doubt.clear()
        made.venue.tell(paid)
        await made.play(1)
        assert made.books.ledger.funding == ZERO
        assert made.execution.doubt.is_set()
        made.books.positions[ETH] = replace(made.books.positions[BTC], symbol=ETH)
        made.venue.fundings = [paid]
        await made.finish(made.reconcile.step())
        assert made.books.positions[ETH].funding == Decimal("-0.5")


async def test_a_payment_of_what_is_held_is_booked_at_once() -> None:
    """Nothing is asked for what the stream tells in order."""
    made = a_kit()
    async with running(made):
        await made.enter()
        made.execution.doubt.clear()
        made.venue.tell(Funding(BTC, Decimal("-0.5"), ZERO, ZERO, made.clock.now()))
        await made.play(1)
        assert made.books.positions[BTC].funding == Decimal("-0.5")
        assert not made.execution.doubt.is_set()


async def test_a_payment_of_a_strangers_position_moves_no_equity() -> None:
    """Told by the stream or asked for, it is in no ledger; what comes after it is asked for."""
    made = a_kit()
    async with running(made):
        await made.enter()
        at = made.clock.now()
        foreign = Funding(ETH, Decimal(-60), ZERO, ZERO, at)
        made.venue.fundings = [foreign]
        made.venue.tell(foreign)
        await made.finish(made.reconcile.step())
        assert made.books.paid.since < at, "its fill may be told yet"
        await made.play(61_000)
        await made.finish(made.reconcile.step())
        assert not made.books.funded(foreign)
        assert made.books.ledger.funding == ZERO
        assert made.books.paid.since == at
        made.reconcile._funding_hour = None
        made.venue.fundings.append(Funding(BTC, Decimal(-1), ZERO, ZERO, made.clock.now()))
        await made.finish(made.reconcile.step())
        assert made.books.ledger.funding == Decimal(-1)


async def test_a_payment_told_after_its_trade_ended_is_the_trades() -> None:
    """It is for the hour, and told some moments after it."""
    made = a_kit()
    async with running(made):
        await made.enter()
        await made.finish(made.execution.leave(BTC, ExitReason.MANUAL))
        (trade,) = made.books.trades
        assert made.books.funded(Funding(BTC, Decimal(-1), ZERO, ZERO, Ms(trade.closed_at + 900)))
        assert made.books.trades[0].funding == Decimal(-1)

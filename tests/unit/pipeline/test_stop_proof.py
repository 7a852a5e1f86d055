"""What the stop proof must not conclude from answers of two moments, and what must not delay it."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.errors import TransientError
from bot.domain.types import ExitReason, Leg
from bot.pipeline.reconcile import Cadence
from tests.unit.pipeline.given import BTC, Kit, kit, running, stops

FAR = Cadence(every_s=3_600.0)


async def test_a_stop_that_fired_is_not_missing_before_its_fill_is_told() -> None:
    """Orders and positions show its end, and the stream has not: nothing is bare, nothing sent."""
    made = kit(cadence=FAR)
    async with running(made):
        await made.enter()
        (stop,) = [order for order in made.venue.resting(BTC) if order.is_stop]
        looking = asyncio.ensure_future(made.reconcile.step())
        made.venue.gates["account"] = gate = asyncio.Event()
        await made.play(100)
        made.venue.tells = False
        made.venue.trigger(stop)
        gate.set()
        assert await made.finish(looking)
        await made.play(500)
        assert made.reconcile.prover.naked == {}
        assert [intent.leg for intent in made.venue.sent] == [Leg.ENTRY]
        made.venue.let_go()
        await made.play(500)
        assert [trade.exit_reason for trade in made.books.trades] == [ExitReason.STOP]


async def test_an_answer_older_than_a_stop_does_not_call_it_missing() -> None:
    """One that is placed while the account is asked for is not in the answer: no alarm."""
    made = kit(cadence=FAR)
    async with running(made):
        await made.enter()
        for order in made.venue.resting(BTC):
            assert order.cloid is not None
            await made.venue.cancel(BTC, order.cloid)
        made.venue.gates["submit:stop"] = placing = asyncio.Event()
        made.desk.defend(BTC)
        await made.play(500)
        worked_on = made.reconcile.prover.worked_on()
        before = await made.venue.account()
        placing.set()
        await made.play(3_000)
        assert len(stops(made)) == 1 and not made.desk.works_on(BTC)
        made.execution.doubt.clear()
        made.reconcile.prover.prove(before, worked_on)
        assert made.reconcile.prover.naked == {}
        assert made.execution.doubt.is_set(), "put off, not given up"


async def taken_away(made: Kit) -> None:
    """The stop goes at the venue, and no frame tells of it."""
    made.venue.tells = False
    for order in [order for order in made.venue.resting(BTC) if order.is_stop]:
        assert order.cloid is not None
        await made.venue.cancel(BTC, order.cloid)


@pytest.mark.parametrize("question", ["order_status", "clock_skew_ms", "funding_since"])
async def test_a_question_that_hangs_does_not_delay_the_proof(question: str) -> None:
    """Orders and positions were answered: what is bare is repaired, whatever is asked after."""
    made = kit()
    async with running(made, made.reconcile.run()):
        await made.enter()
        await made.play(5_000)
        await taken_away(made)
        made.venue.gates[question] = asyncio.Event()
        made.reconcile._funding_hour = None  # an hour is over
        await made.play(32_000)
        assert len(stops(made)) == 1


async def test_a_funding_question_that_always_fails_does_not_end_the_proof() -> None:
    """A payment that cannot be read keeps entries back, and no stop."""
    made = kit()
    async with running(made, made.reconcile.run()):
        await made.enter()
        await made.play(5_000)
        await taken_away(made)
        made.venue.fail("funding_since", *[TransientError("cannot be read")] * 300)
        made.reconcile._funding_hour = None  # an hour is over
        await made.play(32_000)
        assert len(stops(made)) == 1
        await made.play(120_000)
        assert not made.reconcile.in_step

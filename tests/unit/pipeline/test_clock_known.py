"""The venue's clock: what it last said counts for a while, and nothing is opened without it."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.types import Ms, Timeframe
from bot.pipeline.health import Health
from tests.unit.pipeline.given import BTC, Kit, kit, offer, running

FAILURES = [TransientError("502"), VenueRejected("HTTP 422"), AmbiguousOutcome("no answer")]


def known(made: Kit) -> bool:
    facts = made.health.facts(BTC, Ms(made.clock.now() - 1_000))
    assert facts is not None
    return facts.clock_known


@pytest.mark.parametrize("error", FAILURES)
async def test_before_the_venue_told_its_time_nothing_is_opened(error: Exception) -> None:
    """A start that compared the books, and not the clocks, does not know how far they are apart."""
    made = kit()
    made.venue.fail("clock_skew_ms", error)
    async with running(made):
        assert await made.finish(made.reconcile.step())
        made.desk.offer(await offer(made))
        await made.play(1_000)
        assert made.venue.sent == []
        work = asyncio.ensure_future(made.reconcile.run())
        made.execution.doubt.set()
        await made.play(2_000)
        made.desk.offer(await offer(made, cycle=2))
        await made.play(2_000)
        assert len(made.venue.sent) == 1
        work.cancel()


async def test_an_answer_of_long_ago_does_not_count_and_the_next_one_does() -> None:
    """One failure changes nothing; two minutes of them shut the gate, and it asks soon again."""
    made = kit()
    async with running(made, made.reconcile.run()):
        await made.play(31_000)
        made.venue.fail("clock_skew_ms", TransientError("502"))
        await made.play(30_000)
        assert known(made)
        made.venue.fail("clock_skew_ms", *([TransientError("502")] * 100))
        await made.play(100_000)
        assert known(made)
        await made.play(60_000)
        assert not known(made)
        assert made.reconcile.in_step, "the books were compared all the same"
        made.venue.errors.clear()
        await made.play(6_000)
        assert known(made)


async def test_the_clock_grows_old_while_the_account_is_not_told() -> None:
    """A comparison that fails asks no clock."""
    made = kit()
    async with running(made):
        assert await made.finish(made.reconcile.step())
        await made.play(121_000)
        made.venue.fail("account", TransientError("502"))
        assert not await made.finish(made.reconcile.step())
        assert not known(made)


async def test_where_both_clocks_are_one_no_answer_is_missed() -> None:
    """Lockstep has one clock and never asks."""
    made = kit()
    quiet = Health(made.feed, made.venue, made.clock, Timeframe.M5, lambda: 0, speed=None)
    quiet.judge_clock(120.0)
    assert quiet.clock_known

"""Time stops go by the venue's clock: ours may be days off, and may be set at any time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.domain.errors import TransientError
from bot.domain.types import ExitReason, Ms, Timeframe
from bot.pipeline.health import Health
from bot.runtime.clock import ManualClock
from tests.unit.pipeline.given import BTC, POLICIES, Kit, kit, running

MINUTE_MS = 60_000
DAYS_MS = 3 * 86_400_000
TEN_MINUTES = replace(
    POLICIES, protection=replace(POLICIES.protection, time_stop_ms=10 * MINUTE_MS)
)


class SetClock:
    """A clock whose market and wall time somebody sets; machine time goes on as it did."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.by_ms = 0

    def now(self) -> Ms:
        return Ms(self._clock.now() + self.by_ms)

    def wall(self) -> int:
        return self._clock.wall() + self.by_ms

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


def settable(made: Kit) -> SetClock:
    clock = cast(Any, SetClock(made.clock))
    made.books.safety._clock = made.care._clock = made.health._clock = clock
    return cast(SetClock, clock)


def restarted(made: Kit, *, off_ms: int) -> SetClock:
    """Another life over the same books, with a clock that is so far ahead of the venue's."""
    made.books.safety.equity(made.books.equity())
    clock = settable(made)
    clock.by_ms, made.venue.skew_ms = off_ms, -off_ms
    made.books.safety.recover(made.books.safety.durable())
    return clock


@pytest.mark.parametrize("by_ms", [-60 * MINUTE_MS, 60 * MINUTE_MS], ids=["back", "forward"])
async def test_a_clock_that_is_set_neither_hastens_nor_holds_up_a_time_stop(by_ms: int) -> None:
    """Ten minutes are ten minutes: from the venue's last answer on care counts machine time."""
    made = kit(policies=TEN_MINUTES)
    clock = settable(made)
    async with running(made, made.care.run()):
        await made.health.measure()
        await made.enter()
        await made.play(MINUTE_MS)
        clock.by_ms = by_ms
        await made.play(8 * MINUTE_MS)
        assert BTC in made.books.positions
        await made.play(90_000)
        assert made.books.trades[-1].exit_reason is ExitReason.TIME_STOP


@pytest.mark.parametrize("off_ms", [-DAYS_MS, DAYS_MS], ids=["behind", "ahead"])
async def test_a_start_with_a_clock_that_is_days_off_closes_when_it_is_due(off_ms: int) -> None:
    """Nothing at the start; after ten minutes of the venue, wherever our clock stands."""
    made = kit(policies=TEN_MINUTES)
    async with running(made):
        await made.enter()
        restarted(made, off_ms=off_ms)
        care = asyncio.ensure_future(made.care.run())
        await made.play(MINUTE_MS)
        assert BTC in made.books.positions, "before the venue told its time"
        assert await made.finish(made.reconcile.step())
        await made.play(8 * MINUTE_MS)
        assert BTC in made.books.positions
        await made.play(90_000)
        assert made.books.trades[-1].exit_reason is ExitReason.TIME_STOP
        care.cancel()


async def test_a_clock_that_is_mended_after_a_start_brings_no_time_stop_about() -> None:
    """Three days behind, then right: with the difference of before it would be in three days."""
    made = kit(policies=TEN_MINUTES)
    async with running(made):
        await made.enter()
        clock = restarted(made, off_ms=-DAYS_MS)
        await made.health.measure()
        care = asyncio.ensure_future(made.care.run())
        await made.play(MINUTE_MS)
        clock.by_ms = made.venue.skew_ms = 0
        await made.play(20_000)
        assert BTC in made.books.positions
        await made.health.measure()
        await made.play(MINUTE_MS)
        assert BTC in made.books.positions
        care.cancel()


async def test_what_fell_due_while_nobody_ran_waits_until_the_venue_has_told_its_time() -> None:
    """Our clock alone may be days ahead; one answer later it is done at once."""
    made = kit(policies=TEN_MINUTES)
    async with running(made):
        await made.enter()
        restarted(made, off_ms=0)
        made.clock.set(Ms(made.clock.now() + 60 * MINUTE_MS))
        made.books.safety.recover(made.books.safety.durable())  # an hour of nobody
        made.venue.fail("clock_skew_ms", TransientError("502"))
        await made.health.measure()
        care = asyncio.ensure_future(made.care.run())
        await made.play(5_000)
        assert BTC in made.books.positions
        await made.health.measure()
        await made.play(2_000)
        assert made.books.trades[-1].exit_reason is ExitReason.TIME_STOP
        care.cancel()


async def test_a_venue_that_never_tells_its_time_holds_up_no_longer_than_machine_time() -> None:
    """What this Keel and the one before it saw pass is enough."""
    made = kit(policies=TEN_MINUTES)
    async with running(made):
        await made.enter()
        restarted(made, off_ms=DAYS_MS)
        care = asyncio.ensure_future(made.care.run())
        await made.play(9 * MINUTE_MS)
        assert BTC in made.books.positions
        await made.play(90_000)
        assert made.books.trades[-1].exit_reason is ExitReason.TIME_STOP
        care.cancel()


async def test_a_row_of_a_time_when_the_clock_was_ahead_brings_no_time_stop_about() -> None:
    """A first start three days ahead wrote so; our clock was mended since, and is right."""
    made = kit(policies=TEN_MINUTES)
    async with running(made):
        await made.enter()
        clock = restarted(made, off_ms=DAYS_MS)
        made.books.safety.clock_agreed()
        made.books.safety.equity(made.books.equity())
        clock.by_ms = 0
        made.books.safety.recover(made.books.safety.durable())
        care = asyncio.ensure_future(made.care.run())
        await made.play(MINUTE_MS)
        assert BTC in made.books.positions
        care.cancel()


async def test_where_both_clocks_are_one_it_is_the_clock() -> None:
    """Lockstep asks nobody: what fell due while nobody ran is done at once."""
    made = kit()
    one = Health(made.feed, made.venue, made.clock, Timeframe.M5, lambda: 0, speed=None)
    assert one.venue_now() == made.clock.now()
    made.clock.advance(DAYS_MS)
    assert one.venue_now() == made.clock.now()


async def test_the_venues_time_goes_on_at_the_speed_of_its_market() -> None:
    """Sixty times as fast as the machine's; what is within a second is the way of the answer."""
    made = kit()
    fast = Health(made.feed, made.venue, made.clock, Timeframe.M5, lambda: 0, speed=60.0)
    assert fast.venue_now() is None
    made.venue.skew_ms = 61_000
    await fast.measure()
    began = made.clock.now()
    made.clock.advance(10_000)
    assert fast.venue_now() == began + 61_000 + 600_000
    made.venue.skew_ms = -60_000
    await fast.measure()
    assert fast.venue_now() == made.clock.now()


async def test_a_clock_that_is_set_while_the_venue_is_asked_leaves_its_last_answer() -> None:
    """Half of the step would be in the difference."""
    made = kit()
    clock = settable(made)
    await made.health.measure()
    made.venue.gates["clock_skew_ms"] = gate = asyncio.Event()
    task = asyncio.ensure_future(made.health.measure())
    await made.clock.run_for(100)
    clock.by_ms, made.venue.skew_ms = DAYS_MS, -DAYS_MS // 2
    gate.set()
    await made.finish(task)
    assert made.health.venue_now() == made.clock.now()

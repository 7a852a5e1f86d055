"""The chamber: waiting for what runs in it never keeps the market from going on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.domain.types import Ms
from bot.pipeline.chamber import Chamber
from bot.runtime.clock import LockstepClock

START = Ms(1_700_000_000_000)
MINUTE = 60_000


@pytest.fixture
async def clock() -> AsyncIterator[LockstepClock]:
    clock = LockstepClock(START)
    driver = asyncio.create_task(clock.run())
    yield clock
    driver.cancel()


async def sleeper(clock: LockstepClock, ms: int) -> int:
    await clock.sleep_until(Ms(START + ms))
    return ms


async def test_one_who_waits_lets_the_clock_go_on_for_those_that_sleep(
    clock: LockstepClock,
) -> None:
    """Else the first history of twelve coins, which waits for its share, stands for ever."""
    chamber = Chamber(clock)
    async with asyncio.timeout(5), chamber.open():
        with clock.busy():
            tasks = [chamber.spawn(sleeper(clock, n * MINUTE)) for n in (1, 2)]
            await chamber.together(tasks, 600.0)
            assert [task.result() for task in tasks] == [MINUTE, 2 * MINUTE]
    assert clock.now() == START + 2 * MINUTE


async def test_the_limit_is_market_time_in_lockstep(clock: LockstepClock) -> None:
    """Who comes late is a matter of the market, however slow the machine."""
    chamber = Chamber(clock)
    async with asyncio.timeout(5), chamber.open():
        with clock.busy():
            early = chamber.spawn(sleeper(clock, 4_000))
            late = chamber.spawn(sleeper(clock, 6_000))
            await chamber.together([early, late], 5.0)
            assert (early.done(), late.done()) == (True, False)
            assert clock.now() == START + 5_000
            await chamber.together([early, late], 5.0)
        assert late.done()
        assert clock.now() == START + 6_000


async def test_who_waits_for_others_in_the_room_need_not_hold(clock: LockstepClock) -> None:
    """A waiting task that held would stop those it waits for."""
    chamber = Chamber(clock)
    came: list[int] = []

    async def collect(task: asyncio.Task[int]) -> None:
        came.append(await task)

    async with asyncio.timeout(5), chamber.open():
        chamber.spawn(collect(chamber.spawn(sleeper(clock, MINUTE))), holds=False)
        await chamber.settled()
    assert came == [MINUTE]


async def test_nothing_is_waited_for_when_all_have_ended(clock: LockstepClock) -> None:
    """The clock does not move for those that are done."""
    chamber = Chamber(clock)
    async with asyncio.timeout(5), chamber.open():
        task = chamber.spawn(sleeper(clock, 0))
        await chamber.settled()
        with clock.busy():
            at = clock.now()
            await chamber.together([task], 60.0)
            await chamber.together([], 60.0)
            assert clock.now() == at

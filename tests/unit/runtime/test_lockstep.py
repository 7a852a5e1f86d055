"""Lockstep: market time jumps when nobody works."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from bot.domain.types import Ms
from bot.runtime.clock import LockstepClock
from tests.until import until

EPOCH = Ms(1_700_000_000_000)


@asynccontextmanager
async def driven(clock: LockstepClock) -> AsyncIterator[LockstepClock]:
    driver = asyncio.create_task(clock.run(), name="clock")
    try:
        yield clock
    finally:
        driver.cancel()
        await asyncio.wait({driver})


async def rounds(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_day_of_market_time_takes_no_real_time() -> None:
    """Time jumps to the deadline; each sleeper sees exactly the moment it asked for."""
    began = time.monotonic()
    async with driven(LockstepClock(EPOCH)) as clock:
        await clock.sleep_until(Ms(EPOCH + 86_400_000))
        assert clock.now() == EPOCH + 86_400_000
        await clock.pause(1.5)
        assert clock.now() == EPOCH + 86_401_500
        assert clock.monotonic() == (EPOCH + 86_401_500) / 1000
    assert time.monotonic() - began < 1


async def test_sleepers_wake_by_time_then_by_registration() -> None:
    """One sleeper at a time, ordered by (deadline, registration)."""
    seen: list[tuple[str, int]] = []
    clock = LockstepClock(EPOCH)

    async def sleep(name: str, ms: int) -> None:
        await clock.sleep_until(Ms(EPOCH + ms))
        seen.append((name, clock.now() - EPOCH))
        await rounds(3)  # work over several rounds, still before the next is woken
        seen.append((name + "'", clock.now() - EPOCH))

    async with asyncio.TaskGroup() as group:
        for name, ms in (("c", 20), ("a", 10), ("d", 20), ("b", 10)):
            group.create_task(sleep(name, ms))
        async with driven(clock):
            await until(lambda: len(seen) == 8)
    assert seen == [
        (f"{name}{mark}", at)
        for name, at in (("a", 10), ("b", 10), ("c", 20), ("d", 20))
        for mark in ("", "'")
    ]


async def test_market_time_stands_while_work_is_held() -> None:
    """However long the work takes, the next sleeper waits for it."""
    clock = LockstepClock(EPOCH)
    woken = asyncio.Event()

    async def other() -> None:
        await clock.pause(1)
        woken.set()

    async with driven(clock), asyncio.TaskGroup() as group:
        with clock.busy():
            group.create_task(other())
            await asyncio.sleep(0.02)  # a real wait on the outside, under a hold
            assert clock.now() == EPOCH
            assert not woken.is_set()
            assert clock.holders() == (asyncio.current_task().get_name(),)  # type: ignore[union-attr]
        await asyncio.wait_for(woken.wait(), 1)
    assert clock.now() == EPOCH + 1000


async def test_holds_nest_within_a_task() -> None:
    """The outer hold outlives the inner one."""
    clock = LockstepClock(EPOCH)
    sleeper = asyncio.create_task(clock.pause(1))
    async with driven(clock):
        with clock.busy():
            with clock.busy():
                await rounds()
            await rounds()
            assert clock.now() == EPOCH
        await asyncio.wait_for(sleeper, 1)


@pytest.mark.parametrize("way", ["pause", "sleep_until", "wait"])
async def test_a_hold_is_let_go_while_its_task_sleeps(way: str) -> None:
    """Sleeping through the clock lets all holds of the task go and takes them back."""
    clock = LockstepClock(EPOCH)

    async def sleep() -> None:
        if way == "pause":
            await clock.pause(60)
        elif way == "sleep_until":
            await clock.sleep_until(Ms(EPOCH + 60_000))
        else:
            assert await clock.wait(asyncio.Event(), 60) is False

    async with driven(clock):
        with clock.busy(), clock.busy():
            async with asyncio.timeout(1):
                await sleep()
            assert clock.now() == EPOCH + 60_000
            assert len(clock.holders()) == 1
            other = asyncio.create_task(clock.pause(1))
            await rounds()
            assert clock.now() == EPOCH + 60_000
        await asyncio.wait_for(other, 1)
        assert clock.holders() == ()


async def test_a_child_does_not_inherit_the_hold() -> None:
    """A hold belongs to the task that took it: a child that sleeps lets go nothing of it."""
    clock = LockstepClock(EPOCH)

    async def child() -> None:
        await clock.pause(1)

    async with driven(clock):
        with clock.busy():
            task = asyncio.create_task(child())
            await rounds()
            assert clock.now() == EPOCH
        await asyncio.wait_for(task, 1)


async def test_an_event_ends_a_wait_before_its_deadline() -> None:
    """The event decides; its deadline then moves nothing."""
    clock = LockstepClock(EPOCH)
    event = asyncio.Event()

    async def ring() -> None:
        await clock.pause(2)
        event.set()

    async with driven(clock), asyncio.TaskGroup() as group:
        group.create_task(ring())
        assert await clock.wait(event, 3600) is True
        assert clock.now() == EPOCH + 2000
        await rounds()
        assert clock.now() == EPOCH + 2000
        assert await clock.wait(event, 3600) is True


async def test_a_wait_without_its_event_ends_at_its_deadline() -> None:
    """`wait` is False exactly when its seconds of market time are over."""
    async with driven(LockstepClock(EPOCH)) as clock:
        assert await clock.wait(asyncio.Event(), 5) is False
        assert clock.now() == EPOCH + 5000


async def test_a_cancelled_sleeper_moves_no_time() -> None:
    """Whoever left the heap is forgotten, its deadline is not visited."""
    clock = LockstepClock(EPOCH)
    gone = [asyncio.create_task(clock.pause(10)), asyncio.create_task(_wait(clock, 10))]
    await rounds(3)
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    async with driven(clock):
        await rounds()
        assert clock.now() == EPOCH
        await clock.pause(20)
    assert clock.now() == EPOCH + 20_000
    assert all(task.cancelled() for task in gone)


async def _wait(clock: LockstepClock, seconds: float) -> bool:
    return await clock.wait(asyncio.Event(), seconds)


async def test_a_deadline_in_the_past_resumes_without_moving_time() -> None:
    """Late is now; the heap still orders who goes first."""
    async with driven(LockstepClock(EPOCH)) as clock:
        await clock.sleep_until(Ms(EPOCH - 5000))
        await clock.pause(0)
        assert clock.now() == EPOCH


async def test_the_shortest_pause_moves_time() -> None:
    """A loop of tiny pauses cannot freeze the market."""
    async with driven(LockstepClock(EPOCH)) as clock:
        await clock.pause(0.0001)
        assert clock.now() == EPOCH + 1


async def test_an_idle_driver_takes_up_the_first_deadline() -> None:
    """With nobody asleep the driver waits for a deadline to be registered."""
    clock = LockstepClock(EPOCH)
    async with driven(clock):
        await rounds()
        assert clock.wakeups == 0
        await asyncio.wait_for(asyncio.create_task(clock.pause(1)), 1)
        assert clock.wakeups == 1


@pytest.mark.parametrize("held", [True, False], ids=["held", "nobody asleep"])
async def test_a_waiting_driver_burns_no_processor(held: bool) -> None:
    """While work is held, or nobody sleeps, the loop is left alone."""
    clock = LockstepClock(EPOCH)
    async with driven(clock):
        await rounds()
        if held:
            with clock.busy():
                sleeper = asyncio.create_task(clock.pause(1))
                used = await _processor_s(0.1)
            await sleeper
        else:
            used = await _processor_s(0.1)
    assert used < 0.05


async def _processor_s(seconds: float) -> float:
    began = time.process_time()
    await asyncio.sleep(seconds)
    return time.process_time() - began


async def test_work_handed_over_by_a_queue_keeps_its_moment() -> None:
    """Between one task's hold and the next one's the clock stays put."""
    clock = LockstepClock(EPOCH)
    queue: asyncio.Queue[int] = asyncio.Queue()
    moments: list[int] = []

    async def consume() -> None:
        for _ in range(3):
            item = await queue.get()
            with clock.busy():
                await rounds(5)
                moments.append(clock.now() - EPOCH - item)

    async def produce() -> None:
        for _ in range(3):
            await clock.pause(1)
            queue.put_nowait(clock.now() - EPOCH)

    async with driven(clock), asyncio.TaskGroup() as group:
        group.create_task(produce())
        group.create_task(consume())
        group.create_task(clock.pause(60))
    assert moments == [0, 0, 0]


async def _story(seed: int) -> list[tuple[int, int]]:
    """Twenty services with random pauses and some work each: who acted when."""
    clock = LockstepClock(EPOCH)
    acts: list[tuple[int, int]] = []
    event = asyncio.Event()

    async def service(number: int) -> None:
        draw = random.Random(f"{seed}-{number}")
        for _ in range(20):
            with clock.busy():
                acts.append((number, clock.now() - EPOCH))
                await rounds(draw.randrange(4))
                await clock.pause(draw.randrange(5) / 10)
                if draw.random() < 0.3:
                    event.set()
                    event.clear()
                await clock.wait(event, draw.randrange(1, 5) / 10)

    async with driven(clock), asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(service(number))
    return acts


async def test_the_same_seed_tells_the_same_story() -> None:
    """Order and moment of every act are a function of the seed."""
    first = await _story(7)
    assert first == await _story(7)
    assert first != await _story(8)
    moments = [at for _, at in first]
    assert moments == sorted(moments)


async def test_a_stall_names_its_holders_once() -> None:
    """A hold that lasts too long in real time is one warning with the task's name."""
    clock = LockstepClock(EPOCH, stall_s=0.03)
    release = asyncio.Event()

    async def hang() -> None:
        with clock.busy():
            await release.wait()

    with capture_logs() as lines:
        async with driven(clock):
            task = asyncio.create_task(hang(), name="desk")
            await until(lambda: lines)
            await asyncio.sleep(0.08)
            release.set()
            await task
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("market_time_held", "warning")
    ]
    assert lines[0]["holders"] == ("desk",)


async def test_market_time_that_moves_is_no_stall() -> None:
    """Busy but advancing, or idle: no warning."""
    clock = LockstepClock(EPOCH, stall_s=0.03)

    async def work() -> None:
        while True:
            with clock.busy():
                await asyncio.sleep(0.005)
                await clock.pause(1)

    with capture_logs() as lines:
        async with driven(clock):
            task = asyncio.create_task(work())
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait({task})
            await asyncio.sleep(0.06)
    assert lines == []

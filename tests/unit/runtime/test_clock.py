"""Real, scaled and manual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from bot.domain.types import Ms
from bot.ports import Clock
from bot.runtime import clock as clock_module
from bot.runtime.clock import LockstepClock, ManualClock, ScaledClock, SystemClock
from bot.runtime.deadlines import COMPACT_FROM, Deadlines

EPOCH = Ms(1_700_000_000_000)


class Reading:
    """A machine clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def every_clock() -> list[Clock]:
    """Also the static proof that all of them are clocks."""
    return [SystemClock(), ScaledClock(EPOCH, 60), ManualClock(EPOCH), LockstepClock(EPOCH)]


@pytest.mark.parametrize("clock", every_clock()[:2], ids=["system", "scaled"])
async def test_real_clocks_time_a_wait_in_machine_time(clock: Clock) -> None:
    """`wait` tells whether the event came within its limit."""
    event = asyncio.Event()
    assert await clock.wait(event, 0.01) is False
    asyncio.get_running_loop().call_soon(event.set)
    assert await clock.wait(event, 5) is True


@pytest.mark.parametrize("clock", every_clock()[:2], ids=["system", "scaled"])
async def test_a_hold_costs_real_clocks_nothing(clock: Clock) -> None:
    """`busy` nests and may be shared by tasks."""
    with clock.busy(), clock.busy():
        await clock.pause(0)


def test_system_time_is_the_wall_clock() -> None:
    """Market, machine and signing time of paper and live are the machine's."""
    clock = SystemClock()
    assert abs(clock.now() - time.time() * 1000) < 1000
    assert abs(clock.wall() - time.time() * 1000) < 1000
    assert abs(clock.monotonic() - time.monotonic()) < 1


async def test_system_clock_sleeps_until_market_time() -> None:
    """Sleeping ends at the moment asked for, never before."""
    clock = SystemClock()
    at = Ms(clock.now() + 15)
    await clock.sleep_until(at)
    assert clock.now() >= at
    await asyncio.wait_for(clock.sleep_until(Ms(0)), 0.5)


class SetClock(SystemClock):
    """A machine whose wall clock somebody sets."""

    offset_ms = 0

    def wall(self) -> int:
        return super().wall() + self.offset_ms


async def test_a_wall_clock_that_is_set_back_holds_no_sleeper_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """50 ms are 50 ms, and a second for the doubt; not the hour that comes again."""
    monkeypatch.setattr(clock_module, "SET_BACK_S", 0.05)
    clock = SetClock()
    began = time.monotonic()
    sleeper = asyncio.create_task(clock.sleep_until(Ms(clock.now() + 50)))
    await asyncio.sleep(0)
    clock.offset_ms = -3_600_000
    await asyncio.wait_for(sleeper, 5)
    assert 0.05 <= time.monotonic() - began < 5


async def test_a_wall_clock_that_is_set_forward_wakes_at_the_next_nap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a machine that slept: what fell due meanwhile is not slept through."""
    monkeypatch.setattr(clock_module, "LONGEST_NAP_S", 0.01)
    clock = SetClock()
    sleeper = asyncio.create_task(clock.sleep_until(Ms(clock.now() + 3_600_000)))
    await asyncio.sleep(0)
    clock.offset_ms = 3_600_000
    await asyncio.wait_for(sleeper, 5)


def test_a_nap_is_no_longer_than_a_second() -> None:
    """Who sleeps on wall time looks at it again this often."""
    assert clock_module.LONGEST_NAP_S <= 1.0


async def test_machine_time_knows_nothing_of_a_clock_that_is_set() -> None:
    """Care, stop proof and time limits wait by it."""
    clock, event = SetClock(), asyncio.Event()
    for offset_ms in (-3_600_000, 3_600_000):
        waits = [
            asyncio.create_task(clock.wait(event, 0.02)),
            asyncio.create_task(clock.pause(0.02)),
        ]
        await asyncio.sleep(0)
        clock.offset_ms = offset_ms
        async with asyncio.timeout(5):
            await asyncio.gather(*waits)


def test_scaled_time_runs_at_its_speed_from_its_epoch() -> None:
    """Market time = epoch + elapsed machine time x speed."""
    reading = Reading()
    clock = ScaledClock(EPOCH, 60, read=reading)
    assert clock.now() == EPOCH
    reading.seconds += 2.5
    assert clock.now() == EPOCH + 150_000


async def test_scaled_sleepers_resume_after_the_process_stood_still() -> None:
    """What fell due while the process was stopped resumes at once, at the time it then is."""
    reading = Reading()
    clock = ScaledClock(EPOCH, 60, read=reading)
    sleeper = asyncio.create_task(clock.sleep_until(Ms(EPOCH + 60)))
    await asyncio.sleep(0)
    reading.seconds += 3600
    await asyncio.wait_for(sleeper, 1)
    assert clock.now() == EPOCH + 3600 * 60_000


async def test_scaled_clock_divides_the_real_wait() -> None:
    """A market minute at speed 6000 is 10 ms."""
    clock = ScaledClock(EPOCH, 6000)
    began = time.monotonic()
    await clock.sleep_until(Ms(clock.now() + 60_000))
    assert 0.009 <= time.monotonic() - began < 1


def test_a_speed_of_zero_is_refused() -> None:
    """A clock that cannot advance cannot be built."""
    with pytest.raises(ValueError, match="above 0"):
        ScaledClock(EPOCH, 0)


def waker(names: list[str], name: str) -> Callable[[], None]:
    return lambda: names.append(name)


def test_deadlines_wake_by_time_then_by_registration() -> None:
    """Equal times keep the order in which they were registered."""
    deadlines, names = Deadlines(), list[str]()
    for at, name in ((5, "b"), (3, "a"), (5, "c"), (9, "d")):
        deadlines.add(at, waker(names, name))
    while deadlines.first() is not None:
        deadlines.wake_first()
    assert names == ["a", "b", "c", "d"]


def test_departed_sleepers_are_swept() -> None:
    """A million cancelled waits do not stay in memory until their time."""
    deadlines, names = Deadlines(), list[str]()
    kept = deadlines.add(7, waker(names, "kept"))
    for _ in range(COMPACT_FROM * 10):
        gone = deadlines.add(10**9, waker(names, "gone"))
        deadlines.remove(gone)
        deadlines.remove(gone)
    assert len(deadlines) == 1
    assert len(deadlines._heap) <= COMPACT_FROM + 2
    deadlines.remove(kept)
    assert deadlines.first() is None
    assert len(deadlines) == 0


async def test_manual_advance_wakes_who_fell_due_in_order() -> None:
    """`advance` moves once; the due resume earliest first, the rest sleep on."""
    clock = ManualClock(EPOCH)
    seen: list[tuple[str, int]] = []

    async def sleep(name: str, ms: int) -> None:
        await clock.sleep_until(Ms(EPOCH + ms))
        seen.append((name, clock.now() - EPOCH))

    async with asyncio.TaskGroup() as group:
        for name, ms in (("late", 300), ("b", 200), ("a", 100)):
            group.create_task(sleep(name, ms))
        await asyncio.sleep(0)
        assert clock.sleepers() == 3
        clock.advance(250)
        await asyncio.sleep(0)
        assert seen == [("a", 250), ("b", 250)]
        clock.advance(50)
    assert seen[-1] == ("late", 300)


async def test_manual_run_for_shows_each_sleeper_its_own_time() -> None:
    """Between two deadlines the woken work goes on, and may register the next one."""
    clock = ManualClock(EPOCH)
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            await clock.pause(1)
            ticks.append(clock.now() - EPOCH)

    task = asyncio.create_task(tick())
    await clock.run_for(3_500)
    task.cancel()
    assert ticks == [1000, 2000, 3000]
    assert clock.now() == EPOCH + 3_500
    assert clock.monotonic() == (EPOCH + 3_500) / 1000


async def test_manual_wait_ends_by_event_or_by_time() -> None:
    """The event decides, else the deadline; both leave no sleeper behind."""
    clock = ManualClock(EPOCH)
    event = asyncio.Event()
    waiting = asyncio.create_task(clock.wait(event, 2))
    await clock.run_for(1_999)
    assert not waiting.done()
    await clock.run_for(1)
    assert await waiting is False
    waiting = asyncio.create_task(clock.wait(event, 2))
    await asyncio.sleep(0)
    event.set()
    assert await waiting is True
    assert clock.sleepers() == 0


async def test_a_sleeper_cancelled_in_the_round_it_falls_due_is_left_alone() -> None:
    """Its task has not run yet; waking it is no error, and it stays cancelled."""
    clock = ManualClock(EPOCH)
    sleeper = asyncio.create_task(clock.pause(1))
    await asyncio.sleep(0)
    sleeper.cancel()
    clock.advance(1000)
    await asyncio.wait({sleeper})
    assert sleeper.cancelled()


async def test_manual_sleep_in_the_past_yields_and_returns() -> None:
    """Nobody has to move time for a deadline that is over."""
    clock = ManualClock(EPOCH)
    await asyncio.wait_for(clock.sleep_until(Ms(EPOCH - 1)), 0.5)
    await asyncio.wait_for(clock.pause(0), 0.5)


def test_manual_time_does_not_go_back() -> None:
    """Moving time backwards is a mistake of the caller."""
    with pytest.raises(ValueError, match="cannot go back"):
        ManualClock(EPOCH).set(Ms(EPOCH - 1))

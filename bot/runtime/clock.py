"""Owns every reading of a clock: system, scaled, manual and lockstep time behind one port.

Refuses to know who sleeps here or why; no other file of Keel reads the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

import structlog

from bot.domain.types import Ms
from bot.runtime.deadlines import Deadline, Deadlines

log = structlog.get_logger(__name__)

LONGEST_NAP_S = 1.0  # a suspended machine or a set wall clock is noticed this soon
SET_BACK_S = 1.0  # machine time beyond what was left: the clock was set back, it is not slewing
QUIET_ROUNDS = 6  # loop rounds without a hold: a socket hop takes two, a queue hand-over one
STALL_S = 30.0  # real seconds of standing market time before the holders are named

_FREE: AbstractContextManager[None] = nullcontext()  # reusable and re-entrant


class _RealClock:
    """What system and scaled time share: machine time is the machine's own."""

    speed: float = 1.0

    def now(self) -> Ms:
        return Ms(self.wall())

    async def sleep_until(self, at: Ms) -> None:
        """In naps, by the market clock: one that is set forward wakes at the next of them.

        Machine time bounds it all: a clock that is set back does not hold anybody for longer
        than it said before.
        """
        began, left_s = time.monotonic(), self._left_s(at)
        while left_s > 0 and time.monotonic() - began < left_s + SET_BACK_S:
            now_s = self._left_s(at)
            if now_s <= 0:
                return
            await asyncio.sleep(min(now_s, LONGEST_NAP_S))

    def _left_s(self, at: Ms) -> float:
        """Machine seconds until market time `at`, as the clock stands."""
        return (at - self.now()) / 1000 / self.speed

    def monotonic(self) -> float:
        return time.monotonic()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        return True

    def wall(self) -> int:
        return time.time_ns() // 1_000_000

    def busy(self) -> AbstractContextManager[None]:
        return _FREE


class SystemClock(_RealClock):
    """Market time is the wall clock, also after the operator has set it (paper, live)."""


class ScaledClock(_RealClock):
    """Market time starts at `epoch` and runs `speed` times as fast as machine time (demo).

    It never goes back, whatever happens to the wall clock. After a stop of the process
    (SIGSTOP, debugger) it is where it would have been, and what fell due meanwhile resumes.
    """

    def __init__(
        self, epoch: Ms, speed: float, *, read: Callable[[], float] = time.monotonic
    ) -> None:
        if speed <= 0:
            raise ValueError(f"speed of the clock: expected a number above 0, found {speed}")
        self.epoch = epoch
        self.speed = speed
        self._read = read
        self._started = read()

    def now(self) -> Ms:
        return Ms(self.epoch + int((self._read() - self._started) * 1000 * self.speed))


class _SteppedClock:
    """Market time that stands still until somebody moves it; machine time follows it."""

    def __init__(self, start: Ms) -> None:
        self._now = int(start)
        self._deadlines = Deadlines()

    def now(self) -> Ms:
        return Ms(self._now)

    def monotonic(self) -> float:
        return self._now / 1000

    async def pause(self, seconds: float) -> None:
        await self.sleep_until(Ms(self._now + _whole_ms(seconds)))

    async def sleep_until(self, at: Ms) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():  # cancelled in this very round
                woken.set_result(None)

        deadline = self._register(at, wake)
        try:
            await woken
        finally:
            self._deadlines.remove(deadline)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        try:
            async with asyncio.timeout(None) as limit:
                # A time in the past ends the block in the next round of the loop.
                deadline = self._register(
                    self._now + _whole_ms(seconds), lambda: limit.reschedule(0.0)
                )
                try:
                    await event.wait()
                finally:
                    self._deadlines.remove(deadline)
        except TimeoutError:
            return event.is_set()
        return True

    def _register(self, at: int, wake: Callable[[], object]) -> Deadline:
        return self._deadlines.add(at, wake)


class ManualClock(_SteppedClock):
    """Time moved by hand: backtest and tests.

    `advance` is the plain step; `run_until` also lets the woken work go on between two
    deadlines, so that each sleeper sees its own time.
    """

    def wall(self) -> int:
        return self._now

    def busy(self) -> AbstractContextManager[None]:
        return _FREE

    async def sleep_until(self, at: Ms) -> None:
        if at <= self._now:
            await asyncio.sleep(0)
            return
        await super().sleep_until(at)

    def sleepers(self) -> int:
        """How many wait for a deadline now."""
        return len(self._deadlines)

    def set(self, at: Ms) -> None:
        """Move time to `at` and wake who fell due, earliest first. Raises ValueError for the past.

        The woken tasks run when the caller next awaits; they all see `at`.
        """
        if at < self._now:
            raise ValueError(f"market time cannot go back: now {self._now}, asked for {at}")
        self._now = int(at)
        while (due := self._deadlines.first()) is not None and due <= self._now:
            self._deadlines.wake_first()

    def advance(self, ms: int) -> None:
        """Move time on by `ms`; see `set`."""
        self.set(Ms(self._now + ms))

    async def run_until(self, at: Ms, *, rounds: int = QUIET_ROUNDS) -> None:
        """Move to `at` by way of every deadline before it, `rounds` loop rounds after each."""
        await _rounds(rounds)
        while (due := self._deadlines.first()) is not None and due <= at:
            self._now = max(self._now, due)
            self._deadlines.wake_first()
            await _rounds(rounds)
        self.set(max(at, self.now()))
        await _rounds(rounds)

    async def run_for(self, ms: int, *, rounds: int = QUIET_ROUNDS) -> None:
        """`run_until` with a distance."""
        await self.run_until(Ms(self._now + ms), rounds=rounds)


class _Hold:
    """One `with clock.busy():` of one task."""

    __slots__ = ("_clock", "_task")

    def __init__(self, clock: LockstepClock) -> None:
        self._clock = clock
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._clock._take(self._task, 1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clock._drop(self._task, 1)


class LockstepClock(_SteppedClock):
    """Market time that jumps to the next deadline whenever nobody holds `busy()`.

    `run` is the driver and must be a service. One sleeper is woken at a time and gets the
    loop to itself until it holds, sleeps or is done, so that the order of wake-ups is a
    function of the deadlines alone. Holds belong to tasks, not contexts: a child task does not
    inherit its parent's hold, and a task that waits for a sleeping child must not hold.
    """

    def __init__(self, start: Ms, *, stall_s: float = STALL_S) -> None:
        super().__init__(start)
        self.wakeups = 0
        self._stall_s = stall_s
        self._holders: dict[asyncio.Task[Any] | None, int] = {}
        self._takes = 0
        self._free = asyncio.Event()
        self._free.set()
        self._armed = asyncio.Event()

    def wall(self) -> int:
        return time.time_ns() // 1_000_000

    def busy(self) -> AbstractContextManager[None]:
        return _Hold(self)

    async def sleep_until(self, at: Ms) -> None:
        task, depth = self._let_go()
        try:
            await super().sleep_until(at)
        finally:
            self._take(task, depth)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        task, depth = self._let_go()
        try:
            return await super().wait(event, seconds)
        finally:
            self._take(task, depth)

    def holders(self) -> tuple[str, ...]:
        """Names of the tasks that hold market time now, oldest hold first."""
        return tuple(task.get_name() if task else "callback" for task in self._holders)

    async def run(self) -> None:
        """Drive market time; never returns."""
        watch = _StallWatch(self, self._stall_s)
        watch.start()
        try:
            while True:
                await self._settle()
                due = self._deadlines.first()
                if due is None:
                    self._armed.clear()
                    await self._armed.wait()
                    continue
                if due > self._now:
                    self._now = due
                self.wakeups += 1
                self._deadlines.wake_first()
        finally:
            watch.stop()

    async def _settle(self) -> None:
        """Return when nobody has held the clock for QUIET_ROUNDS rounds of the loop."""
        quiet = 0
        seen = self._takes
        while quiet < QUIET_ROUNDS:
            if self._holders:
                await self._free.wait()
            await asyncio.sleep(0)
            if self._takes != seen:
                quiet, seen = 0, self._takes
            else:
                quiet += 1

    def _register(self, at: int, wake: Callable[[], object]) -> Deadline:
        self._armed.set()
        return self._deadlines.add(at, wake)

    def _take(self, task: asyncio.Task[Any] | None, depth: int) -> None:
        if depth:
            self._takes += 1
            self._holders[task] = self._holders.get(task, 0) + depth
            self._free.clear()

    def _drop(self, task: asyncio.Task[Any] | None, depth: int) -> None:
        left = self._holders[task] - depth
        if left:
            self._holders[task] = left
            return
        del self._holders[task]
        if not self._holders:
            self._free.set()

    def _let_go(self) -> tuple[asyncio.Task[Any] | None, int]:
        """Drop all holds of the current task; gives what `_take` needs to have them back."""
        task = asyncio.current_task()
        depth = self._holders.get(task, 0)
        if depth:
            self._drop(task, depth)
        return task, depth


class _StallWatch:
    """Names the holders, once a stall, when market time has stood still for too long."""

    def __init__(self, clock: LockstepClock, limit_s: float) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None
        self._wakeups = -1
        self._since = 0.0
        self._told = False

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limit_s / 6, self._look, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        holders = self._clock.holders()
        if not holders or self._clock.wakeups != self._wakeups:
            self._wakeups, self._since, self._told = self._clock.wakeups, loop.time(), False
        elif not self._told and loop.time() - self._since >= self._limit_s:
            self._told = True
            log.warning(
                "market_time_held",
                holders=holders,
                real_seconds=round(loop.time() - self._since, 1),
                now=self._clock.now(),
                remedy="a task holds busy() while it waits for something that market time brings",
            )
        self.start()


async def _rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _whole_ms(seconds: float) -> int:
    """Seconds as ms, never 0 for a positive pause: a loop of tiny pauses must move time on."""
    return max(round(seconds * 1000), 1) if seconds > 0 else 0

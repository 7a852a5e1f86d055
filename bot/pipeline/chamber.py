"""The room for what outlives a cycle: questions before the council, answers that come late.

Owns the group that such tasks run in, inside the road's service; knows no question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from bot.ports import Clock

T = TypeVar("T")


class Chamber:
    """Runs tasks while it is open; closing it cancels them and waits for their end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}  # a dict keeps their order

    @property
    def busy(self) -> int:
        """Tasks that run now."""
        return len(self._tasks)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let tasks run inside the block."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = None
                for task in tuple(self._tasks):
                    task.cancel()

    @property
    def is_open(self) -> bool:
        return self._group is not None

    async def settled(self) -> None:
        """Return when nothing runs any more."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def spawn(self, work: Coroutine[Any, Any, T], *, holds: bool = True) -> asyncio.Task[T]:
        """Run `work`, holding the clock: in lockstep no market time passes while it runs.

        What waits for others here must not hold (`holds=False`): they may sleep by the clock,
        for their share of the venue's rate limit say, which a hold would keep from passing.
        Raises RuntimeError when the chamber is not open.
        """
        if self._group is None:
            work.close()
            raise RuntimeError("the chamber is not open: nothing can be put before the council")
        task = self._group.create_task(self._held(work) if holds else work)
        self._tasks[task] = None

        def ended(_: asyncio.Task[T]) -> None:
            self._tasks.pop(task, None)
            work.close()  # one that was cancelled before it began never ran

        task.add_done_callback(ended)
        return task

    async def together(self, tasks: Collection[asyncio.Task[T]], limit_s: float) -> None:
        """Return when all have ended, at the latest after `limit_s` by the clock.

        The caller's hold is let go meanwhile. In lockstep the limit is market time, so that who
        comes late is a matter of the market, never of how busy the machine is.
        """
        ended, left = asyncio.Event(), sum(not task.done() for task in tasks)

        def count(_: asyncio.Task[T]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                ended.set()

        for task in tasks:
            if not task.done():
                task.add_done_callback(count)
        if left:
            await self._clock.wait(ended, limit_s)
        for task in tasks:
            task.remove_done_callback(count)

    async def _held(self, work: Coroutine[Any, Any, T]) -> T:
        with self._clock.busy():
            return await work

"""Waiting for something to become true, woken by events instead of polling.

Knows no event by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot.ports import Clock


class Pulse:
    """Everyone who waits looks again at each beat."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[asyncio.Event] = []

    def beat(self) -> None:
        for event in self._waiting:
            event.set()

    async def until(self, predicate: Callable[[], bool], seconds: float) -> bool:
        """Wait until `predicate` holds, at most `seconds` of machine time; whether it did."""
        deadline = self._clock.monotonic() + seconds
        event = asyncio.Event()
        self._waiting.append(event)
        try:
            while not predicate():
                left = deadline - self._clock.monotonic()
                if left <= 0 or not await self._clock.wait(event, left):
                    return predicate()
                event.clear()
            return True
        finally:
            self._waiting.remove(event)

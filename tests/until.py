"""Waiting in tests for what sockets bring: ask again and again, up to a generous limit.

Not for what a clock decides: move the clock instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PAUSE_S = 0.002


async def until(predicate: Callable[[], object], limit_s: float = 10.0) -> None:
    """Return once `predicate()` is true. Raises AssertionError after `limit_s` real seconds."""
    try:
        async with asyncio.timeout(limit_s):
            while not predicate():
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        raise AssertionError(f"not true within {limit_s} s: {predicate}") from None

"""Owns the last good answer of each question, given again, marked, while the database is away.

Refuses to know what was asked.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from bot.domain.errors import TransientError
from bot.domain.types import Ms

WAIT_S = 1.5  # machine time; then an older answer is better than none: a lock may hold for long
KEPT = 32  # answers; the page itself asks about ten
SLOW = "the database takes its time"


class LastGood:
    """Bounded: the answer that was longest not asked for goes first."""

    def __init__(self, now: Callable[[], Ms]) -> None:
        """`now`: the time that an answer is from."""
        self._now = now
        self._kept: OrderedDict[tuple[object, ...], tuple[Ms, Mapping[str, object]]] = OrderedDict()

    async def answer(
        self,
        key: tuple[object, ...],
        ask: Awaitable[Mapping[str, object]],
        wait_s: float | None = WAIT_S,
    ) -> Mapping[str, object]:
        """What `ask` gives, or its last good answer of the same `key` with `stale` true.

        Where there is an older answer, a newer one is waited for no longer than `wait_s`.
        `stale_since_at` says from when it is, `stale_why` why there is no newer one. Raises
        TransientError where there was no good answer yet.
        """
        try:
            async with asyncio.timeout(wait_s if key in self._kept else None):
                found = await ask
        except (TransientError, TimeoutError) as error:
            if key not in self._kept:
                raise
            self._kept.move_to_end(key)
            at, found = self._kept[key]
            return {**found, "stale": True, "stale_since_at": at, "stale_why": str(error) or SLOW}
        self._kept[key] = self._now(), found
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    def since(self, since: Ms | None) -> int | None:
        """A stretch of time as part of a key: about the same length is the same question."""
        return None if since is None else max(0, self._now() - since).bit_length()

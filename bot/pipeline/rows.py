"""The one writer of money rows: ahead of an action where it must be, behind facts where it may.

Owns the order of rows and what happens while the database is away; knows no meaning of a row.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from bot.domain.errors import TransientError
from bot.ports import Changes, Clock, Journal

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 0.25
RETRY_MAX_S = 15.0

_Item = tuple[Changes, "asyncio.Future[None] | None"]


class Rows:
    """A queue of `Changes` in front of the journal, written strictly in order.

    `ahead` returns when its row is durable; `behind` returns at once. When the database is
    away everybody who waits is told so at once (TransientError: do not act), and what is
    behind is kept and tried again: facts of the venue are also held by the venue, so a crash
    meanwhile loses nothing that reconciliation does not fetch again.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._queue: deque[_Item] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._away = False

    @property
    def backlog(self) -> int:
        return len(self._queue)

    @property
    def away(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._away

    def behind(self, changes: Changes) -> None:
        """Queue rows of something that already happened."""
        self._push(changes, None)

    async def ahead(self, changes: Changes) -> None:
        """Write rows before an action. Raises TransientError when they are not durable."""
        if self._away:
            raise TransientError("the database is away: the intent could not be written")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._push(changes, done)
        await done

    async def drained(self) -> None:
        """Return when nothing is queued."""
        await self._idle.wait()

    async def run(self) -> None:
        """Service: write until cancelled."""
        wait_s = RETRY_FIRST_S
        while True:
            await self._work.wait()
            try:
                with self._clock.busy():
                    await self.step()
                wait_s = RETRY_FIRST_S
            except TransientError as error:
                self._tell_away(error)
                await self._clock.pause(wait_s)
                wait_s = min(wait_s * 2, RETRY_MAX_S)

    async def step(self) -> None:
        """Write everything queued, oldest first. Raises TransientError when one row fails."""
        while self._queue:
            changes, done = self._queue[0]
            await self._journal.record(changes)
            self._queue.popleft()
            if done is not None and not done.done():
                done.set_result(None)
            if self._away:
                self._away = False
                log.warning("database_back", backlog=len(self._queue))
        self._work.clear()
        self._idle.set()

    def _push(self, changes: Changes, done: asyncio.Future[None] | None) -> None:
        self._queue.append((changes, done))
        self._idle.clear()
        self._work.set()

    def _tell_away(self, error: TransientError) -> None:
        if not self._away:
            log.error("database_away", error=str(error), backlog=len(self._queue))
        self._away = True
        for changes, done in list(self._queue):
            if done is None:
                continue
            self._queue.remove((changes, done))
            if not done.done():
                done.set_exception(TransientError(f"the intent could not be written: {error}"))

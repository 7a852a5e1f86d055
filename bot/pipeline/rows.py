"""The one writer of money rows: ahead of an action where it must be, behind facts where it may.

Owns the order of rows and what happens while the database is away; knows no meaning of a row.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from bot.domain.errors import InvariantBroken, TransientError
from bot.ports import Changes, Clock, Journal, MoneySpool

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 0.25
RETRY_MAX_S = 5.0

_Item = tuple[Changes, "asyncio.Future[None] | None"]


class Rows:
    """A queue of `Changes` in front of the journal, written strictly in order.

    `ahead` returns when its row is durable; `behind` returns at once. When the database is
    away everybody who waits is told so at once (TransientError: do not act), and what is
    behind goes to the spool file, which the journal replays before anything newer. Without a
    spool, or when that file cannot be written either, it is kept in memory and tried again.
    While away the writer asks by itself, so that a database that is back is used again.
    """

    def __init__(self, journal: Journal, clock: Clock, spool: MoneySpool | None = None) -> None:
        self._journal = journal
        self._clock = clock
        self._spool = spool
        self._queue: deque[_Item] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._away = False
        self._unsynced = asyncio.Event()
        self._appended = 0  # rows given to the spool
        self._synced = 0  # of these, on the disk
        self._spool_fails = False

    @property
    def backlog(self) -> int:
        """Rows that are not in the database."""
        return len(self._queue) + (self._spool.pending if self._spool is not None else 0)

    @property
    def away(self) -> bool:
        """Whether the database did not take the last row, and has not been seen back since."""
        return self._away

    def behind(self, changes: Changes) -> None:
        """Queue rows of something that already happened."""
        if not (self._away and not self._queue and self._spooled(changes)):
            self._push(changes, None)

    async def ahead(self, changes: Changes) -> None:
        """Write rows before an action. Raises TransientError when they are not durable."""
        if self._away:
            raise TransientError("the database is away: the intent could not be written")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._push(changes, done)
        await done

    async def drained(self) -> None:
        """Return when nothing is queued: all is in the database, or on the disk in the spool."""
        await self._idle.wait()

    async def run(self) -> None:
        """Service: write until cancelled. Raises InvariantBroken for a row no table takes."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write())
                group.create_task(self._sync())
        except BaseExceptionGroup as ended:
            raise ended.exceptions[0] from None

    async def step(self) -> None:
        """Write everything queued, oldest first. Raises TransientError when one row fails."""
        if self._away and self._spool is not None:
            await self._replay(self._spool)
        while self._queue:
            changes, done = self._queue[0]
            await self._journal.record(changes)
            self._queue.popleft()
            if done is not None and not done.done():
                done.set_result(None)
            self._tell_back()
        self._tell_back()
        self._work.clear()
        self._settle()

    async def _write(self) -> None:
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

    async def _replay(self, spool: MoneySpool) -> None:
        """Bring the spool into the database, with what was appended meanwhile."""
        await spool.catch_up()
        while spool.pending:
            await spool.catch_up()
        self._tell_back()  # in the same turn of the loop: nothing is appended in between

    async def _sync(self) -> None:
        """Bring the spool to the disk beside the writer, who may be waiting for the database."""
        while True:
            await self._unsynced.wait()
            self._unsynced.clear()
            appended = self._appended
            if self._spool is not None:
                try:
                    await self._spool.sync()
                except TransientError as error:
                    log.error("spool_not_synced", error=str(error))
            self._synced = appended
            self._settle()

    def _spooled(self, changes: Changes) -> bool:
        """Give rows to the spool; whether it took them."""
        if self._spool is None:
            return False
        try:
            self._spool.append(changes)
        except (TransientError, InvariantBroken) as error:
            if not self._spool_fails:
                log.error("rows_kept_in_memory", error=str(error))
            self._spool_fails = True
            return False
        self._spool_fails = False
        self._appended += 1
        self._idle.clear()
        self._unsynced.set()
        return True

    def _push(self, changes: Changes, done: asyncio.Future[None] | None) -> None:
        self._queue.append((changes, done))
        self._idle.clear()
        self._work.set()

    def _settle(self) -> None:
        if not self._queue and self._synced == self._appended:
            self._idle.set()

    def _tell_back(self) -> None:
        if self._away:
            log.warning("database_back", backlog=len(self._queue))
        self._away = False

    def _tell_away(self, error: TransientError) -> None:
        """Refuse who waits, put what is behind on the disk; `_work` stays set: ask again."""
        if not self._away:
            log.error("database_away", error=str(error), backlog=len(self._queue))
        self._away = True
        waiting = list(self._queue)
        self._queue.clear()
        for changes, done in waiting:
            if done is None:
                if self._queue or not self._spooled(changes):
                    self._queue.append((changes, None))
            elif not done.done():
                done.set_exception(TransientError(f"the intent could not be written: {error}"))
        self._settle()

"""Brings what was spooled into the database: in order, and each line once.

Owns the order and the mark; knows neither when the database is back nor who spooled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import Database, upsert
from bot.adapters.store.money import write_money
from bot.adapters.store.rows import MoneyRows, decode_money
from bot.adapters.store.spool import Chunk, Spool
from bot.adapters.store.tables import spool_marks
from bot.adapters.store.trace_rows import TraceRows, decode_trace, write_traces
from bot.domain import canonical
from bot.domain.errors import InvariantBroken, TransientError
from bot.ports import Clock

log = structlog.get_logger(__name__)

_LINES_A_TRANSACTION = 25  # of up to 4 KB: decoding them stays under 5 ms of the loop

Spooled = MoneyRows | TraceRows


class Replay:
    """Replays the spool through the money engine.

    The number of replayed lines is written in the transaction that writes them, and read in the
    next: whenever the process is killed or a replay given up, no line is replayed twice, so no
    older row ever covers a newer one.
    """

    def __init__(self, spool: Spool, database: Database, clock: Clock) -> None:
        self._spool = spool
        self._database = database
        self._clock = clock
        self._lock = asyncio.Lock()

    @property
    def pending(self) -> int:
        return self._spool.pending

    async def run(self) -> None:
        """Replay all there is and remove the file. Raises TransientError: try again later."""
        with self._clock.busy():
            async with self._lock:
                before = self._spool.pending
                try:
                    await self._all()
                except OSError as error:
                    raise TransientError(
                        f"{self._spool.path} cannot be read or removed: {error}"
                    ) from error
        if before:
            log.warning("spool_replayed", lines=before)

    async def _all(self) -> None:
        while self._spool.pending:
            chunk = await asyncio.to_thread(self._spool.read, _LINES_A_TRANSACTION)
            first = self._spool.done
            spooled = [self._decode(line) for line in chunk.lines]
            try:
                await self._write(first, spooled)
            except InvariantBroken:
                await self._one_by_one(first, chunk, spooled)
            self._spool.advance(chunk)
        self._spool.drop()

    async def _one_by_one(
        self, first: int, chunk: Chunk, spooled: Sequence[Spooled | None]
    ) -> None:
        """One line of the chunk cannot be written: find it and keep it aside."""
        for number, (line, rows) in enumerate(zip(chunk.lines, spooled), start=first):
            try:
                await self._write(number, [rows])
            except InvariantBroken as error:
                await self._write(number, [None])
                self._spool.reject([line], str(error))

    async def _write(self, first: int, spooled: Sequence[Spooled | None]) -> None:
        """Write lines `first` and following, those left out that the mark says are there."""
        ident = self._spool.id

        async def work(db: AsyncConnection) -> None:
            mark = select(spool_marks.c.lines).where(spool_marks.c.spool_id == ident)
            marked = (await db.execute(mark)).scalar() or 0
            missing = spooled[max(0, marked - first) :]
            if not missing:
                return
            await _write_rows(db, [rows for rows in missing if rows is not None])
            await db.execute(spool_marks.delete().where(spool_marks.c.spool_id != ident))
            done = {"spool_id": ident, "lines": first + len(spooled)}
            await db.execute(upsert(db, spool_marks), done)

        await self._database.write(work)

    def _decode(self, line: bytes) -> Spooled | None:
        """The rows of a line; None when it is none, which is kept aside."""
        try:
            value: Any = canonical.loads(line)
            return decode_money(value) if value["kind"] == "money" else decode_trace(value)
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            self._spool.reject([line], f"unreadable: {error!r}")
            return None


async def _write_rows(db: AsyncConnection, spooled: Sequence[Spooled]) -> None:
    """Write in order; traces that follow each other go together."""
    for kind, group in groupby(spooled, type):
        if kind is TraceRows:
            await write_traces(db, [rows for rows in group if isinstance(rows, TraceRows)])
            continue
        for rows in group:
            if isinstance(rows, MoneyRows):
                await write_money(db, rows)

"""Old traces: from the table into compressed files of one month each, verified, then deleted.

Owns the order of those steps and the answer to "where is trace X"; knows no age by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.archive_file import append, find, recover_folder
from bot.adapters.store.engine import Database
from bot.adapters.store.rows import ReadRow
from bot.adapters.store.tables import gate_results, traces
from bot.domain.errors import TransientError
from bot.domain.types import Ms, TraceId
from bot.ports import Clock
from bot.runtime.lock import FolderLock

log = structlog.get_logger(__name__)

ROWS_A_BATCH = 200  # read, written, verified and deleted together
LOCK_NAME = "archive.lock"
PAUSE_S = 0.05  # between two batches: the road goes first


@dataclass(frozen=True, slots=True)
class Archived:
    """Where an archived trace is."""

    file: str
    line: bytes  # canonical JSON of its columns, the body in plain


class TraceArchive:
    """Moves rows whose market time is old into `folder`/traces-YYYYMM.jsonl.gz.

    Rows of `gate_results` go along (they are in the body); `signals` stay: they are small, and
    outcomes are counted from them.
    """

    def __init__(self, database: Database, folder: Path, clock: Clock) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock

    async def move_older(self, before: Ms) -> int:
        """Archive every trace that started before a moment of market time; how many.

        Raises TransientError when database or disk fail; what was moved by then stays moved,
        and nothing is in neither place. Killed between two steps it may be in both: the file is
        read by id, so that is no harm. Raises AlreadyRunning while another process archives.
        """
        lock = FolderLock(self._folder, LOCK_NAME)
        await asyncio.to_thread(lock.acquire)
        try:
            moved = await self._move(before)
        except OSError as error:
            raise TransientError(f"archive {self._folder}: {error}") from error
        finally:
            lock.release()
        if moved:
            log.info("traces_archived", traces=moved, folder=str(self._folder))
        return moved

    async def _move(self, before: Ms) -> int:
        moved = 0
        await asyncio.to_thread(recover_folder, self._folder)
        while rows := await self._database.read(partial(_oldest, before=before)):
            with self._clock.busy():
                await asyncio.to_thread(append, self._folder, rows)
                await self._delete([row["id"] for row in rows])
            moved += len(rows)
            await self._clock.pause(PAUSE_S)
        return moved

    async def newest(self) -> Ms:
        """Market time of the newest trace; 0 when there is none. Raises TransientError."""
        return await self._database.read(_newest)

    async def find(self, trace_id: TraceId) -> Archived | None:
        """Where an id that the table does not hold was archived; None when nowhere.

        Reads whole files in a thread. Raises TransientError when one cannot be read.
        """
        try:
            found = await asyncio.to_thread(find, self._folder, trace_id)
        except OSError as error:
            raise TransientError(f"archive {self._folder}: {error}") from error
        return None if found is None else Archived(*found)

    async def _delete(self, ids: Sequence[str]) -> None:
        async def work(db: AsyncConnection) -> None:
            await db.execute(gate_results.delete().where(gate_results.c.trace_id.in_(ids)))
            await db.execute(traces.delete().where(traces.c.id.in_(ids)))

        await self._database.write(work)


def _first_old(before: Ms) -> Select[tuple[object, ...]]:
    ordered = select(traces).where(traces.c.started_at < before)
    return ordered.order_by(traces.c.started_at, traces.c.id).limit(ROWS_A_BATCH)


async def _oldest(db: AsyncConnection, before: Ms) -> Sequence[ReadRow]:
    return list((await db.execute(_first_old(before))).mappings())


async def _newest(db: AsyncConnection) -> Ms:
    return Ms((await db.execute(select(func.max(traces.c.started_at)))).scalar() or 0)

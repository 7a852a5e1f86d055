"""One SQLite file behind two engines: money commits wait for the disk, traces do not.

Owns connections, transactions and the translation of errors; knows no table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.adapters.store.schema import async_url, explain
from bot.domain.errors import InvariantBroken, TransientError
from bot.ports import Clock

Durability = Literal["FULL", "NORMAL"]  # SQLite's PRAGMA synchronous (spec 05)

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
Gate = AbstractAsyncContextManager[None]

_WRITES = "keel_writes"


def create_engine(
    path: Path, durability: Durability, busy_timeout_s: float, limit_s: float
) -> AsyncEngine:
    """An engine of at most two connections: one that writes, one that reads beside it."""
    engine = create_async_engine(
        async_url(path),
        pool_size=2,
        max_overflow=0,
        pool_timeout=limit_s,
        # The driver begins no transaction by itself: ours begin below, as what they are.
        connect_args={"isolation_level": None, "timeout": busy_timeout_s},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={durability}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that turns from reading to writing fails at once when another
        # has written meanwhile, whatever the busy timeout: writers say so from the start.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def insert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """The INSERT that knows ON CONFLICT, of the dialect at hand."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def upsert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Insert, or replace every other column of the row that has the same key."""
    statement = insert(connection, table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def insert_once(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Insert, or leave the row alone that has the same key."""
    keys = [column.name for column in table.primary_key]
    return insert(connection, table).on_conflict_do_nothing(index_elements=keys)


@dataclass(slots=True)
class _Turn:
    """Whether the caller of a transaction still waits for it."""

    abandoned: bool = False


class Database:
    """Transactions on one engine, each held busy, bounded in time, with translated errors.

    `gate` is shared by every writer of the file: waiting in the loop costs microseconds, while
    SQLite's own waiting sleeps for up to 100 ms at a time.
    """

    def __init__(
        self,
        path: Path,
        durability: Durability,
        clock: Clock,
        gate: asyncio.Lock,
        *,
        busy_timeout_s: float,
        limit_s: float,
    ) -> None:
        self._path = path
        self._clock = clock
        self._gate = gate
        self._limit_s = limit_s
        self._engine = create_engine(path, durability, busy_timeout_s, limit_s)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction that is committed at its end, or not at all.

        Raises TransientError (not known to be written; repeat it: every write of this store
        may be repeated) and InvariantBroken (the row itself cannot be written).
        """
        return await self._bounded(self._writer, self._gate, work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one snapshot. Raises TransientError."""
        return await self._bounded(self._engine, nullcontext(), work)

    async def close(self) -> None:
        """Close every connection; its threads would keep the process alive otherwise."""
        self._closed = True
        with self._clock.busy():
            if self._running:
                await asyncio.wait(self._running, timeout=self._limit_s)
            await self._engine.dispose()

    async def _bounded(self, engine: AsyncEngine, gate: Gate, work: Work[T]) -> T:
        """Wait for a transaction of its own task, so that giving up does not wait either.

        A cancelled transaction would wait for SQLite's answer in its thread before it ended.
        Here the caller leaves at once; what has begun ends by itself, what has not never does.
        """
        if self._closed:
            raise TransientError(f"database {self._path} is closed in this process")
        turn = _Turn()
        task = asyncio.create_task(self._transaction(turn, engine, gate, work))
        self._running.add(task)
        task.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(self._limit_s):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise TransientError(
                f"database {self._path} gave no answer within {self._limit_s:g} s"
            ) from error
        finally:
            turn.abandoned = True

    async def _transaction(self, turn: _Turn, engine: AsyncEngine, gate: Gate, work: Work[T]) -> T:
        with self._clock.busy(), self._translated():
            async with gate:
                if turn.abandoned:
                    raise TransientError("given up before it began")
                async with engine.begin() as connection:
                    return await work(connection)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # read, so that one nobody waits for any more is not reported

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise TransientError(f"database {self._path}: no connection is free") from error
        except IntegrityError as error:
            raise InvariantBroken(f"database {self._path} refuses a row: {error.orig}") from error
        except DBAPIError as error:
            cause = explain(self._path, error.orig or error)
            raise TransientError(str(cause)) from error
        except (StatementError, OverflowError) as error:
            raise InvariantBroken(f"a row cannot be written: {error}") from error

"""One database behind two engines: money commits wait for the disk, traces do not.

Owns connections, transactions and the translation of errors; knows no table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sqlalchemy import Connection, Dialect, Table, event
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.adapters.store.line import line_to
from bot.adapters.store.place import Place
from bot.adapters.store.schema import explain
from bot.adapters.store.server import connect_args, explain_server, sqlstate
from bot.adapters.store.watch import FileWatch
from bot.domain.errors import InvariantBroken, TransientError
from bot.ports import Clock
from bot.runtime.calls import CallMeter

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

Durability = Literal["FULL", "NORMAL"]  # SQLite's PRAGMA synchronous (spec 05)

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
Gate = AbstractAsyncContextManager[None]

_WRITES = "keel_writes"
_BAD_VALUE = "22"  # PostgreSQL's class of "data exception": this value, whenever it is tried


def create_engine(
    place: Place, durability: Durability, busy_timeout_s: float, limit_s: float
) -> AsyncEngine:
    """An engine of few connections; `busy_timeout_s` is how long another's lock is waited for."""
    if place.is_file:
        return _file_engine(place, durability, busy_timeout_s, limit_s)
    return create_async_engine(
        place.url,
        # Two engines: 2 to 10 connections together (spec 40, Database).
        pool_size=1,
        max_overflow=4,
        pool_timeout=limit_s,
        pool_pre_ping=True,  # a restarted server costs one question, not one refused entry
        connect_args=connect_args(lock_limit_s=busy_timeout_s, synchronous=durability == "FULL"),
    )


def _file_engine(
    place: Place, durability: Durability, busy_timeout_s: float, limit_s: float
) -> AsyncEngine:
    """At most two connections: one that writes, one that reads beside it."""
    engine = create_async_engine(
        place.daemon_url,
        pool_size=2,
        max_overflow=0,
        pool_timeout=limit_s,
        # The driver begins no transaction by itself: ours begin below, as what they are.
        connect_args={
            "isolation_level": None,
            "timeout": busy_timeout_s,
            "async_creator_fn": line_to,
        },
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


def insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """The INSERT that knows ON CONFLICT, of a dialect. Its engine has imported it; the other
    one stays out of the process (2 MB)."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def upsert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Insert, or replace every other column of the row that has the same key."""
    return _upsert(connection.dialect.name, table)


def insert_once(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Insert, or leave the row alone that has the same key."""
    return _insert_once(connection.dialect.name, table)


# Built once: a statement keeps the key under which SQLAlchemy finds its compiled form.


@cache
def _upsert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    statement = insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


@cache
def _insert_once(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    keys = [column.name for column in table.primary_key]
    return insert(dialect, table).on_conflict_do_nothing(index_elements=keys)


@cache
def _insert_text(dialect: Dialect, table: Table) -> str:
    return str(table.insert().compile(dialect=dialect))


@cache
def _upsert_text(dialect: Dialect, table: Table) -> str:
    return str(_upsert(dialect.name, table).compile(dialect=dialect))


async def insert_many(
    connection: AsyncConnection, table: Table, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert tuples in the order of the table's columns, given to the driver as they are.

    For many small rows of plain types: SQLAlchemy's way through a dictionary a row costs more
    than the row.
    """
    await connection.exec_driver_sql(_insert_text(connection.dialect, table), list(rows))


async def upsert_many(
    connection: AsyncConnection, table: Table, rows: Sequence[tuple[Any, ...]]
) -> None:
    """`upsert` of tuples, as `insert_many` has them."""
    await connection.exec_driver_sql(_upsert_text(connection.dialect, table), list(rows))


@dataclass(slots=True)
class _Turn:
    """Whether the caller of a transaction still waits for it."""

    abandoned: bool = False


class Database:
    """Transactions on one engine, each held busy, bounded in time, with translated errors.

    `gate` leads to the one place of the database's writer: waiting in the loop costs microseconds,
    while SQLite's own waiting sleeps for up to 100 ms at a time. `watch` notices a file that was
    taken away; a server has none.
    """

    def __init__(
        self,
        place: Place,
        durability: Durability,
        clock: Clock,
        gate: Gate,
        watch: FileWatch | None,
        *,
        busy_timeout_s: float,
        limit_s: float,
    ) -> None:
        self._place = place
        self._clock = clock
        self._gate = gate
        self._watch = watch
        self._limit_s = limit_s
        self._engine = create_engine(place, durability, busy_timeout_s, limit_s)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        self._reader = self._engine
        if watch is not None:
            watch.engines.append(self._engine)
        else:
            self._reader = self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self.calls = CallMeter()
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction that is committed at its end, or not at all.

        Raises TransientError (not known to be written; repeat it: every write of this store
        may be repeated) and InvariantBroken (the row itself cannot be written).
        """
        with self.calls.timed(self._clock.monotonic):
            return await self._bounded(self._writer, self._gate, work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one snapshot. Raises TransientError."""
        with self.calls.timed(self._clock.monotonic):
            return await self._bounded(self._reader, nullcontext(), work)

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
        Here the caller leaves at once; what has begun ends by itself, what has not never does
        (on PostgreSQL it is cancelled). Either way the gate keeps order.
        """
        if self._closed:
            raise TransientError(f"database {self._place} is closed in this process")
        turn = _Turn()
        task = asyncio.create_task(self._transaction(turn, engine, gate, work))
        self._running.add(task)
        task.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(self._limit_s):
                return await asyncio.shield(task)
        except TimeoutError as error:
            if not self._place.is_file:
                task.cancel()  # asyncpg takes the statement back; SQLite's thread cannot be told
            raise TransientError(
                f"database {self._place} gave no answer within {self._limit_s:g} s"
            ) from error
        finally:
            turn.abandoned = True

    async def _transaction(self, turn: _Turn, engine: AsyncEngine, gate: Gate, work: Work[T]) -> T:
        with self._clock.busy(), self._translated():
            async with gate:
                if turn.abandoned:
                    raise TransientError("given up before it began")
                if self._watch is not None:
                    await self._watch.insist()
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
            raise TransientError(f"database {self._place}: no connection is free") from error
        except IntegrityError as error:
            raise InvariantBroken(f"database {self._place} refuses a row: {error.orig}") from error
        except DBAPIError as error:
            if sqlstate(error).startswith(_BAD_VALUE):
                raise InvariantBroken(f"a row cannot be written: {error.orig}") from error
            raise TransientError(str(self._explained(error))) from error
        except OSError as error:  # PostgreSQL's driver lets the network's words through
            raise TransientError(str(self._explained(error))) from error
        except (StatementError, OverflowError) as error:
            raise InvariantBroken(f"a row cannot be written: {error}") from error

    def _explained(self, error: DBAPIError | OSError) -> Exception:
        if not self._place.is_file:
            return explain_server(self._place, error)
        return explain(self._place.path, getattr(error, "orig", None) or error)

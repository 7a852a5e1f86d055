"""A connection to a file of SQLite that goes to its thread and back once a statement.

Owns how a statement is handed over; knows no SQL. aiosqlite goes there for the cursor, for the
statement, for its rows and for the end of the cursor: each way there and back is two turns of
the loop, and a row that an exit waits for took sixteen while a scan was computed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import aiosqlite

FIRST_ROWS = 100  # fetched along with the statement
_Row = tuple[Any, ...]


class Line(aiosqlite.Connection):
    """What SQLAlchemy's dialect needs of aiosqlite, in fewer steps."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=FIRST_ROWS)
        # The dialect says so too, for connections that it makes itself.
        self._thread.daemon = True
        self._given = self._done = 0  # each is written by one thread only

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Made in the thread, with the statement."""
        return Cursor(self)

    async def rollback(self) -> None:
        """The pool asks for it after each commit; without a transaction there is no way to go."""
        if self._given != self._done or self._conn.in_transaction:
            await super().rollback()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._given += 1
        work = partial(fn, *args, **kwargs)
        return await super()._execute(self._counted, work)  # type: ignore[no-untyped-call]

    def _counted(self, work: Callable[[], Any]) -> Any:
        """In the thread; also what a cancelled caller no longer waits for."""
        try:
            return work()
        finally:
            self._done += 1


class Cursor:
    """One statement and its rows. Open in the thread only while there are more of them."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._cursor: sqlite3.Cursor | None = None
        self._rows: list[_Row] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Cursor:
        return self

    def __aiter__(self) -> AsyncIterator[_Row]:
        return self._all()

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Cursor:
        """Run a statement; its first rows come along."""
        await self._line._execute(self._run, sqlite3.Cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Cursor:
        """Run a statement once for each of `parameters`."""
        await self._line._execute(self._run, sqlite3.Cursor.executemany, sql, parameters)
        return self

    async def fetchone(self) -> _Row | None:
        """The next row."""
        found = await self.fetchmany(1)
        return found[0] if found else None

    async def fetchmany(self, size: int | None = None) -> Sequence[_Row]:
        """The next rows, `arraysize` unless told otherwise."""
        wanted = self.arraysize if size is None else size
        if self._cursor is not None and len(self._rows) < wanted:
            await self._line._execute(self._fetch, wanted - len(self._rows))
        found, self._rows = self._rows[:wanted], self._rows[wanted:]
        return found

    async def fetchall(self) -> Sequence[_Row]:
        """All rows that are left."""
        if self._cursor is not None:
            await self._line._execute(self._fetch, None)
        found, self._rows = self._rows, []
        return found

    async def close(self) -> None:
        """Give up what is left."""
        self._rows = []
        if self._cursor is not None:
            await self._line._execute(self._end)

    async def _all(self) -> AsyncIterator[_Row]:
        while rows := await self.fetchmany(FIRST_ROWS):
            for row in rows:
                yield row

    # --- in the thread -------------------------------------------------------------------

    def _run(self, how: Callable[..., Any], sql: str, parameters: Any) -> None:
        cursor = self._cursor = self._line._conn.cursor()
        try:
            how(cursor, sql, parameters)
            self.description = cursor.description
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
            self._fetch(FIRST_ROWS)
        except BaseException:
            self._end()
            raise

    def _fetch(self, most: int | None) -> None:
        cursor = self._cursor
        assert cursor is not None  # asked for by the callers above
        found = cursor.fetchall() if most is None else cursor.fetchmany(most)
        self._rows += found
        if most is None or len(found) < most:
            self._end()

    def _end(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()


def line_to(database: str, **options: Any) -> Line:
    """A connection that opens when it is awaited; `options` are those of `sqlite3.connect`."""
    return Line(partial(sqlite3.connect, database, **options))

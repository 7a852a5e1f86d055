"""The connection to a file: the driver's behaviour, in fewer ways to its thread and back."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.adapters.store.engine import create_engine
from bot.adapters.store.line import FIRST_ROWS, Line, line_to
from bot.adapters.store.place import place_of_file

SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
    " SELECT count(*) FROM n"
)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    made = line_to(str(tmp_path / "line.db"), isolation_level=None)
    await made
    cursor = made.cursor()
    await cursor.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    await cursor.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(3 * FIRST_ROWS)])
    yield made
    await made.close()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    path = tmp_path / "engine.db"
    path.touch()  # a daemon's engine makes no file
    made = create_engine(place_of_file(path), "NORMAL", 0.0, 5.0)
    yield made
    await made.dispose()


def ways(line: Line) -> int:
    """How often something was handed to the thread."""
    return line._given


async def test_a_statement_is_one_way(line: Line) -> None:
    """Cursor, statement, first rows and end together."""
    before = ways(line)
    cursor = line.cursor()
    await cursor.execute("SELECT n FROM t WHERE n < ? ORDER BY n", (3,))
    assert await cursor.fetchall() == [(0,), (1,), (2,)]
    assert await cursor.fetchall() == []
    await cursor.close()
    assert ways(line) - before == 1
    assert cursor.description[0][0] == "n"


async def test_a_write_tells_how_many_rows(line: Line) -> None:
    cursor = line.cursor()
    await cursor.execute("DELETE FROM t WHERE n < 10")
    assert (cursor.rowcount, cursor.description) == (10, None)
    await cursor.execute("INSERT INTO t VALUES (5)")
    assert cursor.lastrowid == 5


@pytest.mark.parametrize("size", [1, 7, FIRST_ROWS, FIRST_ROWS + 1, 10 * FIRST_ROWS])
async def test_rows_come_in_order_and_once(line: Line, size: int) -> None:
    """However many are asked for at a time."""
    cursor = line.cursor()
    await cursor.execute("SELECT n FROM t ORDER BY n")
    found: list[int] = []
    while rows := await cursor.fetchmany(size):
        assert len(rows) <= size
        found += [row[0] for row in rows]
    assert found == list(range(3 * FIRST_ROWS))
    assert await cursor.fetchone() is None


async def test_what_is_left_is_fetched_and_iterated(line: Line) -> None:
    cursor = line.cursor()
    await cursor.execute("SELECT n FROM t ORDER BY n")
    assert await cursor.fetchone() == (0,)
    rest = await cursor.fetchall()
    assert [row[0] for row in rest] == list(range(1, 3 * FIRST_ROWS))
    await cursor.execute("SELECT n FROM t ORDER BY n")
    assert [row[0] async for row in cursor] == list(range(3 * FIRST_ROWS))


async def test_a_cursor_with_rows_left_is_closed_in_the_thread(line: Line) -> None:
    """An open statement would keep its snapshot, and the file from being checkpointed."""
    cursor = line.cursor()
    await cursor.execute("SELECT n FROM t")
    await cursor.close()
    assert cursor._cursor is None
    assert await cursor.fetchall() == []


async def test_a_failed_statement_raises_and_leaves_nothing_open(line: Line) -> None:
    cursor = line.cursor()
    with pytest.raises(sqlite3.IntegrityError):
        await cursor.execute("INSERT INTO t VALUES (0)")
    assert cursor._cursor is None


async def test_a_rollback_without_a_transaction_is_no_way(line: Line) -> None:
    """The pool asks for one after each commit."""
    cursor = line.cursor()
    await cursor.execute("BEGIN")
    await cursor.execute("DELETE FROM t")
    await line.rollback()
    before = ways(line)
    await line.rollback()
    assert ways(line) == before
    await cursor.execute("SELECT count(*) FROM t")
    assert await cursor.fetchall() == [(3 * FIRST_ROWS,)]


async def test_a_rollback_waits_for_what_nobody_waits_for(line: Line) -> None:
    """A cancelled caller's BEGIN may still lie in the thread's queue: it must not stay open."""
    go = threading.Event()
    held = asyncio.create_task(line._execute(go.wait, 5))
    await asyncio.sleep(0)
    begin = asyncio.create_task(line.cursor().execute("BEGIN IMMEDIATE"))
    await asyncio.sleep(0)
    begin.cancel()
    await asyncio.wait({begin})
    rolled = asyncio.create_task(line.rollback())
    await asyncio.sleep(0)
    go.set()
    async with asyncio.timeout(5):
        await held
        await rolled
    assert not line._conn.in_transaction


async def test_the_engine_of_a_file_speaks_by_it(engine: AsyncEngine) -> None:
    """A whole transaction is four ways: begin, two statements, commit."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER)"))
    async with engine.connect() as connection:
        line = await _line(connection)
    before = ways(line)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))
        found = (await connection.execute(text("SELECT n FROM t"))).all()
    assert [tuple(row) for row in found] == [(1,)]
    assert ways(line) - before == 4


async def test_an_engine_that_is_cancelled_gives_back_a_clean_connection(
    engine: AsyncEngine,
) -> None:
    """The next one to have it begins a transaction of its own."""

    async def slow() -> None:
        async with engine.begin() as connection:
            await connection.execute(text(SLOW))

    task = asyncio.create_task(slow())
    await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait({task})
    async with asyncio.timeout(10):
        for _ in range(3):
            async with engine.begin() as connection:
                assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def _line(connection: AsyncConnection) -> Line:
    found = (await connection.get_raw_connection()).driver_connection
    assert isinstance(found, Line)
    return found

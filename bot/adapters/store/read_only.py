"""A database opened so that nothing can be written, and what can be said of its soundness.

Owns read-only connections, the quick check and the counting of the spool; knows no question of
a report. Whoever reads this way never stands in the daemon's way: no schema is brought up to
date, no spool is replayed, no lock is taken that a writer would wait for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.adapters.store.place import Place
from bot.adapters.store.schema import KNOWN_REVISIONS, REVISION, explain
from bot.adapters.store.server import (
    CONNECT_LIMIT_S,
    explain_server,
    one_connection,
    read_server_schema,
    refuse_without_rights,
)
from bot.adapters.store.spool import FILE_NAME as SPOOL_NAME
from bot.adapters.store.spool import REJECTED_NAME
from bot.adapters.store.tables import spool_marks
from bot.domain import canonical
from bot.domain.errors import ConfigError

BUSY_S = 5.0  # a writer holds the file for milliseconds; longer means a lock by another program
_INSTRUCTIONS = 20_000  # of SQLite between two looks at the time limit


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a look found. `problem` is SQLite's own word, empty when there is none.

    `checked` is False when the time limit came first. `size` in bytes, `spooled` in lines that
    are not in the database yet, `rejected` in lines that no database would take.
    """

    revision: str | None
    tables: int
    checked: bool
    problem: str
    size: int
    spooled: int
    rejected: int

    @property
    def current(self) -> bool:
        """Whether the schema is the one of this code."""
        return self.revision == REVISION

    @property
    def older(self) -> bool:
        """Whether the next start upgrades it."""
        return self.revision in KNOWN_REVISIONS and not self.current


@asynccontextmanager
async def reading(place: Place) -> AsyncIterator[AsyncConnection]:
    """One snapshot, however long the reading takes.

    Raises ConfigError (missing, damaged, of another program, no rights) and TransientError
    (locked, not reachable).
    """
    engine = _engine(place)
    try:
        async with engine.connect() as connection:
            yield connection
    except (DBAPIError, OSError) as error:
        if place.is_file:
            raise explain(place.path, getattr(error, "orig", None) or error) from error
        raise explain_server(place, error) from error
    finally:
        await engine.dispose()


async def ready_to_read(place: Place) -> None:
    """Raise ConfigError unless the database holds the schema of this code."""
    revision, _ = await _schema(place)
    if revision == REVISION:
        return
    found = "no schema of Keel" if revision is None else f"schema {revision}"
    raise ConfigError(
        f"database {place}: {found} found, this code reads {REVISION}; "
        f"python setup_database.py brings an older one up to date"
    )


async def look(
    place: Place, folder: Path, limit_s: float, monotonic: Callable[[], float]
) -> Soundness:
    """Check the database without changing it, a file for at most `limit_s` of machine time.

    `folder` is where its spool lies, `monotonic` gives seconds. Raises what `reading` raises.
    """
    revision, tables = await _schema(place)
    checked, problem = True, ""  # a server looks after its own pages
    if not tables and not place.is_file:
        await refuse_without_rights(place)
    if place.is_file:
        with _raw(place.path) as db:
            checked, problem = _quick_check(db, monotonic, monotonic() + limit_s)
    waiting, rejected = await look_at_spool(place if revision is not None else None, folder)
    return Soundness(revision, tables, checked, problem, await size_of(place), waiting, rejected)


async def look_at_spool(place: Place | None, folder: Path) -> tuple[int, int]:
    """(lines that wait for the database, lines that it refused), kept in `folder`.

    `place`: None for a database without our tables, into which no line can have gone yet.
    """
    spool = folder / SPOOL_NAME
    waiting = 0
    if spool.exists():
        ident, lines = _spool_lines(spool)
        waiting = max(0, lines - (await _replayed(place, ident) if place is not None else 0))
    rejected = folder / REJECTED_NAME
    return waiting, _count_lines(rejected) if rejected.exists() else 0


async def size_of(place: Place) -> int:
    """Bytes of the database, a file's write-ahead log included."""
    if place.is_file:
        files = (place.path, place.path.with_name(place.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
    async with reading(place) as connection:
        found = await connection.execute(text("select pg_database_size(current_database())"))
        return int(found.scalar_one())


def _engine(place: Place) -> AsyncEngine:
    if not place.is_file:
        return one_connection(place).execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    name = f"file:{quote(str(place.path))}"
    engine = create_async_engine(
        place.url.set(database=name, query={"mode": "ro", "uri": "true"}),
        poolclass=NullPool,
        connect_args={"isolation_level": None, "timeout": BUSY_S},
    )

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # the driver itself begins for writes only

    return engine


@contextmanager
def _raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of the standard library: the quick check needs its progress handler."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", BUSY_S, uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        raise explain(path, error) from error


async def _schema(place: Place) -> tuple[str | None, int]:
    """(revision, number of tables); a file is opened read-only, unlike a start does."""
    if not place.is_file:
        names, revision = await read_server_schema(place, CONNECT_LIMIT_S)
        return revision, len(names)
    with _raw(place.path) as db:
        found = db.execute("select name from sqlite_master where type = 'table'")
        tables = {row[0] for row in found}
        if "alembic_version" not in tables:
            return None, len(tables)
        row = db.execute("select version_num from alembic_version").fetchone()
        return (str(row[0]) if row else None), len(tables)


def _quick_check(
    db: sqlite3.Connection, monotonic: Callable[[], float], end: float
) -> tuple[bool, str]:
    """(finished, problem); an interrupted check found nothing so far."""
    db.set_progress_handler(lambda: int(monotonic() > end), _INSTRUCTIONS)
    try:
        word = str(db.execute("pragma quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return False, ""
        raise
    finally:
        db.set_progress_handler(None, 0)
    return True, "" if word == "ok" else word


def _spool_lines(spool: Path) -> tuple[str, int]:
    """(identity, lines behind the header); an unreadable header has no identity."""
    with spool.open("rb") as file:
        first = file.readline()
    try:
        header = canonical.loads(first)
    except ValueError:
        header = None
    ident = str(header.get("id", "")) if isinstance(header, dict) else ""
    return ident, max(0, _count_lines(spool) - 1)


async def _replayed(place: Place, ident: str) -> int:
    async with reading(place) as connection:
        marked = select(spool_marks.c.lines).where(spool_marks.c.spool_id == ident)
        return int((await connection.execute(marked)).scalar() or 0)


def _count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)

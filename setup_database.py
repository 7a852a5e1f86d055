"""Create or upgrade Keel's database, say each step, and leave nothing half made; safe twice.

    python setup_database.py [--database-url sqlite+aiosqlite:///data/keel.db]
    python setup_database.py --database-url -    (the URL is read from standard input)

Owns the running of migrations; knows no row. Exit codes: 0 done, 2 something to mend first.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from bot.adapters.store.place import Place, place_of, place_of_file
from bot.adapters.store.schema import (
    REVISION,
    Standing,
    explain,
    inspect,
    inspect_server,
    read_schema,
)
from bot.adapters.store.server import explain_server, one_connection, read_server_schema
from bot.domain.errors import ConfigError, KeelError

FILE_NAME = "keel.db"
CONNECT_LIMIT_S = 10.0  # spec 40, Database
MIGRATIONS = Path(__file__).resolve().parent / "bot" / "adapters" / "store" / "migrations"


def main(
    argv: Sequence[str], environ: Mapping[str, str] | None = None, env_file: Path | None = None
) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Create or upgrade Keel's database.")
    parser.add_argument(
        "--database-url",
        metavar="URL",
        help="sqlite+aiosqlite:///path/to/keel.db or postgresql+asyncpg://user:password@host/name; "
        "- reads it from standard input; without it, what the settings name",
    )
    url = parser.parse_args(argv).database_url
    if url == "-":
        url = sys.stdin.readline().strip()
    try:
        if url is not None and not url.strip():
            raise ConfigError("--database-url is empty; give a URL, or leave the flag out")
        for place in [place_of(url)] if url else _configured(environ or {}, env_file):
            set_up(place)
    except KeelError as error:
        for line in str(error).splitlines():
            print(f"  \u2717 {line}", file=sys.stderr)
        return 2
    return 0


def set_up(place: Place | Path) -> None:
    """Bring a database to this code's schema, printing each step.

    Raises ConfigError or TransientError with cause and remedy; a new file is then not left
    behind, and an old one, or a database on a server, is as it was.
    """
    place = place_of_file(place) if isinstance(place, Path) else place
    print(f"Keel database {place}")
    if place.is_file:
        _set_up_file(place.path)
    else:
        asyncio.run(_set_up_server(place))


def _set_up_file(path: Path) -> None:
    _ensure_folder(path.parent)
    _done(f"folder {path.parent} is writable")
    standing = inspect(path, CONNECT_LIMIT_S)
    match standing:
        case Standing.CURRENT:
            _done(f"schema {REVISION} is up to date")
        case Standing.OLDER:
            _done("an older schema was found")
            _migrate(path)
            _done(f"upgraded to schema {REVISION}")
        case Standing.MISSING:
            _done("no database there yet" if not path.exists() else "an empty file was found")
            _create(path)
            _done(f"created with schema {REVISION}")
    _check(str(path), *read_schema(path, CONNECT_LIMIT_S))


async def _set_up_server(place: Place) -> None:
    """One transaction: PostgreSQL takes back tables, too, when a migration fails."""
    standing = await inspect_server(place, CONNECT_LIMIT_S)
    _done("the server answers, user and database are right")
    match standing:
        case Standing.CURRENT:
            _done(f"schema {REVISION} is up to date")
        case Standing.OLDER:
            _done("an older schema was found")
            await _migrate_server(place)
            _done(f"upgraded to schema {REVISION}")
        case Standing.MISSING:
            _done("the database is empty")
            await _migrate_server(place)
            _done(f"created with schema {REVISION}")
    _check(str(place), *await read_server_schema(place, CONNECT_LIMIT_S))


def _check(name: str, tables: set[str], revision: str | None) -> None:
    if revision != REVISION:
        raise ConfigError(f"database {name}: schema {revision} after the migration to {REVISION}")
    _done(f"checked: {len(tables)} tables")


def _configured(environ: Mapping[str, str], env_file: Path | None) -> list[Place]:
    """The databases that the settings name: DATABASE_URL, else one in each world of DATA_DIR.

    A demo world is named by what it plays, so the daemon makes it; those that exist are
    upgraded. Raises ConfigError for wrong settings.
    """
    if importlib.util.find_spec("config.settings") is None:
        raise ConfigError("there are no settings to read DATABASE_URL from; pass --database-url")
    from config.settings import load  # this script also works where only bot/ is installed

    general = load({}, environ, env_file).settings.general
    if general.database_url:
        return [place_of(general.database_url.get_secret_value())]
    found = sorted(path.absolute() for path in general.data_dir.glob(f"*/{FILE_NAME}"))
    if general.mode != "demo":
        found.append((general.data_dir / general.mode / FILE_NAME).absolute())
    if not found:
        print(
            f"No database below {general.data_dir.absolute()} yet: demo makes its own at its start."
        )
    return [place_of_file(path) for path in dict.fromkeys(found)]


def _done(step: str) -> None:
    print(f"  \u2713 {step}", flush=True)


def _ensure_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise ConfigError(
            f"folder {folder} is not writable ({error.strerror}); create it for this user, or "
            "use another DATA_DIR"
        ) from error


def _create(path: Path) -> None:
    """Build the database under another name and put it in its place when it is whole."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _migrate(fresh)
        _publish(fresh, path)
    finally:
        for part in (fresh, *(Path(f"{fresh}{end}") for end in ("-wal", "-shm", "-journal"))):
            part.unlink(missing_ok=True)


def _publish(fresh: Path, path: Path) -> None:
    """Give the file its name unless a database has appeared there meanwhile."""
    if inspect(path, CONNECT_LIMIT_S) is not Standing.MISSING:
        return
    try:
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(
            f"database {path} cannot be put in its place ({error.strerror}); check the folder"
        ) from error


def _migrate(path: Path) -> None:
    """Run every missing migration in one transaction."""
    try:
        with _connection(path) as connection:
            _upgrade(connection)
    except DBAPIError as error:
        raise explain(path, error.orig or error) from error


async def _migrate_server(place: Place) -> None:
    """Run every missing migration in one transaction."""
    engine = one_connection(place, CONNECT_LIMIT_S)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except (DBAPIError, OSError) as error:
        raise explain_server(place, error) from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _connection(path: Path) -> Iterator[Connection]:
    """One exclusive transaction on a synchronous connection, the file set to WAL."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": CONNECT_LIMIT_S, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, Path(".env")))

"""Create or upgrade Keel's database, say each step, and leave nothing half made; safe twice.

    python setup_database.py [--database-url sqlite+aiosqlite:///data/keel.db]

Owns the running of migrations; knows no row. Exit codes: 0 done, 2 something to mend first.
"""

from __future__ import annotations

import argparse
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

from bot.adapters.store.schema import (
    REVISION,
    Standing,
    database_path,
    explain,
    inspect,
    read_schema,
)
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
        help="sqlite+aiosqlite:///path/to/keel.db; without it, what the settings name",
    )
    url = parser.parse_args(argv).database_url
    try:
        for path in [database_path(url)] if url else _configured(environ or {}, env_file):
            set_up(path)
    except KeelError as error:
        for line in str(error).splitlines():
            print(f"  \u2717 {line}", file=sys.stderr)
        return 2
    return 0


def set_up(path: Path) -> None:
    """Bring the database file to this code's schema, printing each step.

    Raises ConfigError or TransientError with cause and remedy; a new file is then not left
    behind, and an old one is as it was.
    """
    print(f"Keel database {path}")
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
    tables, revision = read_schema(path, CONNECT_LIMIT_S)
    if revision != REVISION:
        raise ConfigError(f"database {path}: schema {revision} after the migration to {REVISION}")
    _done(f"checked: {len(tables)} tables")


def _configured(environ: Mapping[str, str], env_file: Path | None) -> list[Path]:
    """The files that the settings name: DATABASE_URL, else one in each world of DATA_DIR.

    A demo world is named by what it plays, so the daemon makes it; those that exist are
    upgraded. Raises ConfigError for wrong settings.
    """
    if importlib.util.find_spec("config.settings") is None:
        raise ConfigError("there are no settings to read DATABASE_URL from; pass --database-url")
    from config.settings import load  # this script also works where only bot/ is installed

    general = load({}, environ, env_file).settings.general
    if general.database_url:
        return [database_path(general.database_url)]
    found = sorted(path.absolute() for path in general.data_dir.glob(f"*/{FILE_NAME}"))
    if general.mode != "demo":
        found.append((general.data_dir / general.mode / FILE_NAME).absolute())
    if not found:
        print(
            f"No database below {general.data_dir.absolute()} yet: demo makes its own at its start."
        )
    return list(dict.fromkeys(found))


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
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with _connection(path) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise explain(path, error.orig or error) from error


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

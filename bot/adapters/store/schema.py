"""Which schema this code expects, and what a database holds, asked without changing it.

Owns the revision constant and the reading of `alembic_version`; knows no migration.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from bot.adapters.store.place import Place
from bot.adapters.store.server import read_server_schema
from bot.domain.errors import ConfigError, TransientError

KNOWN_REVISIONS = ("0001", "0002", "0003", "0004")  # oldest first; a migration adds its own here
REVISION = KNOWN_REVISIONS[-1]


_TABLES = "select name from sqlite_master where type = 'table'"


class Standing(StrEnum):
    """How a database stands to this code."""

    MISSING = "missing"  # no file, or a database without any table
    OLDER = "older"
    CURRENT = "current"


def inspect(path: Path, timeout_s: float) -> Standing:
    """Say how the file stands to this code; blocking, changes nothing.

    Raises ConfigError (newer schema, somebody else's database, broken, not a database) and
    TransientError (locked for longer than `timeout_s`).
    """
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return Standing.MISSING
    return _standing(str(path), *read_schema(path, timeout_s))


async def inspect_server(place: Place, connect_limit_s: float) -> Standing:
    """Say how a database on a server stands to this code; changes nothing.

    Raises ConfigError (as `inspect`, and wrong password, no such database, no rights) and
    TransientError (not reachable).
    """
    return _standing(str(place), *await read_server_schema(place, connect_limit_s))


def _standing(name: str, tables: set[str], revision: str | None) -> Standing:
    if not tables:
        return Standing.MISSING
    if revision is None:
        raise ConfigError(
            f"database {name} holds tables but no Keel schema ({sorted(tables)[0]}, ...): it "
            "belongs to another program; use another DATABASE_URL or DATA_DIR"
        )
    if revision == REVISION:
        return Standing.CURRENT
    if revision in KNOWN_REVISIONS:
        return Standing.OLDER
    raise ConfigError(
        f"database {name}: schema {revision} found, this code knows up to {REVISION}; "
        "update Keel or use another DATA_DIR or DATABASE_URL"
    )


def read_schema(path: Path, timeout_s: float) -> tuple[set[str], str | None]:
    """Table names and the revision, None for none; mode rw never creates a file.

    Raises what `inspect` raises.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout_s, uri=True)) as db:
            tables = {row[0] for row in db.execute(_TABLES)}
            if "alembic_version" not in tables:
                return tables, None
            row = db.execute("select version_num from alembic_version").fetchone()
            return tables, str(row[0]) if row else None
    except sqlite3.Error as error:
        raise explain(path, error) from error


def explain(path: Path, error: BaseException) -> ConfigError | TransientError:
    """Turn SQLite's words into a cause and a remedy."""
    words = str(error)
    if "locked" in words or "busy" in words:
        return TransientError(
            f"database {path} is locked by another program; stop it, or wait and try again"
        )
    if "not a database" in words:
        return ConfigError(
            f"database {path} is not a SQLite file; move it away or use another DATABASE_URL"
        )
    if "malformed" in words or "corrupt" in words:
        return ConfigError(f"database {path} is damaged ({words}); restore a backup over it")
    if "full" in words:
        return TransientError(f"database {path}: the disk is full; free some space")
    if "unable to open" in words or "readonly" in words:
        return ConfigError(
            f"database {path} cannot be opened ({words}); check that the folder and the file "
            "exist and are writable for this user"
        )
    return TransientError(f"database {path}: {words}")

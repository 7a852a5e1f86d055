"""What PostgreSQL needs that a file does not: connection limits, its error codes, its catalogue.

Owns the meaning of SQLSTATEs and the reading of the schema; knows no table of ours.
asyncpg is imported only when an engine for such a place is made.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.adapters.store.place import Place
from bot.domain.errors import ConfigError, TransientError

CONNECT_LIMIT_S = 10.0  # spec 40, Database
STATEMENT_LIMIT_S = 60.0  # spec 40, Database

_TABLES = "select tablename from pg_tables where schemaname = current_schema()"
_REVISION = "select version_num from alembic_version"
_MAY_CREATE = "select coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"


def connect_args(
    *,
    connect_limit_s: float = CONNECT_LIMIT_S,
    lock_limit_s: float | None = None,
    synchronous: bool = True,
) -> dict[str, Any]:
    """Arguments of every connection; `synchronous`: a commit waits for the server's disk."""
    settings = {
        "application_name": "keel",
        "statement_timeout": f"{STATEMENT_LIMIT_S * 1000:.0f}",
        "synchronous_commit": "on" if synchronous else "off",
        "timezone": "UTC",
    }
    if lock_limit_s is not None:  # 0 would mean no limit
        settings["lock_timeout"] = f"{max(1, round(lock_limit_s * 1000))}"
    return {"timeout": connect_limit_s, "server_settings": settings}


def one_connection(place: Place, connect_limit_s: float = CONNECT_LIMIT_S) -> AsyncEngine:
    """An engine without a pool, for a question or a lock."""
    arguments = connect_args(connect_limit_s=connect_limit_s)
    return create_async_engine(place.url, poolclass=NullPool, connect_args=arguments)


async def read_server_schema(place: Place, connect_limit_s: float) -> tuple[set[str], str | None]:
    """Table names of our schema and the revision, None for none.

    Raises ConfigError and TransientError as `explain_server` says.
    """
    engine = one_connection(place, connect_limit_s)
    try:
        async with engine.connect() as connection:
            tables = set((await connection.execute(text(_TABLES))).scalars())
            if "alembic_version" not in tables:
                return tables, None
            found = (await connection.execute(text(_REVISION))).scalar()
            return tables, None if found is None else str(found)
    except (DBAPIError, OSError) as error:
        raise explain_server(place, error) from error
    finally:
        await engine.dispose()


async def refuse_without_rights(place: Place) -> None:
    """Raise ConfigError where the first start could not make its tables; changes nothing."""
    engine = one_connection(place)
    try:
        async with engine.connect() as connection:
            if (await connection.execute(text(_MAY_CREATE))).scalar():
                return
    except (DBAPIError, OSError) as error:
        raise explain_server(place, error) from error
    finally:
        await engine.dispose()
    raise _no_rights(place, "it may create no table")


def sqlstate(error: BaseException) -> str:
    """The five characters of PostgreSQL; empty when it never answered."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def explain_server(place: Place, error: BaseException) -> ConfigError | TransientError:
    """Turn what PostgreSQL or the network said into a cause and a remedy; never a password."""
    user, name = place.url.username, place.url.database
    match sqlstate(error):
        case "":
            return TransientError(
                f"database {place}: the server is not reachable ({_unreached(error)}); start it, "
                "or mend host and port in DATABASE_URL"
            )
        case "28P01" | "28000":
            return ConfigError(
                f"database {place}: wrong password, or user {user} may not log in; mend user and "
                "password in DATABASE_URL (special characters are written %40 for @)"
            )
        case "3D000":
            return ConfigError(
                f"database {place}: there is no such database; create it: "
                f"createdb -O {user} {name}, or mend the name in DATABASE_URL"
            )
        case "42501":
            return _no_rights(place, _words(error))
        case "53100":
            return TransientError(f"database {place}: the server's disk is full; free some space")
        case "53300":
            return TransientError(
                f"database {place}: the server takes no more connections; stop other clients or "
                "raise its max_connections"
            )
        case "55P03":
            return TransientError(f"database {place} is locked by another program; wait for it")
        case "57014":
            return TransientError(
                f"database {place}: a statement was given up after {STATEMENT_LIMIT_S:g} s"
            )
        case state:
            return TransientError(f"database {place}: {_words(error)} ({state})")


def _no_rights(place: Place, words: str) -> ConfigError:
    user, name = place.url.username, place.url.database
    return ConfigError(
        f"database {place}: user {user} has not the rights ({words}); let it own "
        f"the database: ALTER DATABASE {name} OWNER TO {user}"
    )


def _words(error: BaseException) -> str:
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0].rpartition(">: ")[2] if lines else type(error).__name__


def _unreached(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or _words(error) or type(error).__name__

"""A store on a fresh file, or on an emptied database of a server, for each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import setup_database
from bot.adapters.store import Store, StoreOptions, open_store
from bot.adapters.store.tables import metadata
from tests.postgres import PostgresServer, postgres
from tests.unit.adapters.store.fakes import SERVERS, FakeClock

__all__ = ["postgres"]

Opener = Callable[..., Awaitable[Store]]
SHARED = "store"  # the name of the database that tests share, emptied before each


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "keel.db"
    setup_database.set_up(path)
    return path


@pytest.fixture(scope="session")
def with_schema(postgres: PostgresServer) -> PostgresServer:
    """The server with our schema in its shared database."""
    url = postgres.fresh(SHARED)
    assert setup_database.main(["--database-url", url]) == 0
    SERVERS[postgres.port] = postgres
    return postgres


@pytest.fixture
def prepared(with_schema: PostgresServer) -> PostgresServer:
    """The same, without a row of an earlier test."""
    # Of small tables quicker than TRUNCATE, which makes new files.
    deletes = (f'DELETE FROM "{name}"' for name in metadata.tables)
    with_schema.sql(SHARED, "; ".join(deletes))
    return with_schema


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    """A file with the current schema and no rows."""
    path = tmp_path / "keel.db"
    shutil.copyfile(template, path)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with the current schema and no rows: the same tests on both kinds."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{request.getfixturevalue('database')}"
    server: PostgresServer = request.getfixturevalue("prepared")
    return server.url(SHARED)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def opener(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Opener]:
    """Open stores on the database; each is closed at the end. A lock is given up at once."""
    opened: list[Store] = []

    async def opening(**changed: object) -> Store:
        fields: dict[str, object] = {
            "database_url": database_url,
            "data_dir": tmp_path,
            "busy_timeout_s": 0.0,
        }
        options = StoreOptions(**{**fields, **changed})  # type: ignore[arg-type]
        opened.append(await open_store(options, clock))
        return opened[-1]

    yield opening
    for store in opened:
        await store.close()


@pytest.fixture
async def store(opener: Opener) -> Store:
    return await opener()

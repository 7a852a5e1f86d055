"""A store on a fresh file for each test; the schema is made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import setup_database
from bot.adapters.store import Store, StoreOptions, open_store
from tests.unit.adapters.store.fakes import FakeClock

Opener = Callable[..., Awaitable[Store]]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "keel.db"
    setup_database.set_up(path)
    return path


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    """A file with the current schema and no rows."""
    path = tmp_path / "keel.db"
    shutil.copyfile(template, path)
    return path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def opener(database: Path, clock: FakeClock) -> AsyncIterator[Opener]:
    """Open stores on the file; each is closed at the end. A locked file is given up at once."""
    opened: list[Store] = []

    async def opening(**changed: object) -> Store:
        fields: dict[str, object] = {
            "database_url": f"sqlite+aiosqlite:///{database}",
            "data_dir": database.parent,
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

"""Opening: the schema is compared, brought up to date, or refused with one clear line."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store import Store, StoreOptions, open_store
from bot.adapters.store.engine import create_engine
from bot.adapters.store.place import place_of, place_of_file
from bot.adapters.store.schema import REVISION, Standing, explain, inspect
from bot.domain.errors import ConfigError, TransientError
from bot.ports import Changes
from tests.unit.adapters.store.fakes import TRACE, FakeClock, locked, order, query

ROOT = Path(__file__).resolve().parents[4]


async def opened(path: Path, **changed: object) -> Store:
    fields: dict[str, object] = {
        "database_url": f"sqlite+aiosqlite:///{path}",
        "data_dir": path.parent,
        "busy_timeout_s": 0.0,
    }
    return await open_store(StoreOptions(**{**fields, **changed}), FakeClock())  # type: ignore[arg-type]


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(sql)


async def test_a_first_start_makes_the_database(tmp_path: Path) -> None:
    """Folder, file and tables appear; the daemon's process imports no alembic."""
    store = await opened(tmp_path / "new" / "keel.db")
    try:
        await store.journal.record(Changes(orders=(order(1),)))
        assert await store.journal.orders_of(TRACE) == (order(1),)
    finally:
        await store.close()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["keel.db"]


def test_the_store_imports_neither_alembic_nor_asyncpg(database: Path) -> None:
    """Alembic stays in a process of its own; PostgreSQL's driver comes with such a URL only."""
    program = f"""
import asyncio, sys
from pathlib import Path
from bot.adapters.store import StoreOptions, open_store
from tests.unit.adapters.store.fakes import FakeClock
sys.modules.pop("asyncpg", None)  # the fakes know a server, too

async def main():
    options = StoreOptions("sqlite+aiosqlite:///{database}", Path({str(database.parent)!r}))
    await (await open_store(options, FakeClock())).close()

asyncio.run(main())
print(bool({{"alembic", "asyncpg"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_newer_schema_is_refused_and_not_changed(database: Path) -> None:
    """Going back to an older Keel must not harm what the newer one wrote."""
    change(database, "update alembic_version set version_num = '0999'")
    before = database.read_bytes()
    with pytest.raises(ConfigError, match=f"schema 0999 found, this code knows up to {REVISION}"):
        asyncio.run(opened(database))
    assert database.read_bytes() == before


async def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    """Our tables are never added to another program's file."""
    path = tmp_path / "other.db"
    change(path, "create table customers (id integer)")
    with pytest.raises(ConfigError, match="another program"):
        await opened(path)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """One line that says what the file is not."""
    path = tmp_path / "keel.db"
    path.write_text("hello " * 1000)
    with pytest.raises(ConfigError, match="not a SQLite file"):
        await opened(path)


def test_a_damaged_database_is_refused(database: Path) -> None:
    """The operator restores a backup; nothing is overwritten."""
    data = bytearray(database.read_bytes())
    data[100:4096] = b"\xff" * 3996
    database.write_bytes(data)
    with pytest.raises(ConfigError, match="damaged"):
        asyncio.run(opened(database))


async def test_a_locked_database_can_be_tried_again(database: Path) -> None:
    """Another program has the file for itself: not a matter of configuration."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("delete from bot_state")
        with pytest.raises(TransientError, match="locked by another program"):
            await opened(database)
        other.execute("ROLLBACK")


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The setup's own words reach the operator."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="not writable"):
        await opened(tmp_path / "file" / "keel.db")


async def test_an_older_schema_is_brought_up_to_date_by_the_script(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script is run for an older revision, and believed only when the row says so."""
    from bot.adapters.store import schema

    monkeypatch.setattr(schema, "KNOWN_REVISIONS", ("0000", REVISION))
    change(database, "update alembic_version set version_num = '0000'")
    script = tmp_path / "setup.py"
    script.write_text("")
    with pytest.raises(ConfigError, match="the schema is older"):
        await opened(database, setup_script=script)
    script.write_text(
        "import sqlite3, sys\n"
        f"db = sqlite3.connect({str(database)!r})\n"
        f"db.execute(\"update alembic_version set version_num = '{REVISION}'\")\n"
        "db.commit()\n"
    )
    await (await opened(database, setup_script=script)).close()


async def test_a_setup_that_hangs_is_given_up(tmp_path: Path) -> None:
    """A start never waits for ever."""
    script = tmp_path / "setup.py"
    script.write_text("import time; time.sleep(60)")
    with pytest.raises(TransientError, match="did not end within"):
        await opened(tmp_path / "keel.db", setup_script=script, setup_limit_s=0.05)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://keel:secret@db/keel", "asks for mysql"),
        ("postgresql+asyncpg://keel:secret@/keel", "names no host"),
        ("postgresql+asyncpg://keel:secret@db", "names no host or no database"),
        ("postgresql+asyncpg://keel:secret@db:x/keel", "names a host or port that cannot be"),
        ("keel.db", "not a database URL"),
        ("sqlite+aiosqlite://", "must name a file"),
        ("sqlite+aiosqlite:///:memory:", "must name a file"),
        ("sqlite:///keel.db", r"must be written sqlite\+aiosqlite:///keel.db"),
        ("sqlite+aiosqlite:///keel.db?mode=memory", "takes nothing after the file's name"),
    ],
)
def test_urls_that_are_not_ours_are_explained(url: str, words: str) -> None:
    """Never with the password in it."""
    with pytest.raises(ConfigError, match=words) as caught:
        place_of(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("database is locked", TransientError),
        ("file is not a database", ConfigError),
        ("database disk image is malformed", ConfigError),
        ("database or disk is full", TransientError),
        ("unable to open database file", ConfigError),
        ("attempt to write a readonly database", ConfigError),
        ("disk I/O error", TransientError),
    ],
)
def test_sqlites_words_become_a_cause(words: str, kind: type[Exception]) -> None:
    """Each failure names the file; those that pass by themselves are transient."""
    error = explain(Path("/x/keel.db"), sqlite3.OperationalError(words))
    assert type(error) is kind
    assert "/x/keel.db" in str(error)


def test_an_empty_file_counts_as_missing(tmp_path: Path) -> None:
    """What an interrupted first start may have left is no reason to refuse the second."""
    (tmp_path / "keel.db").touch()
    assert inspect(tmp_path / "keel.db", 0.0) is Standing.MISSING


@pytest.mark.parametrize("name", ["keel.db", "odd #?%20&name.db"])
async def test_the_daemon_connects_to_a_file_that_is_there_only(tmp_path: Path, name: str) -> None:
    """SQLite would make an empty one in the place of a database that was taken away."""
    place = place_of_file(tmp_path / name)
    engine = create_engine(place, "FULL", 0.0, 1.0)
    try:
        with pytest.raises(OperationalError, match="unable to open"):
            async with engine.connect():
                pass
        assert not place.path.exists()
        with closing(sqlite3.connect(place.path)) as made:
            made.execute("create table t (a)")
        async with engine.connect() as connection:
            assert (await connection.exec_driver_sql("select count(*) from t")).scalar() == 0
    finally:
        await engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]


async def _pragmas(db: AsyncConnection) -> list[object]:
    names = ("synchronous", "journal_mode", "foreign_keys")
    return [(await db.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in names]


async def test_money_waits_for_the_disk_and_traces_do_not(database: Path) -> None:
    """Two connections on one file: synchronous FULL (2) and NORMAL (1), both in WAL."""
    store = await opened(database)
    try:
        for side, expected in ((store._money, 2), (store._behind, 1)):
            assert await side.read(_pragmas) == [expected, "wal", 1]
    finally:
        await store.close()


async def test_a_failed_start_leaves_no_thread(database: Path) -> None:
    """aiosqlite's threads end only when closed: a start that fails must close them."""
    import threading

    before = set(threading.enumerate())
    store = await opened(database)
    await store.journal.spool_money(Changes(orders=(order(1),)))
    with locked(database):
        await store.close()
        with pytest.raises(TransientError):
            await opened(database)
    await asyncio.sleep(0)
    left = [t for t in threading.enumerate() if t not in before and "asyncio" not in t.name]
    for thread in left:
        thread.join(1)
    assert not any(thread.is_alive() for thread in left)
    await (await opened(database)).close()
    assert query(database, "select count(*) from orders") == [(1,)]

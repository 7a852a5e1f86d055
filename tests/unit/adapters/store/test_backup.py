"""Backups: whole, made beside a writer, few, and good for a restart from them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.adapters.store import Backups, Store, StoreOptions, check_file, open_store, place_of
from bot.adapters.store.backup import connection_environment
from bot.domain.errors import ConfigError, TransientError
from bot.domain.types import Ms
from bot.ports import Changes, Recovered
from tests.postgres import PASSWORD, PostgresServer, programs
from tests.unit.adapters.store.conftest import Opener
from tests.unit.adapters.store.fakes import AT, FakeClock, fill, order, position, record, trade

DAY_MS = 86_400_000
LOOP_LIMIT_S = 0.05  # the rule is 5 ms; a shared machine may hold a thread longer


def backups(store: Store, folder: Path, clock: FakeClock, kept: int = 7) -> Backups:
    return Backups(store.place, folder / "backups", clock, kept)


async def filled(store: Store) -> Recovered:
    """Rows of every kind; what a start would find."""
    await store.journal.record(
        Changes(
            orders=(order(1),),
            fills=(fill(1), fill(2)),
            positions=(position(),),
            trades=(trade(),),
            state={"a": 1},
        )
    )
    store.traces.put(record(1))
    await store.traces.flush()
    return await store.journal.recover()


async def _restored(store: Store, made: Path, folder: Path) -> Store:
    """A store on a database made from a backup alone."""
    folder.mkdir()
    if store.place.is_file:
        shutil.copyfile(made, folder / "keel.db")
        url = f"sqlite+aiosqlite:///{folder / 'keel.db'}"
    else:
        url = store.place.whole.replace("/store", "/restored")
        bin_folder = programs()
        assert bin_folder is not None
        environment = connection_environment(place_of(url), str(bin_folder / "pg_restore"))
        restore = [str(bin_folder / "pg_restore"), "--dbname=restored", str(made)]
        await asyncio.to_thread(subprocess.run, restore, env=environment, check=True)
    return await open_store(StoreOptions(url, folder), FakeClock())


@contextmanager
def committing(path: Path) -> Iterator[None]:
    """Another program commits every millisecond."""
    done = threading.Event()

    def commit() -> None:
        with closing(sqlite3.connect(path, 5.0, isolation_level=None)) as other:
            while not done.wait(0.001):
                other.execute("insert or replace into bot_state values ('other', '1', 0)")

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


async def test_a_backup_restores_to_the_same_books(
    store: Store, tmp_path: Path, clock: FakeClock, request: pytest.FixtureRequest
) -> None:
    """Restored once, on either database: what a start finds there is what there was."""
    before = await filled(store)
    if not store.place.is_file:
        server: PostgresServer = request.getfixturevalue("postgres")
        server.fresh("restored")
    made = await backups(store, tmp_path, clock).make()
    await store.journal.record(Changes(state={"a": 2}))
    again = await _restored(store, made.path, tmp_path / "restored")
    try:
        assert await again.journal.recover() == before
        assert await again.traces.recent(2) == (record(1),)
    finally:
        await again.close()


async def test_a_backup_is_one_named_file(store: Store, tmp_path: Path, clock: FakeClock) -> None:
    """keel- and its UTC time; nothing half made beside it, and it is not the database itself."""
    made = await backups(store, tmp_path, clock).make()
    ending = "db" if store.place.is_file else "dump"
    assert made.path.name == f"keel-20260921T141320.{ending}"
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [made.path.name]
    assert made.made_at == AT
    assert backups(store, tmp_path, clock).newest() == made


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_last_few_are_kept(store: Store, tmp_path: Path, clock: FakeClock) -> None:
    """One a day, the oldest go; a stranger's file in the folder stays."""
    kept = backups(store, tmp_path, clock, kept=3)
    assert kept.newest() is None
    (tmp_path / "backups").mkdir()
    stranger = tmp_path / "backups" / "keel-notes.txt"
    stranger.touch()
    for _ in range(5):
        last = await kept.make()
        clock.at = Ms(clock.at + DAY_MS)
    found = sorted(path.name for path in (tmp_path / "backups").glob("*.db"))
    assert [name[5:13] for name in found] == ["20260923", "20260924", "20260925"]
    assert stranger.exists()
    assert kept.newest() == last


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_writer_beside_it_neither_waits_nor_tears_it(
    opener: Opener, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One moment of a database that is being written to all the time; the loop turns on.

    SQLite begins a backup again with each commit beside it: in small steps it would never end.
    """
    monkeypatch.setattr("bot.adapters.store.backup._PAGES_A_STEP", 1)
    store = await opener(busy_timeout_s=5.0)
    with closing(sqlite3.connect(store.path)) as other, other:
        rows = [(f"k{n}", "x" * 1000, 0) for n in range(20_000)]
        other.executemany("insert into bot_state values (?, ?, ?)", rows)
    loop, longest = asyncio.get_running_loop(), 0.0
    with committing(store.path):
        making = asyncio.create_task(backups(store, tmp_path, clock).make())
        end = loop.time() + 5
        while not making.done():
            assert loop.time() < end, "the backup begins again and again"
            await store.journal.state_of("other")
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)
        made = await making
        await store.journal.record(Changes(state={"mine": 1}))
    assert longest < LOOP_LIMIT_S
    with closing(sqlite3.connect(made.path)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = copy.execute("select count(*) from bot_state where key like 'k%'").fetchall()
        assert found == [(20_000,)]
    assert not list(tmp_path.glob("backups/*-wal"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_fails_leaves_nothing_behind(
    store: Store, tmp_path: Path, clock: FakeClock
) -> None:
    """A damaged database, a folder that cannot be: said, and no file that looks like a backup."""
    (tmp_path / "file").touch()
    with pytest.raises(TransientError, match="backup"):
        await Backups(store.place, tmp_path / "file" / "x", clock, 7).make()
    await store.close()
    store.path.write_bytes(b"no database at all " * 1000)
    with pytest.raises(ConfigError, match="not a SQLite file"):
        await backups(store, tmp_path, clock).make()
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_pg_dump_that_is_absent_or_fails_is_said(
    opener: Opener, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install, and without the password."""
    store = await opener()
    nowhere = place_of(store.place.whole.replace("/store", "/nowhere"))
    with pytest.raises(TransientError, match="nowhere") as caught:
        await Backups(nowhere, tmp_path / "backups", clock, 7).make()
    assert PASSWORD not in str(caught.value)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="postgresql-client"):
        await backups(store, tmp_path, clock).make()
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_copy_of_damage_is_no_backup(
    store: Store, tmp_path: Path, clock: FakeClock
) -> None:
    """It would push the last good one out, a week on."""
    await store.close()
    data = bytearray(store.path.read_bytes())
    data[8192 : 8192 + 4096] = b"\xff" * 4096
    store.path.write_bytes(data)
    with pytest.raises(ConfigError, match="restore a backup"):
        await backups(store, tmp_path, clock).make()
    assert list((tmp_path / "backups").iterdir()) == []


def test_damage_is_found(database: Path) -> None:
    """A page of nonsense in the middle is read, and named."""
    check_file(database)
    data = bytearray(database.read_bytes())
    data[8192 : 8192 + 4096] = b"\xff" * 4096
    database.write_bytes(data)
    with pytest.raises(ConfigError, match="restore a backup"):
        check_file(database)

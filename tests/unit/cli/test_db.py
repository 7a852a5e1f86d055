"""`db`: by hand, on every database that the settings name, also beside a daemon."""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import setup_database
from bot.adapters.store import StoreOptions, open_store
from bot.adapters.store.archive import LOCK_NAME
from bot.adapters.store.schema import REVISION
from bot.cli.main import MEND, RUNNING, main
from bot.domain.types import Ms
from bot.runtime.clock import SystemClock
from tests.unit.adapters.store.fakes import AT, query, record

DAY_MS = 86_400_000
WORLDS = ("demo-1", "live")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two worlds, each with one old trace and one young one."""
    for world in WORLDS:
        path = tmp_path / world / "keel.db"
        setup_database.set_up(path)
        asyncio.run(_fill(path))
    return tmp_path


async def _fill(path: Path) -> None:
    options = StoreOptions(f"sqlite+aiosqlite:///{path}", path.parent)
    store = await open_store(options, SystemClock())
    store.traces.put(record(1))
    store.traces.put(record(2, started_at=Ms(AT + 100 * DAY_MS)))
    await store.close()


def db(action: str, data: Path, *more: str) -> int:
    return main(["db", action, "--data-dir", str(data), *more], {}, None)


def test_backup_copies_every_world(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, with file and size; the copy has the rows."""
    assert db("backup", data) == 0
    assert capsys.readouterr().out.count("backed up to") == 2
    for world in WORLDS:
        (made,) = (data / world / "backups").iterdir()
        assert query(made, "select count(*) from traces") == [(2,)]


def test_check_says_what_is_there(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Schema, rows, whether it can be read through, backup, and rows that still wait."""
    (data / "live" / "spool.jsonl").write_text('{"id":"x","kind":"spool"}\n{}\n')
    before = (data / "live" / "spool.jsonl").read_bytes()
    assert db("check", data) == 0
    out = capsys.readouterr().out
    assert out.count("2 traces") == out.count("without a fault") == out.count("no backup yet") == 2
    assert out.count("holds rows of an outage") == 1
    assert (data / "live" / "spool.jsonl").read_bytes() == before  # the daemon's, not ours
    db("backup", data)
    capsys.readouterr()
    db("check", data)
    assert "0.0 h old" in capsys.readouterr().out


def test_check_finds_damage(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the remedy."""
    path = data / "live" / "keel.db"
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)
    assert db("check", data) == MEND
    assert "restore a backup" in capsys.readouterr().err


def test_archive_moves_what_is_old_by_its_own_market(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """90 days before the newest row: a demo's market time is not the wall's."""
    assert db("archive", data) == 0
    assert capsys.readouterr().out.count("1 traces older than 90 days") == 2
    for world in WORLDS:
        assert query(data / world / "keel.db", "select count(*) from traces") == [(1,)]
        (file,) = (data / world / "archive").glob("*.gz")
        assert gzip.decompress(file.read_bytes()).count(b"\n") == 1
    assert db("archive", data, "--traces-kept-days", "101") == 0
    assert "0 traces older than 101 days" in capsys.readouterr().out


def test_archive_beside_another_one_says_so(data: Path) -> None:
    """Exit code 3, nothing moved."""
    folder = data / "demo-1" / "archive"
    folder.mkdir()
    held = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert db("archive", data) == RUNNING
    finally:
        os.close(held)


def test_upgrade_brings_each_database_up_to_date(
    data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By setup_database.py, its steps shown."""
    path = data / "live" / "keel.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("drop view trading_config")
        for table in ("circuit_breaker_events", "decisions", "ai_cache"):  # of 0003 and 0004
            other.execute(f"drop table {table}")
        other.execute("update alembic_version set version_num = '0001'")
    assert db("check", data) == MEND
    assert "db upgrade" in capfd.readouterr().err
    assert db("upgrade", data) == 0
    out = capfd.readouterr().out
    assert f"upgraded to schema {REVISION}" in out
    assert "up to date" in out
    assert query(path, "select count(*) from trading_config") == [(1,)]


def test_without_any_database_the_remedy_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    assert db("check", tmp_path) == MEND
    assert "there is no database below" in capsys.readouterr().err
    url = f"sqlite+aiosqlite:///{tmp_path / 'no.db'}"
    assert db("backup", tmp_path, "--database-url", url) == MEND
    assert "no.db" in capsys.readouterr().err
    assert not (tmp_path / "no.db").exists()


def test_an_archived_trace_is_called_so_by_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not "there is no such trace": it is there, in a file."""
    path = tmp_path / "demo-1" / "keel.db"
    setup_database.set_up(path)
    asyncio.run(_fill(path))
    assert db("archive", tmp_path) == 0
    assert main(["replay", record(1).trace_id, "--data-dir", str(tmp_path)], {}, None) == MEND
    err = capsys.readouterr().err
    assert "is archived" in err
    assert "archive/traces-202609.jsonl.gz" in err

"""setup_database.py: every step said, safe twice, nothing half made left behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

import setup_database
from bot.adapters.store import schema
from bot.adapters.store.schema import KNOWN_REVISIONS, REVISION
from bot.adapters.store.tables import metadata
from tests.unit.adapters.store.fakes import locked, query

SCHEMA = (
    "select type, name, tbl_name, sql from sqlite_master "
    "where name not like '%alembic%' and type != 'view'"
)


def run(path: Path) -> int:
    return setup_database.main(["--database-url", f"sqlite+aiosqlite:///{path}"])


def _normal(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted((*row[:3], " ".join(str(row[3]).split())) for row in rows)


def test_the_migrations_make_exactly_the_tables_of_the_code(template: Path, tmp_path: Path) -> None:
    """A column added to `tables.py` without a migration fails here."""
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert _normal(query(template, SCHEMA)) == _normal(query(tmp_path / "made.db", SCHEMA))


def test_the_migrations_reach_the_revision_the_daemon_expects(template: Path) -> None:
    """The constant of the code and the last migration are one."""
    assert query(template, "select version_num from alembic_version") == [(REVISION,)]
    files = sorted(path.name[:4] for path in (setup_database.MIGRATIONS / "versions").glob("0*.py"))
    assert tuple(files) == KNOWN_REVISIONS


def test_it_says_each_step_and_is_safe_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run again it changes nothing and says that all is well."""
    path = tmp_path / "data" / "keel.db"
    assert run(path) == 0
    first = capsys.readouterr().out
    assert first.count("\u2713") == 4
    assert "created with schema" in first
    before = path.read_bytes()
    assert run(path) == 0
    assert "up to date" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert [part.name for part in path.parent.iterdir()] == ["keel.db"]


@pytest.mark.parametrize("existing", [None, b""])
def test_a_creation_that_fails_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    existing: bytes | None,
) -> None:
    """No half-made file that the next start would trip over."""
    path = tmp_path / "keel.db"
    if existing is not None:
        path.write_bytes(existing)
    upgrade = command.upgrade

    def failing(*arguments: object) -> None:
        upgrade(*arguments)  # type: ignore[arg-type]
        raise OperationalError("insert", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(command, "upgrade", failing)
    assert run(path) == 2
    assert "disk is full; free some space" in capsys.readouterr().err
    assert [(part.name, part.stat().st_size) for part in tmp_path.iterdir()] == (
        [] if existing is None else [("keel.db", 0)]
    )


def test_an_upgrade_that_fails_leaves_the_old_database(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Migrations run in one transaction."""
    monkeypatch.setattr(schema, "KNOWN_REVISIONS", ("0000", REVISION))
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("update alembic_version set version_num = '0000'")

    def failing(config: object, _target: str) -> None:
        config.attributes["connection"].exec_driver_sql("drop table orders")  # type: ignore[attr-defined]
        raise OperationalError("alter", {}, sqlite3.OperationalError("disk I/O error"))

    monkeypatch.setattr(command, "upgrade", failing)
    assert run(database) == 2
    assert query(database, "select count(*) from orders") == [(0,)]
    assert query(database, "select version_num from alembic_version") == [("0000",)]


def test_a_newer_schema_is_named_and_left_alone(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, the remedy in it."""
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("update alembic_version set version_num = '0999'")
    assert run(database) == 2
    assert "schema 0999 found" in capsys.readouterr().err


def test_a_locked_database_is_named(
    database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The connection limit bounds the waiting."""
    monkeypatch.setattr(setup_database, "CONNECT_LIMIT_S", 0.01)
    monkeypatch.setattr(schema, "KNOWN_REVISIONS", ("0000", REVISION))
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("update alembic_version set version_num = '0000'")
    with locked(database):
        assert run(database) == 2
    assert "locked by another program" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite+aiosqlite:////proc/keel/keel.db", "is not writable"),
        ("mysql://u:secret@db/keel", "asks for mysql"),
        ("sqlite:///keel.db", "must be written sqlite+aiosqlite:///keel.db"),
        ("postgresql://u:secret@db/keel", "must be written postgresql+asyncpg://"),
        ("sqlite+aiosqlite:///keel.db?mode=ro", "takes nothing after the file's name"),
        ("", "--database-url is empty"),
        (" ", "--database-url is empty"),
    ],
)
def test_what_cannot_be_done_is_said(
    url: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cause and remedy, exit code 2, no password."""
    assert setup_database.main(["--database-url", url]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "secret" not in err


def test_a_file_that_is_no_database_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of the operator's is overwritten."""
    path = tmp_path / "keel.db"
    path.write_text("precious " * 500)
    assert run(path) == 2
    assert "not a SQLite file" in capsys.readouterr().err
    assert path.read_text().startswith("precious")


def test_without_a_url_the_settings_are_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DATABASE_URL, else each world's own file below DATA_DIR; wrong settings exit with 2."""
    named = {"DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'named.db'}"}
    assert setup_database.main([], named) == 0
    assert (tmp_path / "named.db").exists()
    data = {"DATA_DIR": str(tmp_path / "data")}
    assert setup_database.main([], data) == 0
    assert "demo makes its own" in capsys.readouterr().out
    assert run(tmp_path / "data" / "demo-1" / "keel.db") == 0
    assert setup_database.main([], data) == 0
    assert "up to date" in capsys.readouterr().out
    assert setup_database.main([], {"MODE": "dream"}) == 2


def test_the_world_of_paper_and_live_is_made_before_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their folder is known by the mode alone."""
    general = SimpleNamespace(database_url=None, data_dir=tmp_path, mode="paper")
    loaded = SimpleNamespace(settings=SimpleNamespace(general=general))
    monkeypatch.setattr("config.settings.load", lambda *_: loaded)
    assert setup_database.main([]) == 0
    assert query(tmp_path / "paper" / "keel.db", "select count(*) from orders") == [(0,)]

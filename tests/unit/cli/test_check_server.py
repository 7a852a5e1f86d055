"""`main.py check` on a PostgreSQL database in which nothing is yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.app import probes
from bot.app.probes import Line, Outcome
from bot.app.world import world_name
from tests.postgres import PostgresServer, postgres
from tests.unit.config.given import settings

__all__ = ["postgres"]


@pytest.fixture
def guest(postgres: PostgresServer) -> Iterator[str]:
    """A user who may log in and nothing else."""
    postgres.sql("postgres", "CREATE ROLE checker LOGIN PASSWORD 'checker'; SELECT 1")
    yield "checker"
    postgres.sql("postgres", "DROP ROLE checker; SELECT 1")


async def database(folder: Path, url: str) -> list[Line]:
    chosen = settings({"DATA_DIR": str(folder), "DATABASE_URL": url})
    return await probes.database(chosen, lambda: 0.0)


async def test_an_empty_database_is_what_the_first_start_fills(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """A start makes the tables: nothing is to be mended, and nothing was made by looking."""
    schema, *rest = await database(tmp_path, postgres.fresh("check_empty"))
    assert schema.outcome is Outcome.OK
    assert "the first start makes the tables" in schema.found
    assert all(line.outcome is Outcome.OK for line in rest)
    tables = "select tablename from pg_tables where schemaname = 'public'"
    assert postgres.sql("check_empty", tables) == []


async def test_rows_that_wait_beside_an_empty_database(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """Said in one line, with the way back; no table is asked for that is not there yet."""
    url = postgres.fresh("check_spool")
    folder = tmp_path / world_name(settings({"DATA_DIR": str(tmp_path), "DATABASE_URL": url}))
    folder.mkdir(parents=True)
    (folder / "spool.jsonl").write_bytes(b'{"id":"abc","kind":"spool"}\n{}\n{}\n')
    schema, _, spool = await database(tmp_path, url)
    assert (schema.outcome, "the first start" in schema.found) == (Outcome.OK, True)
    assert spool.outcome is Outcome.WARN
    assert "2 rows of an outage" in spool.found and "is empty" in spool.found
    postgres.sql("check_spool", "CREATE TABLE recipes (id int); SELECT 1")
    schema, *_ = await database(tmp_path, url)
    assert (schema.outcome, schema.found) == (Outcome.FAIL, "it belongs to another program")


async def test_a_user_who_may_create_nothing_fails(
    postgres: PostgresServer, guest: str, tmp_path: Path
) -> None:
    """The start would fail; the remedy is that of setup_database.py."""
    postgres.fresh("check_guest")
    postgres.sql("check_guest", "REVOKE CREATE ON SCHEMA public FROM PUBLIC; SELECT 1")
    (line,) = await database(tmp_path, postgres.url("check_guest", guest, "checker"))
    assert line.outcome is Outcome.FAIL
    assert "user checker has not the rights" in line.found
    assert line.remedy == "let it own the database: ALTER DATABASE check_guest OWNER TO checker"

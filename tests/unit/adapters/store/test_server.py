"""PostgreSQL: set up, explained, locked to one daemon, and used again after it went away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy.ext.asyncio import AsyncConnection

import setup_database
from bot.adapters.store import Store, StoreOptions, open_store, place_of
from bot.adapters.store.account_lock import AccountLock
from bot.adapters.store.schema import REVISION
from bot.adapters.store.server import explain_server
from bot.domain.errors import AlreadyRunning, ConfigError, KeelError, TransientError
from bot.ports import Changes
from tests.postgres import PASSWORD, PostgresServer
from tests.unit.adapters.store.fakes import TRACE, FakeClock, order

ANSWER = "select version_num from alembic_version"


@pytest.fixture
def empty(postgres: PostgresServer) -> str:
    """A database without a table; its URL."""
    return postgres.fresh("setup")


@pytest.fixture
def guest(postgres: PostgresServer) -> Iterator[str]:
    """A user who may log in and nothing else."""
    postgres.sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'guest'; SELECT 1")
    yield "guest"
    postgres.sql("postgres", "DROP ROLE guest; SELECT 1")


def run(url: str) -> int:
    return setup_database.main(["--database-url", url])


async def opened(url: str, folder: Path) -> Store:
    return await open_store(StoreOptions(url, folder), FakeClock())


def test_an_empty_database_gets_the_schema_once(
    empty: str, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step with a check mark; run again it changes nothing; no password is shown."""
    assert run(empty) == 0
    first = capsys.readouterr().out
    assert "created with schema" in first
    assert first.count("\u2713") == 4
    assert postgres.sql("setup", ANSWER) == [(REVISION,)]
    assert run(empty) == 0
    second = capsys.readouterr().out
    assert "up to date" in second
    assert PASSWORD not in first + second


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("c0rrect-h0rse", "wrong-horse"), "wrong password"),
        (("/setup", "/nowhere"), "there is no such database; create it: createdb -O keel nowhere"),
        (("127.0.0.1:", "127.0.0.1:1"), "not reachable"),
        (("keel:c0rrect-h0rse", "guest:guest"), "has not the rights"),
    ],
)
def test_each_failure_names_cause_and_remedy(
    empty: str,
    guest: str,
    change: tuple[str, str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one line, and the password in none of it."""
    url = empty.replace(*change)
    if words == "not reachable":
        url = "postgresql+asyncpg://keel:c0rrect-h0rse@127.0.0.1:1/setup"
    assert run(url) == 2
    err = capsys.readouterr().err
    assert words in err
    assert not any(secret in err for secret in (PASSWORD, "wrong-horse", ":guest@"))


def test_a_newer_schema_is_left_alone(
    empty: str, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Going back to an older Keel must not harm what the newer one wrote."""
    assert run(empty) == 0
    postgres.sql("setup", "update alembic_version set version_num = '0999'; SELECT 1")
    assert run(empty) == 2
    assert "schema 0999 found" in capsys.readouterr().err
    assert postgres.sql("setup", ANSWER) == [("0999",)]


def test_somebody_elses_tables_are_refused(
    empty: str, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our tables are never added to another program's database."""
    postgres.sql("setup", "create table customers (id integer); SELECT 1")
    assert run(empty) == 2
    assert "belongs to another program" in capsys.readouterr().err


def test_a_creation_that_fails_leaves_no_table(
    empty: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All migrations are one transaction."""
    upgrade = command.upgrade

    def failing(config: object, target: str) -> None:
        upgrade(config, target)  # type: ignore[arg-type]
        connection = config.attributes["connection"]  # type: ignore[attr-defined]
        connection.exec_driver_sql("insert into nothing values (1)")

    monkeypatch.setattr(command, "upgrade", failing)
    assert run(empty) == 2
    found = postgres.sql("setup", "select tablename from pg_tables where schemaname = 'public'")
    assert found == []


def test_a_url_on_standard_input_is_not_in_the_arguments(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments can be read by every user of the machine: the daemon hands it over so."""
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(empty + "\n"))
    assert setup_database.main(["--database-url", "-"]) == 0


async def test_a_first_start_makes_the_schema(empty: str, tmp_path: Path) -> None:
    """As with a file: by setup_database.py in a process of its own."""
    store = await opened(empty, tmp_path)
    try:
        await store.journal.record(Changes(orders=(order(1),)))
        assert await store.journal.orders_of(TRACE) == (order(1),)
        with pytest.raises(ConfigError, match="on a server"):
            _ = store.path
    finally:
        await store.close()


async def _settings(db: AsyncConnection) -> dict[str, object]:
    names = ("synchronous_commit", "statement_timeout", "lock_timeout", "application_name")
    return {name: (await db.exec_driver_sql(f"SHOW {name}")).scalar() for name in names}


async def test_money_waits_for_the_disk_and_traces_do_not(
    prepared: PostgresServer, tmp_path: Path
) -> None:
    """Two engines, and a 60 s limit on every statement."""
    store = await opened(prepared.url("store"), tmp_path)
    try:
        money, behind = [await side.read(_settings) for side in (store._money, store._behind)]
    finally:
        await store.close()
    assert money == {
        "synchronous_commit": "on",
        "statement_timeout": "1min",
        "lock_timeout": "2s",
        "application_name": "keel",
    }
    assert behind == {**money, "synchronous_commit": "off"}


async def test_no_more_than_ten_connections(prepared: PostgresServer, tmp_path: Path) -> None:
    """2 to 10 (spec 40): work that comes all at once waits for a free one."""
    store = await opened(prepared.url("store"), tmp_path)
    counted = "select count(*) from pg_stat_activity where application_name = 'keel'"
    seen: list[int] = []

    async def slow(db: AsyncConnection) -> None:
        await db.exec_driver_sql("select pg_sleep(0.05)")
        seen.append((await db.exec_driver_sql(counted)).scalar_one())

    try:
        for side in (store._money, store._behind):
            await asyncio.gather(*(side.read(slow) for _ in range(12)))
    finally:
        await store.close()
    assert 2 <= max(seen) <= 10


async def test_one_daemon_an_account(prepared: PostgresServer, tmp_path: Path) -> None:
    """The second on the same database and account is told who is there; another account is not."""
    url = prepared.url("store")
    first = await opened(url, tmp_path / "a")
    second = await opened(url, tmp_path / "b")
    try:
        await first.claim("demo-1 0xabc", "0xabc")
        with pytest.raises(AlreadyRunning, match="0xabc") as caught:
            await second.claim("demo-1 0xabc", "0xabc")
        assert PASSWORD not in str(caught.value)
        await first.close()
        await second.claim("demo-1 0xabc", "0xabc")
    finally:
        await second.close()


async def test_another_accounts_books_are_not_mixed_in(
    prepared: PostgresServer, tmp_path: Path
) -> None:
    """Positions are kept by symbol: two accounts in one database would be added up."""
    store = await opened(prepared.url("store"), tmp_path)
    try:
        await store.claim("live 0xabc", "0xabc")
        await store.lock.release()  # type: ignore[union-attr]
        with pytest.raises(ConfigError, match="holds the books of live 0xabc"):
            await store.claim("live 0xdef", "0xdef")
    finally:
        await store.close()


async def test_a_lock_lost_with_its_server_is_taken_again(prepared: PostgresServer) -> None:
    """The connection that holds it died: take it back, or end when another was first."""
    place = place_of(prepared.url("store"))
    mine, other = AccountLock(place, "0xlock"), AccountLock(place, "0xlock")
    kill = (
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' "
        "and database = (select oid from pg_database where datname = 'store')"
    )
    try:
        await mine.acquire()
        prepared.sql("postgres", kill)
        assert not await mine.held()
        await mine.step()
        assert await mine.held()
        prepared.sql("postgres", kill)
        await other.acquire()
        with pytest.raises(AlreadyRunning):
            await mine.step()
    finally:
        await mine.release()
        await other.release()


async def test_a_server_that_went_away_and_came_back_is_used_again(
    postgres: PostgresServer, prepared: PostgresServer, tmp_path: Path
) -> None:
    """Every connection is dead; rows are refused meanwhile, and written without a restart."""
    store = await opened(prepared.url("store"), tmp_path)
    try:
        await store.journal.record(Changes(orders=(order(1),)))
        await asyncio.to_thread(postgres.stop)
        with pytest.raises(TransientError, match="not reachable") as caught:
            await store.journal.record(Changes(orders=(order(2),)))
        assert PASSWORD not in str(caught.value)
        await asyncio.to_thread(postgres.start)
        await store.journal.record(Changes(orders=(order(2),)))
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(postgres.start)
        await store.journal.record(Changes(orders=(order(2),)))  # nobody had noticed
        assert set(await store.journal.orders_of(TRACE)) >= {order(1), order(2)}
    finally:
        await store.close()


class Refused(Exception):
    """An answer of the server."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("the server's words")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        ("28000", ConfigError, "wrong password"),
        ("42501", ConfigError, "ALTER DATABASE keel OWNER TO u"),
        ("53100", TransientError, "disk is full"),
        ("53300", TransientError, "no more connections"),
        ("55P03", TransientError, "locked by another program"),
        ("57014", TransientError, "given up after 60 s"),
        ("57P01", TransientError, "57P01"),
    ],
)
def test_the_servers_codes_become_a_cause(state: str, kind: type[KeelError], words: str) -> None:
    """What passes by itself is transient, what must be mended is configuration."""
    error = explain_server(place_of("postgresql+asyncpg://u:secret@db/keel"), Refused(state))
    assert type(error) is kind
    assert words in str(error)
    assert "u@db:5432/keel" in str(error)

"""The pre-flight: lines, exit codes, and that nothing of a running daemon is touched."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog

from bot.adapters.store.schema import REVISION
from bot.app import probes, venue_probe
from bot.app.preflight import load_rules, preflight
from bot.app.probes import Line, Outcome
from bot.app.running import ask_status, owner_of
from bot.cli import main as cli
from bot.runtime.lock import FILE_NAME, FolderLock
from tests.unit.config.given import loaded, settings
from tests.unit.research.recorded import World, record

KEY = "0x" + "1" * 64


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Logging is global: put it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def flags(folder: Path, **more: str) -> dict[str, str]:
    return {"DATA_DIR": str(folder), "HTTP_PORT": "0", **more}


def run(folder: Path, *more: str) -> int:
    return cli.main(["check", "--data-dir", str(folder), "--http-port", "0", *more], {}, None)


def by_layer(lines: tuple[Line, ...] | list[Line]) -> dict[str, Line]:
    return {line.layer: line for line in lines}


# --- the command ------------------------------------------------------------------------


def test_a_fresh_machine_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every layer has its line; nothing is made in DATA_DIR, not even the folder."""
    folder = tmp_path / "new"
    assert run(folder) == 0
    output = capsys.readouterr().out
    for layer in ("python", "keys", "lock", "signing", "simulator", "account", "reachability"):
        assert any(line.startswith(f"ok     {layer}") for line in output.splitlines()), layer
    assert "0 failed" in output
    assert "\x1b" not in output  # colours are for terminals
    assert not folder.exists()


def test_a_dead_configuration_fails_with_its_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, the rule that nothing passes, and what to change; --json says the same."""
    assert run(tmp_path, "--min-profit-usd", "99999", "--symbols", "BTC,FOO", "--json") == 1
    report: Any = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["counts"]["fail"]) == (False, 1)
    lines = {line["layer"]: line for line in report["lines"]}
    assert set(lines["universe"]) == {"layer", "tried", "outcome", "found", "remedy"}
    assert lines["universe"]["outcome"] == "warn"
    assert "FOO: unknown at the venue" in lines["universe"]["found"]
    assert lines["reachability"]["outcome"] == "fail"
    assert "min_profit" in lines["reachability"]["found"]
    assert "MIN_PROFIT_USD" in lines["reachability"]["remedy"]


def test_settings_that_cannot_be_read_are_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr; nothing is tried."""
    assert run(tmp_path, "--max-leverage", "many") == 2
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_a_running_daemon_is_not_disturbed(tmp_path: Path) -> None:
    """Its database stays as it is, byte for byte, its lock stays held, its ledger is not opened."""
    world = World(tmp_path, [record(1, "propose", "no_signal")]).write()
    ledger = world.path.with_name("simulator.db")
    ledger.write_bytes(b"not to be opened")
    before = hashlib.sha256(world.path.read_bytes()).hexdigest()
    with FolderLock(tmp_path):
        lines = by_layer(preflight(world.settings, ()))
        assert f"process {os.getpid()}" in lines["lock"].found
        assert owner_of(tmp_path) == os.getpid()
    assert hashlib.sha256(world.path.read_bytes()).hexdigest() == before
    assert ledger.read_bytes() == b"not to be opened"
    assert not [line for line in lines.values() if line.outcome is Outcome.FAIL]


# --- layers of this machine -------------------------------------------------------------


def test_the_lock_of_a_killed_daemon_is_nobodys(tmp_path: Path) -> None:
    """The file keeps the number of its last owner; only a held lock means a daemon."""
    (tmp_path / FILE_NAME).write_text(f"{os.getpid()}\n")
    assert owner_of(tmp_path) is None
    (tmp_path / FILE_NAME).write_text("999999999\n")
    assert owner_of(tmp_path) is None
    assert owner_of(tmp_path / "nowhere") is None


def test_a_real_key_in_demo_is_ignored_and_said() -> None:
    """Never used, never shown."""
    given = loaded({}, {"HYPERLIQUID_API_KEY": KEY})
    line = probes.keys(given.settings, given.warnings)
    assert line.outcome is Outcome.WARN
    assert "ignored" in line.found
    assert KEY[2:] not in repr(line)


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason of the operating system, and what to do."""

    def full(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    line = probes.data_folder(tmp_path)
    assert (line.outcome, line.found) == (Outcome.FAIL, "Permission denied")
    assert "DATA_DIR" in line.remedy


@pytest.mark.parametrize(
    ("free", "outcome"),
    [(99_000_000, Outcome.FAIL), (999_000_000, Outcome.WARN), (2_000_000_000, Outcome.OK)],
)
def test_free_disk(
    free: int, outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under 100 MB it does not start, under 1 GB the operator should know."""
    monkeypatch.setattr("shutil.disk_usage", lambda place: _Usage(free))
    assert probes.disk(tmp_path).outcome is outcome


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


async def database(folder: Path) -> list[Line]:
    return await probes.database(settings(flags(folder)), lambda: 0.0)


async def test_no_database_yet_is_fine(tmp_path: Path) -> None:
    """The first start makes it."""
    (line,) = await database(tmp_path)
    assert line.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("revision", "outcome", "word"),
    [("0001", Outcome.WARN, "upgrades it"), ("9999", Outcome.FAIL, "this code knows")],
)
async def test_another_schema(revision: str, outcome: Outcome, word: str, tmp_path: Path) -> None:
    """An older one is upgraded by the next start, a newer one is refused."""
    path = World(tmp_path).path
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table alembic_version (version_num text)")
        db.execute("create table spool_marks (spool_id text, lines integer)")
        db.execute("insert into alembic_version values (?)", (revision,))
        db.commit()
    schema, *_ = await database(tmp_path)
    assert schema.outcome is outcome
    assert word in schema.found
    assert REVISION in schema.found


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Cause and remedy, no traceback."""
    path = World(tmp_path).path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 10_000)
    (line,) = await database(tmp_path)
    assert line.outcome is Outcome.FAIL
    assert "not a SQLite file" in line.found
    assert "move it away" in line.remedy


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    """The quick check sees what a query may miss."""
    path = World(tmp_path, [record(n, "propose", "no_signal") for n in range(300)]).write().path
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
        db.execute("pragma writable_schema=on")
        db.execute("update sqlite_master set rootpage = 2 where name = 'ix_traces_funnel'")
        db.commit()
    lines = list(_asked(database(tmp_path)))
    assert any(line.outcome is Outcome.FAIL for line in lines)


def test_rows_that_wait_in_the_spool_are_counted(tmp_path: Path) -> None:
    """An outage left them; the next start replays them."""
    world = World(tmp_path).write()
    lines = [b'{"id":"abc","kind":"spool"}', b"{}", b"{}"]
    (world.path.parent / "spool.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    *_, spool = _asked(database(tmp_path))
    assert (spool.outcome, spool.found) == (Outcome.WARN, "2 rows of an outage")


async def test_rows_that_wait_for_a_database_that_is_gone(tmp_path: Path) -> None:
    """The start would write them into an empty one: its copy belongs back first."""
    world = World(tmp_path)
    world.path.parent.mkdir(parents=True)
    (world.path.parent / "spool.jsonl").write_bytes(b'{"id":"abc","kind":"spool"}\n{}\n{}\n')
    database_line, spool = await database(tmp_path)
    assert database_line.outcome is Outcome.OK
    assert spool.outcome is Outcome.WARN
    assert "2 rows of an outage" in spool.found and "is empty" in spool.found
    assert str(world.path.parent / "backups") in spool.remedy


def _asked(question: Any) -> list[Line]:
    return list(asyncio.run(question))


# --- the page's port --------------------------------------------------------------------


@pytest.fixture
def answering() -> Iterator[HTTPServer]:
    """Somebody on the port; `said` is what it answers, `seen` what it was asked, and with what."""

    class Handler(BaseHTTPRequestHandler):
        said: bytes = b"hello"
        seen: ClassVar[list[tuple[str, str | None]]] = []

        def do_GET(self) -> None:
            self.seen.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.said)))
            self.end_headers()
            self.wfile.write(self.said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_free_port(tmp_path: Path) -> None:
    """Nobody answers and it can be bound."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = probes.page(settings(flags(tmp_path, HTTP_PORT=str(port))), None)
    assert (line.outcome, line.found) == (Outcome.OK, "the port is free")


def test_a_port_that_cannot_be_bound(tmp_path: Path) -> None:
    """Nobody answers there, and still it is not ours: the words of the operating system."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        line = probes.page(settings(flags(tmp_path, HTTP_PORT=str(port))), None)
    assert (line.outcome, line.found) == (Outcome.FAIL, "Address already in use")
    assert "HTTP_PORT" in line.remedy


def test_who_listens_on_the_port(tmp_path: Path, answering: HTTPServer) -> None:
    """A stranger and a Keel of another folder are in the way, our daemon is not."""
    chosen = settings(flags(tmp_path, HTTP_PORT=str(answering.server_port)))
    assert "another program" in probes.page(chosen, None).found
    health = {"status": "ok", "mode": "demo", "version": "9.9"}
    answering.RequestHandlerClass.said = json.dumps(health).encode()  # type: ignore[attr-defined]
    other = probes.page(chosen, None)
    assert (other.outcome, "another DATA_DIR" in other.found) == (Outcome.FAIL, True)
    ours = probes.page(chosen, os.getpid())
    assert (ours.outcome, "the daemon answers" in ours.found) == (Outcome.OK, True)


def test_a_stranger_on_the_port_gets_no_token(tmp_path: Path, answering: HTTPServer) -> None:
    """`check` and `whynot` ask who listens before they show what opens every control."""
    chosen = settings(flags(tmp_path, HTTP_PORT=str(answering.server_port), API_TOKEN="secret-1"))
    with FolderLock(tmp_path):
        probes.page(chosen, os.getpid())
        assert ask_status(chosen) == {}
    seen = answering.RequestHandlerClass.seen  # type: ignore[attr-defined]
    assert [path for path, _ in seen] == ["/health", "/health"]
    assert {authority for _, authority in seen} == {None}


def test_an_address_of_another_machine_is_named_as_such(
    tmp_path: Path, answering: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers there is not in our way, and is not asked."""
    away = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    monkeypatch.setattr(probes, "_bind", lambda host, port: away)
    line = probes.page(settings(flags(tmp_path, HTTP_PORT=str(answering.server_port))), None)
    assert (line.outcome, line.found) == (Outcome.FAIL, away.strerror)
    assert "no address of this machine" in line.remedy
    assert answering.RequestHandlerClass.seen == []  # type: ignore[attr-defined]


def test_port_0_on_an_address_of_another_machine_fails_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon could not listen there either; on one of ours it takes a free port."""
    here = probes.page(settings(flags(tmp_path)), None)
    assert (here.outcome, "takes a free one" in here.found) == (Outcome.OK, True)
    away = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    monkeypatch.setattr(probes, "_bind", lambda host, port: away)
    line = probes.page(settings(flags(tmp_path)), None)
    assert (line.outcome, line.found) == (Outcome.FAIL, away.strerror)
    assert "HTTP_HOST is no address of this machine" in line.remedy


def test_the_status_of_another_world_is_not_ours(tmp_path: Path, answering: HTTPServer) -> None:
    """What is blocked there says nothing of here."""
    world = World(tmp_path)
    chosen = settings(flags(tmp_path, HTTP_PORT=str(answering.server_port)))
    for name, known in (("demo-elsewhere", False), (world.path.parent.name, True)):
        keel = {"status": "ok", "mode": "demo", "version": "9.9"}
        body = json.dumps(keel | {"world": name, "blocked": {}}).encode()
        answering.RequestHandlerClass.said = body  # type: ignore[attr-defined]
        with FolderLock(tmp_path):
            assert bool(ask_status(chosen)) is known
    assert ask_status(chosen) == {}  # nobody holds the lock: no daemon


# --- a simulator of its own process -----------------------------------------------------


async def test_a_port_where_nobody_listens_names_its_layer(tmp_path: Path) -> None:
    """DNS went well, TCP did not; what lies behind is not tried."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    lines = await venue_probe.try_venue(settings(flags(tmp_path, HYPERLIQUID_BASE_URL=url)), ())
    assert [(line.tried[:3], line.outcome) for line in lines] == [
        ("DNS", Outcome.OK),
        ("TCP", Outcome.FAIL),
    ]
    assert "python -m bot.simulator" in lines[-1].remedy


async def test_something_else_on_the_port_fails_in_http(
    tmp_path: Path, answering: HTTPServer
) -> None:
    """Connected, but no simulator."""
    url = f"http://127.0.0.1:{answering.server_port}"
    lines = await venue_probe.try_venue(settings(flags(tmp_path, HYPERLIQUID_BASE_URL=url)), ())
    assert lines[-1].tried.startswith("HTTP")
    assert lines[-1].outcome is Outcome.FAIL
    assert "is no simulated exchange of this Keel" in lines[-1].found


async def test_strategies_that_are_not_there(tmp_path: Path) -> None:
    """The line names the known ones; the venue is still tried, the reach is not."""
    rules, line = load_rules(settings(flags(tmp_path, STRATEGIES="nope")))
    assert (rules, line.outcome) == ((), Outcome.FAIL)
    assert "scalper" in line.found
    lines = by_layer(await venue_probe.try_venue(settings(flags(tmp_path)), rules))
    assert lines["simulator"].outcome is Outcome.OK
    assert "reachability" not in lines


async def test_candles_that_cannot_be_read(tmp_path: Path) -> None:
    """The file is named, and the descent ends there."""
    file = tmp_path / "BTC-PERP-5m-x.csv"
    file.write_text("nonsense\n")
    chosen = settings(flags(tmp_path, DEMO_CANDLES=str(file)))
    lines = await venue_probe.try_venue(chosen, ())
    assert [line.outcome for line in lines] == [Outcome.FAIL]
    assert file.name in lines[0].tried

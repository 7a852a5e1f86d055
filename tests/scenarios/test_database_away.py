"""The database goes away under a daemon that holds positions: care goes on, no row is lost."""

from __future__ import annotations

import json
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

import pytest

from tests.books import Ask, VenueApi, books_equal
from tests.daemon import Daemon, Simulator, wait_for
from tests.postgres import PostgresServer, postgres
from tests.scenarios.demo import first_trade
from tests.scenarios.test_demo import SPEED, TRADE_LIMIT_S, start

__all__ = ["postgres"]  # a fixture

SEED = 1
NOTICED_LIMIT_S = 15.0  # waiting for a lock is 2 s, and a row must want to be written
HELD_S = 3.0  # from then on
BACK_LIMIT_S = 20.0
STOPLESS_LIMIT_S = 2.5
QUESTIONS = ("/decisions", "/traces/funnel", "/trades/summary", "/equity")

Away = Callable[[Daemon], AbstractContextManager[None]]


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Somebody works on the database with another program."""
    with closing(sqlite3.connect(path, timeout=10.0, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def locked(daemon: Daemon) -> AbstractContextManager[None]:
    """By that other program."""
    return exclusively(daemon.books)


@contextmanager
def moved(daemon: Daemon) -> Iterator[None]:
    """Somebody tidied up."""
    aside = daemon.books.with_name("somewhere-else.db")
    daemon.books.rename(aside)
    yield
    aside.rename(daemon.books)


@contextmanager
def full(daemon: Daemon) -> Iterator[None]:
    """No file of the daemon's grows over what the log may still need: as on a full disk, the
    database takes nothing any more, and a small file still finds room."""
    limit = (daemon.data / "keel.log").stat().st_size + 100_000
    wal = daemon.books.with_name("keel.db-wal")
    wait_for(lambda: wal.stat().st_size > limit, TRADE_LIMIT_S, "a database larger than the log")
    before = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (limit, before[1]))
    yield
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, before)


class OpenPage:
    """A browser that shows the page: counts what is pushed to it until the block ends."""

    def __init__(self, daemon: Daemon) -> None:
        place = daemon._place()
        assert place is not None
        self.pushes: list[dict[str, Any]] = []
        self._line = HTTPConnection(*place, timeout=10.0)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._line.request("GET", "/events")
        self._answer = self._line.getresponse()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def _read(self) -> None:
        try:
            for line in self._answer:
                if line.startswith(b'data: {"'):
                    self.pushes.append(json.loads(line.removeprefix(b"data: ")))
        except (OSError, ValueError, AttributeError, HTTPException):
            return  # closed under it


def database_of(daemon: Daemon) -> str:
    """What /health says of the database: ok, degraded or failing."""
    _, health = daemon.get("/health")
    found = {one["name"]: one for one in (health or {}).get("components", ())}
    return str(found.get("database", {}).get("state", "no answer"))


def entries(ledger: Path) -> int:
    """Executions that opened something, as the venue has them."""
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", 5.0, uri=True)) as db:
        opened = "json_extract(body, '$.dir') LIKE 'Open%'"
        ((count,),) = db.execute(f"SELECT count(*) FROM events WHERE kind = 'fill' AND {opened}")
    return int(count)


@pytest.mark.parametrize("away", [locked, moved])
def test_a_database_that_is_away_halts_entries_and_loses_no_row(tmp_path: Path, away: Away) -> None:
    """/health says so and recovers, nothing is opened meanwhile, the books are equal after it."""
    with start(tmp_path) as daemon:
        daemon.healthy()
        _outage(daemon, daemon.ledger, away)
        assert not (daemon.world / "spool.jsonl").exists()
    books_equal(daemon.books, daemon.ledger)


def test_a_full_disk_halts_entries_and_loses_no_row(tmp_path: Path) -> None:
    """The same; the exchange is a process of its own, for its ledger needs room too."""
    with Simulator(tmp_path / "venue", SEED, SPEED) as venue:
        settings = {"DEMO_SEED": SEED, "HYPERLIQUID_BASE_URL": venue.answering().url}
        with Daemon(tmp_path, settings=settings) as daemon:
            daemon.healthy()
            _outage(daemon, venue.ledger, full)
            assert not (daemon.world / "spool.jsonl").exists()
        books_equal(daemon.books, VenueApi(venue.url, venue.address))


def test_a_server_that_stops_halts_entries_and_loses_no_row(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """On PostgreSQL: from entry to closed trade, then the server goes with a position open."""
    name = "keel_away"
    settings = {"DEMO_SPEED": SPEED, "DEMO_SEED": SEED, "DATABASE_URL": postgres.fresh(name)}

    @contextmanager
    def stopped(_: Daemon) -> Iterator[None]:
        postgres.stop()
        try:
            yield
        finally:
            postgres.start()

    with Daemon(tmp_path, settings=settings) as daemon:
        first_trade(daemon.healthy(), TRADE_LIMIT_S)
        answers = _outage(daemon, daemon.ledger, stopped)
        assert not (daemon.world / "spool.jsonl").exists()
    ask: Ask = lambda query: postgres.sql(name, query)  # noqa: E731
    books_equal(ask, daemon.ledger)
    assert all(answer["stale"] and answer["stale_why"] for answer in answers)
    assert ask("SELECT count(*) FROM trades")[0][0] > 0


def _outage(daemon: Daemon, ledger: Path, away: Away) -> list[dict[str, Any]]:
    """Take the database away with a position open and give it back; what was said meanwhile."""
    daemon.until(lambda s: s["positions"], TRADE_LIMIT_S, "a position is open")
    assert database_of(daemon) == "ok"
    for question in QUESTIONS:
        _answer(daemon, question)
    with OpenPage(daemon) as page:
        with away(daemon):
            wait_for(lambda: database_of(daemon) == "failing", NOTICED_LIMIT_S, "it is noticed")
            time.sleep(1.0)  # what was sent before it was noticed has its answer
            before, cycles, seen = entries(ledger), daemon.status()["cycles"], len(page.pushes)
            _keeps_caring(daemon)
            answers = [_answer(daemon, question) for question in QUESTIONS]
            assert entries(ledger) == before
            assert daemon.status()["cycles"] > cycles  # it thought, and did not act
            assert len(page.pushes) - seen >= HELD_S - 1  # and the page went on
        wait_for(lambda: database_of(daemon) == "ok", BACK_LIMIT_S, "it is used again")
    assert "failing" in {_database_in(push) for push in page.pushes}
    least = daemon.status()["cycles"] + 2
    daemon.until(lambda s: s["cycles"] > least, TRADE_LIMIT_S, "two more cycles")
    assert all("stale" not in _answer(daemon, question) for question in QUESTIONS)
    assert daemon.terminate() == 0, daemon.output()
    happened = [str(event["event"]) for event in daemon.events()]
    assert happened.count("database_away") == happened.count("database_back") == 1
    assert "spool_replayed" in happened
    return answers


def _answer(daemon: Daemon, question: str) -> dict[str, Any]:
    """With a limit: a reader may wait 2 s for its connection while a writer waits for a lock."""

    def ask() -> dict[str, Any]:
        code, body = daemon.get(question)
        return dict(body) if code == 200 else {}

    return wait_for(ask, NOTICED_LIMIT_S, f"{question} is answered")


def _database_in(push: dict[str, Any]) -> str:
    parts = {one["name"]: one["state"] for one in push["health"]["components"]}
    return str(parts["database"])


def _keeps_caring(daemon: Daemon) -> None:
    """Every position has its stop at the venue, for as long as the database is away."""
    end = time.monotonic() + HELD_S
    naked: dict[str, float] = {}
    while time.monotonic() < end:
        status = daemon.status()
        bare = {str(row["symbol"]) for row in status["positions"] if not row["stop_rests"]}
        naked = {symbol: naked.get(symbol, time.monotonic()) for symbol in sorted(bare)}
        late = [s for s, since in naked.items() if time.monotonic() - since > STOPLESS_LIMIT_S]
        assert late == [], f"without a resting stop for {STOPLESS_LIMIT_S:g} s: {late}"
        assert _critical_run(status)
        time.sleep(0.2)


def _critical_run(status: dict[str, Any]) -> bool:
    return all(one["condition"] == "running" for one in status["services"] if one["critical"])

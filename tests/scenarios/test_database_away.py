"""The database is locked under a daemon that holds positions: care goes on, no row is lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.books import books_equal
from tests.daemon import Daemon, wait_for
from tests.scenarios.test_demo import TRADE_LIMIT_S, start

NOTICED_LIMIT_S = 15.0  # waiting for the lock is 2 s, and a row must want to be written
HELD_S = 5.0  # from then on
BACK_LIMIT_S = 20.0


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Somebody works on the database with another program."""
    with closing(sqlite3.connect(path, timeout=10.0, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


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


def test_a_locked_database_halts_entries_and_loses_no_row(tmp_path: Path) -> None:
    """/health says so and recovers, nothing is opened meanwhile, the books are equal after it."""
    with start(tmp_path) as daemon:
        daemon.healthy()
        daemon.until(lambda s: s["positions"], TRADE_LIMIT_S, "a position is open")
        assert database_of(daemon) == "ok"
        with exclusively(daemon.books):
            wait_for(lambda: database_of(daemon) == "failing", NOTICED_LIMIT_S, "it is noticed")
            time.sleep(1.0)  # what was sent before it was noticed has its answer
            before, cycles = entries(daemon.ledger), daemon.status()["cycles"]
            _keeps_caring(daemon)
            assert entries(daemon.ledger) == before
            assert daemon.status()["cycles"] > cycles  # it thought, and did not act
        wait_for(lambda: database_of(daemon) == "ok", BACK_LIMIT_S, "it is used again")
        least = daemon.status()["cycles"] + 2
        daemon.until(lambda s: s["cycles"] > least, TRADE_LIMIT_S, "two more cycles")
        assert daemon.terminate() == 0, daemon.output()
    happened = [str(event["event"]) for event in daemon.events()]
    assert happened.count("database_away") == happened.count("database_back") == 1
    assert "spool_replayed" in happened
    assert not (daemon.world / "spool.jsonl").exists()
    books_equal(daemon.books, daemon.ledger)


def _keeps_caring(daemon: Daemon) -> None:
    """Every position has its stop at the venue, for as long as the database is away."""
    end = time.monotonic() + HELD_S
    naked: dict[str, float] = {}
    while time.monotonic() < end:
        status = daemon.status()
        bare = {str(row["symbol"]) for row in status["positions"] if not row["stop_rests"]}
        naked = {symbol: naked.get(symbol, time.monotonic()) for symbol in sorted(bare)}
        late = [symbol for symbol, since in naked.items() if time.monotonic() - since > 2.5]
        assert late == [], f"without a resting stop for 2.5 s: {late}"
        assert _critical_run(status)
        time.sleep(0.2)


def _critical_run(status: dict[str, Any]) -> bool:
    return all(one["condition"] == "running" for one in status["services"] if one["critical"])

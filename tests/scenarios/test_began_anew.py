"""An exchange that began anew never meets the books of its former life."""

from __future__ import annotations

from pathlib import Path

from bot.cli.main import MEND
from tests.books import closed_trades
from tests.daemon import Daemon, Simulator

SPEED = 300  # market seconds in one: a trade of minutes takes seconds
SEED = 1
TRADE_LIMIT_S = 90.0
START_LIMIT_S = 30.0


def test_a_remote_exchange_with_a_new_ledger_is_refused(tmp_path: Path) -> None:
    """One line, exit code 2, nothing lost; with the ledger that it had it goes on."""
    venue = Simulator(tmp_path / "venue", SEED, SPEED)
    settings = {"HYPERLIQUID_BASE_URL": venue.url, "DEMO_SEED": SEED}
    with venue, Daemon(tmp_path / "keel", settings=settings) as daemon:
        venue.answering()
        daemon.healthy()
        daemon.until(lambda s: s["positions"] or s["closed_trades"], TRADE_LIMIT_S, "a fill")
        assert daemon.terminate() == 0, daemon.output()
        trades = closed_trades(daemon.books)
        assert venue.terminate() == 0, venue.output()
    kept = venue.ledger.rename(tmp_path / "kept.db")

    with Simulator(tmp_path / "venue", SEED, SPEED, venue.port) as empty:
        empty.answering()
        with Daemon(tmp_path / "keel", settings=settings) as refused:
            assert refused.finish(START_LIMIT_S) == MEND
            [line] = [one for one in refused.output().splitlines() if one.startswith("keel:")]
        assert empty.terminate() == 0
    assert f"the simulator at {venue.url} began anew" in line and "--ledger" in line
    assert closed_trades(refused.books) == trades

    for part in empty.ledger.parent.glob("simulator.db*"):
        part.unlink()
    kept.rename(venue.ledger)
    with (
        Simulator(tmp_path / "venue", SEED, SPEED, venue.port) as back,
        Daemon(tmp_path / "keel", settings=settings) as again,
    ):
        back.answering()
        again.healthy()
        assert again.terminate() == 0, again.output()


def test_a_database_that_was_removed_is_told_with_its_way_back(tmp_path: Path) -> None:
    """The exchange remembers the trade: one warning, in the log and in /status."""
    settings = {"DEMO_SPEED": SPEED, "DEMO_SEED": SEED}
    with Daemon(tmp_path / "keel", settings=settings) as daemon:
        daemon.until(lambda s: s["positions"] or s["closed_trades"], TRADE_LIMIT_S, "a fill")
        assert not [one for one in daemon.status()["warnings"] if "was begun at" in one]
        assert daemon.terminate() == 0, daemon.output()
    for part in daemon.world.glob("keel.db*"):
        part.unlink()
    with Daemon(tmp_path / "keel", settings=settings) as again:
        again.until(lambda s: s["phase"] == "running", START_LIMIT_S, "running")
        [line] = [one for one in again.status()["warnings"] if "was begun at" in one]
        assert again.terminate() == 0, again.output()
    assert str(daemon.world / "backups") in line
    assert [row["what"] for row in again.events() if row["event"] == "books_lost"] == [line]

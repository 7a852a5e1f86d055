"""The demo on invented prices: a first trade, an orderly stop, and going on where it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.books import books_equal, memory_differences
from tests.daemon import Daemon, settled_to_none, wait_for
from tests.scenarios.demo import first_trade

SPEED = 200  # market seconds in one: a trade of minutes takes seconds
TRADE_LIMIT_S = 90.0


def start(folder: Path) -> Daemon:
    return Daemon(folder, settings={"DEMO_SPEED": SPEED, "DEMO_SEED": 1})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with start(tmp_path) as running:
        yield running.healthy()


def test_a_trade_is_opened_guarded_and_closed(daemon: Daemon) -> None:
    """Entry, stop seen resting, exit, and a P&L that is what its parts say, after fees."""
    trade = first_trade(daemon, TRADE_LIMIT_S)
    assert trade.row["exit_reason"]
    assert daemon.errors() == []


def test_sighup_reads_the_settings_again_and_ends_nothing(daemon: Daemon) -> None:
    """A log level is taken while it runs; what needs a restart is named."""
    (daemon.data.parent / ".env").write_text("LOG_LEVEL=WARNING\nMAX_LEVERAGE=2\n")
    daemon.signal(signal.SIGHUP)

    def told() -> list[dict[str, Any]]:
        return [event for event in daemon.events() if event["event"] == "settings_reloaded"]

    (line,) = wait_for(told, 10.0, "the settings are read again")
    assert (line["changed"], line["needs_restart"]) == (["LOG_LEVEL"], ["MAX_LEVERAGE"])
    quiet = len(daemon.events())
    assert daemon.terminate() == 0, daemon.output()
    assert {event["level"] for event in daemon.events()[quiet:]} <= {"warning", "error"}


def test_sigterm_ends_it_in_time_and_a_restart_goes_on(tmp_path: Path) -> None:
    """Exit code 0 within 10 s, books equal, and the next start has the same money and trades."""
    with start(tmp_path) as first:
        first.healthy()
        before = first.until(
            lambda s: s["closed_trades"] and s["positions"] and float(s["funding"]),
            TRADE_LIMIT_S,
            "a trade is closed, funding was paid and another position is open",
        )
        assert first.terminate() == 0, first.output()
        assert first.errors() == []
    books_equal(first.books, first.ledger)
    with start(tmp_path) as second:
        second.healthy()
        after = second.until(lambda status: status["cycles"] > 0, 30.0, "a first cycle")
        _goes_on(before, after)
        assert not settled_to_none(lambda: memory_differences(second.status(), second.books), 5.0)
        least = after["closed_trades"]
        second.until(lambda s: s["closed_trades"] > least, TRADE_LIMIT_S, "one more trade")
        assert second.terminate() == 0, second.output()
        assert second.errors() == []
    books_equal(second.books, second.ledger)


def test_a_daemon_killed_with_its_exchange_finds_both_as_they_were(tmp_path: Path) -> None:
    """The embedded exchange writes before it answers: kill -9 of both loses nothing."""
    with start(tmp_path) as first:
        first.healthy()
        before = first.until(lambda status: status["positions"], TRADE_LIMIT_S, "a position")
        first.kill()
    with start(tmp_path) as second:
        second.healthy()
        after = second.until(lambda status: status["cycles"] > 0, 30.0, "a first cycle")
        _goes_on(before, after)
        assert not settled_to_none(lambda: memory_differences(second.status(), second.books), 5.0)
        least = after["closed_trades"]
        second.until(lambda s: s["closed_trades"] > least, TRADE_LIMIT_S, "one more trade")
        assert second.terminate() == 0, second.output()
    books_equal(second.books, second.ledger)


def _goes_on(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The same world, no time lost or repeated, and every position still ours or closed."""
    assert after["world"] == before["world"]
    assert after["baseline"] == before["baseline"]
    assert after["market_time_at"] >= before["market_time_at"]
    assert after["closed_trades"] >= before["closed_trades"]
    closed = {trade["trace_id"] for trade in after["recent_trades"]}
    assert closed >= {trade["trace_id"] for trade in before["recent_trades"]}
    held = {position["trace_id"] for position in after["positions"]}
    assert held | closed >= {position["trace_id"] for position in before["positions"]}
    assert all(position["stop_rests"] for position in after["positions"])

"""The whole daemon on a machine that sleeps, has its clock set, starves it, or has a full disk.

One daemon lives through the first three, one after the other; beside it another one meets the
disk. Each is judged by the venue's ledger.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.books import books_equal, differences, venue_orders
from tests.daemon import ROOT, Daemon, Simulator, settled_to_none, wait_for
from tests.scenarios.kills import BUSY, one_order_an_intent
from tests.scenarios.nakedness import longest_s, naked_moments
from tests.scenarios.test_by_hand import Operated
from tests.scenarios.test_database_away import database_of, entries

SPEED = 120  # a signal outlives the way of a decision on a slow machine
SEED = 1
LIMIT_S = 60.0
ALL_S = 240.0  # for all of it
CALM_LIMIT_S = 45.0  # an order in doubt is settled 13 s after it was signed
NAKED_S = 0.5  # the longest a position may be without a resting stop
ASLEEP_S = 3.0
STARVED_S = 6
SET_S = 2.0  # for so long the clock is wrong
HOUR_S = 3_600
FULL_S = 2.0
TRIES = 5
SETTINGS: Mapping[str, object] = {
    **BUSY,
    "TIME_STOP_MINUTES": 60,
    "MAX_POSITIONS": 4,
    "DEMO_SEED": SEED,
}


class Machine:
    """A daemon beside a venue that goes on, whatever the machine does to the daemon."""

    def __init__(self, folder: Path, venue: Simulator) -> None:
        self.venue = venue
        self.daemon = Daemon(
            folder,
            settings={**SETTINGS, "HYPERLIQUID_BASE_URL": venue.url},
            python_path=[ROOT / "tests/machine"],
        )
        self._folder = folder

    def write(self, name: str, value: int) -> None:
        """What the process finds in a file of its folder, never half of it."""
        fresh = self._folder / f"{name}.new"
        fresh.write_text(str(value))
        fresh.replace(self._folder / name)

    def with_a_position(self) -> int:
        """Wait for a position whose stop rests; the number of events so far."""
        self.daemon.until(
            lambda s: any(row["stop_rests"] for row in s["positions"]), LIMIT_S, "a guarded one"
        )
        return len(self.happened())

    def happened(self) -> list[str]:
        return [str(event["event"]) for event in self.daemon.events()]

    def sound(self, since: float) -> None:
        """Compared after `since` (machine s); nothing is doubled, bare or unknown; books equal."""
        wait_for(lambda: self._compared() > since, LIMIT_S, "books and venue were compared")
        assert settled_to_none(self._doubtful, CALM_LIMIT_S) == []
        found = settled_to_none(
            lambda: differences(self.daemon.books, self.venue.ledger), CALM_LIMIT_S
        )
        assert found == []
        one_order_an_intent(venue_orders(self.venue.ledger), SPEED)
        assert longest_s(naked_moments(self.venue.ledger), (), SPEED) <= NAKED_S

    def opens(self) -> None:
        """Something more is opened."""
        before = entries(self.venue.ledger)
        wait_for(lambda: entries(self.venue.ledger) > before, LIMIT_S, "something is opened")

    def _compared(self) -> float:
        age_s = self.daemon.status().get("reconciliation", {}).get("age_s")
        return 0.0 if age_s is None else time.monotonic() - age_s

    def _doubtful(self) -> list[str]:
        status = self.daemon.status()
        return list(status["reconciliation"]["unknown_orders"]) if status else ["no answer"]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[None]]]:
    """What becomes of both daemons, side by side: one waits most of the time."""
    folder = tmp_path_factory.mktemp("machine")
    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(1) as one_by_one:
        full = beside.submit(_full_disk, folder / "full")
        with Simulator(folder / "venue", SEED, SPEED) as venue:
            made = Machine(folder / "bot", venue.answering())
            with made.daemon:
                made.daemon.healthy()
                yield {
                    "full": full,
                    "slept": one_by_one.submit(_slept, made),
                    "set": one_by_one.submit(_set, made),
                    "starved": one_by_one.submit(_starved, made),
                }
                one_by_one.shutdown()
                assert made.daemon.terminate() == 0, made.daemon.output()


def test_a_daemon_that_slept_while_its_connection_was_cut_goes_on(
    lives: Mapping[str, Future[None]],
) -> None:
    """Stopped beside a venue that goes on: it connects again, compares, books equal."""
    lives["slept"].result(ALL_S)


def test_a_clock_set_forward_and_back_by_an_hour_doubles_nothing(
    lives: Mapping[str, Future[None]],
) -> None:
    """Told each time; while it is behind the venue takes no entry, then all goes on."""
    lives["set"].result(ALL_S)


def test_a_loop_that_is_starved_says_so_once_and_goes_on(lives: Mapping[str, Future[None]]) -> None:
    """Its main thread stands still for seconds with a position open."""
    lives["starved"].result(ALL_S)


def test_a_full_disk_stops_entries_and_no_exit_and_loses_no_row(
    lives: Mapping[str, Future[None]],
) -> None:
    """Nothing is opened, `close` works, a `halt` may be forgotten; with room all is written."""
    lives["full"].result(ALL_S)


# --- one daemon, three mishaps ----------------------------------------------------------------


def _slept(machine: Machine) -> None:
    before = machine.with_a_position()
    os.killpg(machine.daemon.pid, signal.SIGSTOP)
    try:
        machine.venue.misbehave([{"kind": "cut_sockets"}])
        time.sleep(ASLEEP_S)
    finally:
        woke = time.monotonic()
        os.killpg(machine.daemon.pid, signal.SIGCONT)
    wait_for(
        lambda: {"stream_lost", "stream_back"} <= {*machine.happened()[before:]},
        LIMIT_S,
        "the connection is said to be lost, and back",
    )
    machine.sound(woke)


def _set(machine: Machine) -> None:
    before = machine.with_a_position()
    machine.write("clock_offset", HOUR_S)
    time.sleep(SET_S)
    machine.write("clock_offset", -HOUR_S)
    time.sleep(1.0)  # what was signed before has its answer
    opened = entries(machine.venue.ledger)
    time.sleep(SET_S)
    assert entries(machine.venue.ledger) == opened
    machine.write("clock_offset", 0)
    mended = time.monotonic()
    machine.opens()
    machine.sound(mended)
    told = [e for e in machine.daemon.events()[before:] if e["event"] == "clock_set"]
    assert [round(e["by_s"]) for e in told] == [HOUR_S, -2 * HOUR_S, HOUR_S]


def _starved(machine: Machine) -> None:
    before = machine.with_a_position()
    machine.write("stall", STARVED_S)
    time.sleep(STARVED_S)
    machine.sound(time.monotonic())
    told = [e for e in machine.daemon.events()[before:] if e["event"] == "loop_stood_still"]
    assert len(told) == 1
    assert STARVED_S - 1 <= told[0]["seconds"] <= STARVED_S + 1


# --- the disk ---------------------------------------------------------------------------------


@contextmanager
def no_room(daemon: Daemon) -> Iterator[None]:
    """No file of this process takes another byte: each write fails, as on a full disk."""
    before = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, before)


def _full_disk(folder: Path) -> None:
    with Simulator(folder / "venue", SEED, SPEED) as venue:
        wired = {"HYPERLIQUID_BASE_URL": venue.answering().url, "TIME_STOP_MINUTES": 600}
        with Operated(folder / "bot", **{**SETTINGS, **wired}) as daemon:
            daemon.healthy()
            assert any(_was_full(daemon, venue) for _ in range(TRIES)), "no position to close"
            wait_for(lambda: database_of(daemon) == "ok", LIMIT_S, "it is written to again")
            told = daemon.post("halt", {"reason": "room again"})[1]
            assert (told["trading_state"], told["survives_restart"]) == ("HALTED", True)
            assert daemon.post("close-all", {})[1]["ok"] is True
            assert daemon.terminate() == 0, daemon.output()
        books_equal(daemon.books, venue.ledger)
        one_order_an_intent(venue_orders(venue.ledger), SPEED)
        assert longest_s(naked_moments(venue.ledger), (), SPEED) <= NAKED_S


def _was_full(daemon: Operated, venue: Simulator) -> bool:
    """The disk is full while something is open; False when its stop was faster than we."""
    status = daemon.until(lambda s: s["positions"], LIMIT_S, "a position is open")
    with no_room(daemon):
        if "closed" not in [_closed(daemon, str(row["symbol"])) for row in status["positions"]]:
            return False
        wait_for(lambda: database_of(daemon) == "failing", LIMIT_S, "it is noticed")
        time.sleep(1.0)  # what was sent before it was noticed has its answer
        opened, cycles = entries(venue.ledger), daemon.status()["cycles"]
        time.sleep(FULL_S)
        assert entries(venue.ledger) == opened
        assert daemon.status()["cycles"] > cycles  # it thought, and did not act
        told = daemon.post("halt", {"reason": "no room"})[1]
        assert (told["trading_state"], told["survives_restart"]) == ("HALTED", False)
    return True


def _closed(daemon: Operated, symbol: str) -> Any:
    """How closing it by name ended; its stop may have been faster."""
    code, told = daemon.post("close", {"symbol": symbol, "by": "ada"})
    assert (code, told["ok"]) == (200, True), told
    return told["results"][0]["state"]

"""A person at a running daemon: yes and no over HTTP, closing by command, a halt that stays."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.books import books_equal, venue_orders
from tests.daemon import ROOT, Daemon, Simulator, free_port, wait_for
from tests.scenarios.kills import BUSY, one_order_an_intent
from tests.scenarios.test_database_away import exclusively

SPEED = 60  # as a person would run it
ASKED_LIMIT_S = 90.0
TRADE_LIMIT_S = 90.0
COMMAND_LIMIT_S = 60.0
EXPIRY_S = 5


class Operated(Daemon):
    """A daemon that is spoken to as a person would."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.port = free_port()
        given = {"DEMO_SPEED": SPEED, "DEMO_SEED": 1, "HTTP_PORT": self.port, **settings}
        super().__init__(folder, settings=given)

    def post(self, route: str, body: Mapping[str, object]) -> tuple[int, dict[str, Any]]:
        """POST /control/`route` with the token of the data folder."""
        token = (self.data / "api_token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30.0)) as line:
            line.request("POST", f"/control/{route}", json.dumps(body), headers)
            answer = line.getresponse()
            return answer.status, dict(json.loads(answer.read()))

    def post_in_vain(self, route: str) -> None:
        """Ask, and never hear: the daemon may be killed meanwhile."""
        with suppress(OSError, HTTPException):
            self.post(route, {})

    def command(self, *words: str) -> tuple[int, str]:
        """`python main.py ...` in another process; its exit code and what it wrote."""
        flags = ["--data-dir", str(self.data), "--http-port", str(self.port), "--demo-seed", "1"]
        done = subprocess.run(
            [sys.executable, str(ROOT / "main.py"), *words, *flags],
            cwd=self.data,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def asked(self, but: str = "") -> dict[str, Any]:
        """The first card that waits, other than `but`."""

        def look() -> dict[str, Any]:
            cards = self.status().get("approvals", [])
            return next((card for card in cards if card["id"] != but), {})

        assert self.alive, self.output()
        return wait_for(look, ASKED_LIMIT_S, "a trade waits for a person", 0.02)

    def trace(self, trace_id: str) -> dict[str, Any]:
        code, body = self.get(f"/traces/{trace_id}")
        return dict(body) if code == 200 else {}

    def ended(self, trace_id: str, *results: str) -> dict[str, Any]:
        """The trace once it says one of these."""

        def look() -> dict[str, Any]:
            found = self.trace(trace_id)
            return found if found.get("result") in results else {}

        return wait_for(look, 20.0, f"{trace_id} ends with one of {results}")


def stored(daemon: Daemon, trace_id: str) -> bool:
    """Whether the row of a trace is in the database, where a kill leaves it."""
    with closing(sqlite3.connect(f"{daemon.books.as_uri()}?mode=ro", 5.0, uri=True)) as db:
        return bool(db.execute("SELECT 1 FROM traces WHERE id = ?", (trace_id,)).fetchone())


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """One daemon in manual mode for all that a person may say to it."""
    folder = tmp_path_factory.mktemp("manual")
    with Operated(folder, APPROVAL_MODE="manual", APPROVAL_EXPIRY_SECONDS=EXPIRY_S) as daemon:
        daemon.healthy()
        yield daemon
        assert daemon.errors() == []


def test_a_yes_over_http_becomes_a_trade_and_a_second_one_does_not(manual: Operated) -> None:
    """Asked, approved, executed under the name of who said yes; the id works once; and the
    recorded decision is decided again to the same bytes."""
    for _ in range(20):  # the desk may refuse what was approved: then the next one is approved
        card = manual.asked()
        assert manual.trace(card["trace_id"])["result"] == "unanswered"
        status, told = manual.post("approve", {"id": card["id"], "by": "ada"})
        if status != 200:  # too late, or the price ran away: said by name
            assert told["error"]["code"] in ("approval_expired", "price_moved", "newer_signal")
            continue
        again, refused = manual.post("approve", {"id": card["id"], "by": "ada"})
        assert (again, refused["error"]["code"]) == (409, "already_answered")
        found = manual.ended(
            card["trace_id"], "executed", "refused", "unsizeable", "price_moved", "no_fill"
        )
        if found["result"] == "executed":
            break
    else:
        raise AssertionError("20 approved trades were all refused by the desk")
    answer = found["body"]["approval"]["answer"]
    assert (answer["said"], answer["by"]) == ("approved", "ada")
    assert found["body"]["approval"]["verdict"]["by"] == "ada"
    assert len([order for order in found["orders"] if order["leg"] == "entry"]) == 1
    audit = [event for event in manual.events() if event.get("event") == "approval_answered"]
    assert any(event["id"] == card["id"] and event["by"] == "ada" for event in audit)
    code, said = manual.command("replay", card["trace_id"])
    assert code == 0 and "replayed equal" in said, said


def test_a_no_and_silence_trade_nothing(manual: Operated) -> None:
    """A no by command and a wait to its end: both are rejections of the approver."""
    card = manual.asked()
    code, said = manual.command("reject", card["id"])
    while code != 0:  # it was replaced or expired while the command started
        assert code in (1, 2) and said.startswith("keel: reject:")
        card = manual.asked(but=card["id"])
        status, _ = manual.post("reject", {"id": card["id"]})
        code = 0 if status == 200 else 1
    found = manual.ended(card["trace_id"], "rejected")
    assert found["body"]["approval"]["answer"]["said"] == "rejected"
    assert found["orders"] == []

    for _ in range(20):
        silent = manual.asked(but=card["id"])
        ended = manual.ended(silent["trace_id"], "rejected", "replaced")
        if ended["result"] == "rejected":
            break
    assert ended["body"]["approval"]["answer"]["said"] == "timeout"
    failed = [
        one["code"] for one in ended["body"]["approval"]["verdict"]["checks"] if not one["ok"]
    ]
    assert failed == ["approver"]
    status, told = manual.post("approve", {"id": silent["id"]})
    assert (status, told["error"]["code"]) == (409, "approval_expired")


def test_a_restart_forgets_what_waits_and_its_trace_says_so(tmp_path: Path) -> None:
    """kill -9 while a person is asked: nothing waits after it, the old id is unknown."""
    settings = {"APPROVAL_MODE": "manual", "APPROVAL_EXPIRY_SECONDS": 600}
    with Operated(tmp_path, **settings) as first:
        first.healthy()
        card = first.asked()
        wait_for(lambda: stored(first, card["trace_id"]), 10.0, "its trace is on the disk")
        first.kill()
    with Operated(tmp_path, **settings) as second:
        second.healthy()
        assert card["id"] not in {one["id"] for one in second.status()["approvals"]}
        status, told = second.post("approve", {"id": card["id"]})
        assert (status, told["error"]["code"]) == (404, "unknown_approval")
        assert second.trace(card["trace_id"])["result"] == "unanswered"


def test_close_all_flattens_while_halted_and_the_halt_outlives_a_kill(tmp_path: Path) -> None:
    """By command: halt, close --all with every position told, kill -9, still HALTED; resume."""
    with Operated(tmp_path, DEMO_SPEED=120) as daemon:
        daemon.healthy()
        said = "nothing is open\n"
        while said == "nothing is open\n":  # its stop was faster than the command: once more
            daemon.post("resume", {})
            daemon.until(lambda s: s["positions"], TRADE_LIMIT_S, "a position is open")
            code, told = daemon.command("halt", "--reason", "lunch")
            assert (code, told) == (0, "HALTED: lunch; stops and exits go on\n")
            code, said = daemon.command("close", "--all")
            assert code == 0, said
        status = daemon.status()
        assert status["positions"] == [] and status["trading_state"] == "HALTED"
        assert all(": closed " in line for line in said.splitlines()), said
        assert daemon.command("close", "BTC") == (0, "BTC: nothing is open\n")
        code, said = daemon.command("close", "NOSUCH")
        assert (code, said.count("\n")) == (2, 1) and "no such coin" in said
        audit = [event for event in daemon.events() if event.get("event") == "control_close_all"]
        assert audit and audit[0]["by"].startswith("cli:")
        daemon.kill()
        code, said = daemon.command("halt")
        assert code == 1 and "no daemon runs" in said
    with Operated(tmp_path, DEMO_SPEED=120) as daemon:
        daemon.healthy()
        status = daemon.status()
        assert (status["trading_state"], status["trading_state_why"]) == ("HALTED", "lunch")
        code, said = daemon.command("resume")
        assert code == 0 and said.startswith("ACTIVE; breakers closed by hand: none")
        daemon.until(lambda s: s["positions"], TRADE_LIMIT_S, "it trades again")
        daemon.post("halt", {})
        assert daemon.post("close-all", {})[1]["ok"] is True
        assert daemon.terminate() == 0, daemon.output()
    books_equal(daemon.books, daemon.ledger)


def test_a_flatten_cut_off_by_a_kill_goes_on_in_the_next_life(tmp_path: Path) -> None:
    """Halted, all to be closed in a market that stands still, kill -9: the next life does it.

    Nobody asks again; the halt stays, each is told, and what was wished is over after it.
    """
    with Simulator(tmp_path / "venue", 1, SPEED) as venue:
        wired = {"HYPERLIQUID_BASE_URL": venue.answering().url, "TIME_STOP_MINUTES": 600}
        settings = {**BUSY, **wired}
        with Operated(tmp_path, **settings) as first:
            first.healthy()
            held = _flattened_in_vain(first, venue)
            first.kill()
        with Operated(tmp_path, **settings) as second:
            second.healthy()
            assert {row["symbol"] for row in second.status()["closing"]} == held
            assert {row["symbol"] for row in second.status()["positions"]} == held
            wait_for(lambda: _tried(second) == held, 20.0, "each is tried, and nobody asked")
            venue.misbehave(())
            flat = second.until(lambda s: not s["positions"] and not s["closing"], 30.0, "flat")
            assert (flat["trading_state"], flat["trading_state_why"]) == ("HALTED", "lunch")
            told = [e for e in second.events() if e.get("event") == "closed_by_hand"]
            assert {(e["symbol"], e["state"]) for e in told} == {(s, "closed") for s in held}
            assert second.terminate() == 0, second.output()
        books_equal(second.books, venue.ledger)
        one_order_an_intent(venue_orders(venue.ledger), SPEED)


def test_a_flatten_cut_off_by_a_kill_waits_for_no_answer_to_a_question(tmp_path: Path) -> None:
    """The venue takes orders and tells no fills when asked: the next life closes all the same.

    It wishes on until it could compare: only then is it known that nothing is open.
    """
    with Simulator(tmp_path / "venue", 1, SPEED) as venue:
        wired = {"HYPERLIQUID_BASE_URL": venue.answering().url, "TIME_STOP_MINUTES": 600}
        settings = {**BUSY, **wired}
        with Operated(tmp_path, **settings) as first:
            first.healthy()
            held = _flattened_in_vain(first, venue)
            first.kill()
        venue.misbehave([{"kind": "gateway", "on": "fills", "times": 0}])
        with Operated(tmp_path, **settings) as second:
            flat = second.until(lambda s: s["closing"] and not s["positions"], 60.0, "flat")
            assert flat["phase"] == "reconciling"
            assert {row["symbol"] for row in flat["closing"]} == held
            ends = [e for e in second.events() if e.get("event") == "trade_closed"]
            # One may have met its own stop or target in that moment.
            assert {end["reason"] for end in ends} & {"flatten", "stop", "target"}, ends
            venue.misbehave(())
            second.until(lambda s: not s["closing"], 30.0, "it is known")
            assert second.terminate() == 0, second.output()
        books_equal(second.books, venue.ledger)
        one_order_an_intent(venue_orders(venue.ledger), SPEED)


def test_all_is_closed_that_the_books_do_not_know_of_yet(tmp_path: Path) -> None:
    """A crash took the rows of fills along, and the next life cannot ask the venue at first.

    Nothing is called flat; the wish outlives another kill, and what is found then is closed.
    """
    with Simulator(tmp_path / "venue", 1, SPEED) as venue:
        wired = {"HYPERLIQUID_BASE_URL": venue.answering().url, "TIME_STOP_MINUTES": 600}
        settings = {**BUSY, **wired}
        with Operated(tmp_path, **settings) as first:
            first.healthy()
            _held_in_a_still_market(first, venue)
            first.kill()
        lost = _lose_the_last_fills(first.books)
        with Operated(tmp_path, **settings) as second:
            second.until(lambda s: s["phase"] == "reconciling", 60.0, "it wants to compare")
            assert second.status()["positions"] == []
            code, said = second.command("close", "--all")
            assert code == 1 and said.startswith("UNKNOWN what else is open"), said
            assert "nothing is open" not in said
            second.kill()
        before = len(second.events())
        venue.misbehave(())
        with Operated(tmp_path, **settings) as third:
            third.healthy()
            third.post("halt", {"reason": "lunch"})

            def told() -> set[str]:
                ends = [e for e in third.events()[before:] if "symbol" in e]
                by_hand = {e["symbol"] for e in ends if e.get("state") == "closed"}
                # One may have met its own stop or target in that moment.
                return by_hand | {e["symbol"] for e in ends if e.get("event") == "trade_closed"}

            wait_for(lambda: told() >= lost, 30.0, "what was lost is closed, and nobody asked")
            third.until(lambda s: not s["closing"], 30.0, "nothing is wished any more")
            assert third.terminate() == 0, third.output()
        books_equal(third.books, venue.ledger)
        one_order_an_intent(venue_orders(venue.ledger), SPEED)


def _held_in_a_still_market(daemon: Operated, venue: Simulator) -> None:
    """Something is open, in its row too; no price moves any more, and no fill can be asked for."""
    for _ in range(10):
        daemon.until(lambda s: s["positions"], TRADE_LIMIT_S, "a position is open")
        venue.misbehave([{"kind": "halt"}, {"kind": "gateway", "on": "fills", "times": 0}])
        time.sleep(1.0)  # what was on its way has its answer, and its row
        if daemon.status()["positions"]:
            return
        venue.misbehave(())
    raise AssertionError("each time its stop or target was faster than the halt")


def _lose_the_last_fills(books: Path) -> set[str]:
    """Leave the books as a kill between the answers to entries and their fills does."""
    ours = "(SELECT cloid FROM orders WHERE trace_id IN (SELECT trace_id FROM positions))"
    with closing(sqlite3.connect(books, 5.0)) as db, db:
        lost = {str(symbol) for (symbol,) in db.execute("SELECT symbol FROM positions")}
        db.execute(f"DELETE FROM fills WHERE cloid IN {ours}")
        db.execute(f"UPDATE orders SET executions = '[]' WHERE cloid IN {ours}")
        db.execute("DELETE FROM positions")
        db.execute("DELETE FROM funding")
        db.execute("DELETE FROM bot_state WHERE key LIKE 'guard:%' OR key LIKE 'fund%'")
    assert lost
    return lost


def _tried(daemon: Operated) -> set[str]:
    """Symbols of which an exit was sent and refused."""
    refused = [event for event in daemon.events() if event.get("event") == "exit_rejected"]
    return {event["symbol"] for event in refused if event["leg"] == "exit"}


def _flattened_in_vain(daemon: Operated, venue: Simulator) -> set[str]:
    """All was asked to be closed, and the market takes no exit; the symbols that stay open.

    Its prices stand still too, so that no stop and no target of the venue is faster.
    """
    for _ in range(10):
        daemon.until(lambda s: s["positions"], TRADE_LIMIT_S, "a position is open")
        venue.misbehave([{"kind": "halt"}])
        daemon.post("halt", {"reason": "lunch"})
        time.sleep(1.0)  # what was on its way has its answer
        held = {str(row["symbol"]) for row in daemon.status()["positions"]}
        if held:
            threading.Thread(target=daemon.post_in_vain, args=("close-all",)).start()
            time.sleep(2.0)  # the first try is in the journal, and was refused
            assert {row["symbol"] for row in daemon.status()["closing"]} == held
            return held
        venue.misbehave(())
        daemon.post("resume", {})
    raise AssertionError("each time its stop or target was faster than the halt")


def test_close_all_works_while_the_database_is_away(tmp_path: Path) -> None:
    """The exits leave; their rows follow, and the books are equal at the end."""
    with Operated(tmp_path, DEMO_SPEED=120) as daemon:
        daemon.healthy()
        daemon.until(lambda s: s["positions"], TRADE_LIMIT_S, "a position is open")
        with exclusively(daemon.books):
            time.sleep(0.5)
            status, told = daemon.post("close-all", {"by": "ada"})
            assert (status, told["ok"]) == (200, True), told
            states = {one["state"] for one in told["results"]}
            # One may have met its own stop or target in that moment; not all of them.
            assert "closed" in states and states <= {"closed", "nothing_open"}, told
            assert daemon.status()["positions"] == []
            status, told = daemon.post("halt", {"reason": "lunch", "by": "ada"})
            assert told["trading_state"] == "HALTED"
        assert daemon.terminate() == 0, daemon.output()
    books_equal(daemon.books, daemon.ledger)

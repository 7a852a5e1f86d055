"""`halt`, `resume`, `close`, `approve`, `reject`: one clear line each, from what a daemon says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from bot.cli import main as cli
from tests.daemon import free_port

TOKEN = "a-token-for-this-test"
HEALTH = {"status": "ok", "mode": "demo", "version": "1"}
OK_HALT = {
    "ok": True,
    "trading_state": "HALTED",
    "trading_state_why": "x",
    "survives_restart": True,
}


class Keel:
    """Whoever listens on the port: what it answers, and what it was told."""

    def __init__(self) -> None:
        self.health: object = HEALTH
        self.answers: dict[str, tuple[int, object]] = {}
        self.heard: list[tuple[str, dict[str, Any], str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(200, outer.health)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.heard.append((self.path, body, self.headers["Authorization"]))
                self._say(*outer.answers[self.path])

            def _say(self, status: int, body: object) -> None:
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port


@pytest.fixture
def keel() -> Iterator[Keel]:
    running = Keel()
    thread = threading.Thread(target=running.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        thread.join(5)
        running.server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "api_token").write_text(TOKEN + "\n")
    return tmp_path


def run(folder: Path, port: int, *words: str) -> int:
    return cli.main([*words, "--data-dir", str(folder), "--http-port", str(port)], {}, None)


def refused(status: int, code: str, message: str) -> tuple[int, object]:
    return status, {"ok": False, "error": {"code": code, "message": message}}


def test_halt_says_its_reason_and_who_asks(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the token of the data folder; the audit gets the user of the terminal."""
    keel.answers["/control/halt"] = (200, OK_HALT)
    assert run(folder, keel.port, "halt", "--reason", "lunch") == 0
    ((path, body, authority),) = keel.heard
    assert (path, body["reason"], authority) == ("/control/halt", "lunch", f"Bearer {TOKEN}")
    assert body["by"].startswith("cli:")
    assert capsys.readouterr().out == "HALTED: x; stops and exits go on\n"


def test_the_token_of_the_settings_comes_first(keel: Keel, folder: Path) -> None:
    """API_TOKEN, where it is set."""
    keel.answers["/control/halt"] = (200, OK_HALT)
    assert run(folder, keel.port, "halt", "--api-token", "another") == 0
    assert keel.heard[0][2] == "Bearer another"


def test_resume_names_what_stays_open(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a breaker and a line a blocked symbol."""
    keel.answers["/control/resume"] = (
        200,
        {
            "ok": True,
            "trading_state": "ACTIVE",
            "breakers_reset": ["drawdown"],
            "breakers_open": [
                {"code": "daily_loss", "until_at": "2026-01-02T00:00:00.000Z"},
                {"code": "data", "until_at": None},
            ],
            "blocked": {"ETH": "foreign position"},
            "closing_withdrawn": ["SOL", "*"],
            "survives_restart": True,
        },
    )
    assert run(folder, keel.port, "resume") == 0
    assert capsys.readouterr().out.splitlines() == [
        "ACTIVE; breakers closed by hand: drawdown",
        "daily_loss stays open until 2026-01-02T00:00:00.000Z",
        "data stays open until its cause is over",
        "SOL is not closed, and no longer being closed: `close SOL` asks again",
        "what else is open is no longer being closed: `close --all` asks again",
        "ETH stays closed to entries: foreign position",
    ]


def closed(symbol: str, state: str, why: str = "") -> dict[str, object]:
    held = state in ("closed", "still_open")
    return {
        "symbol": symbol,
        "state": state,
        "why": why,
        "side": "LONG" if held else "",
        "quantity": "0.5" if held else None,
        "trace_id": f"{symbol}-1" if held else "",
        "net_pnl": "-1.25" if state == "closed" else None,
    }


def test_close_all_tells_each_and_leaves_with_1_when_one_is_open(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Closed, still open with its reason, unknown; and that entries are still allowed."""
    results = [closed("BTC", "closed"), closed("ETH", "still_open", "no price")]
    results.append(closed("SOL", "unknown", "no answer yet"))
    told = {"ok": False, "results": results, "not_ours": ["OP"], "entries_allowed": True}
    told |= {"going_on": ["ETH", "SOL"], "survives_restart": True, "compared": True}
    keel.answers["/control/close-all"] = (200, told)
    assert run(folder, keel.port, "close", "--all") == 1
    assert capsys.readouterr().out.splitlines() == [
        "BTC: closed LONG 0.5, net -1.25 USD (BTC-1)",
        "ETH: STILL OPEN, LONG 0.5: no price",
        "SOL: UNKNOWN: no answer yet; ask again",
        "goes on: ETH, SOL; `resume` withdraws it",
        "OP: held at the venue, not by Keel; not touched",
        "entries are still allowed: `halt` keeps it flat",
    ]
    assert run(folder, keel.port, "close", "--all", "--json") == 1
    assert json.loads(capsys.readouterr().out) == told


def test_close_all_before_the_first_comparison_never_says_that_nothing_is_open(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not known; it goes on by itself, and the exit code is 1."""
    told = {"ok": False, "results": [], "not_ours": [], "entries_allowed": False}
    told |= {"going_on": ["*"], "survives_restart": True, "compared": False}
    keel.answers["/control/close-all"] = (200, told)
    assert run(folder, keel.port, "close", "--all") == 1
    assert capsys.readouterr().out.splitlines() == [
        "UNKNOWN what else is open: books and venue were not compared since this start",
        "goes on: whatever turns out to be open; `resume` withdraws it",
    ]


def test_close_takes_a_symbol_or_all(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither and both are a mistake; nothing is sent."""
    for words in (("close",), ("close", "BTC", "--all")):
        assert run(folder, keel.port, *words) == 2
    assert keel.heard == []
    flat = {"ok": True, "results": [closed("BTC", "nothing_open")], "not_ours": []}
    flat |= {"going_on": [], "survives_restart": True, "compared": True}
    keel.answers["/control/close"] = (200, {**flat, "entries_allowed": True})
    assert run(folder, keel.port, "close", "BTC") == 0
    assert capsys.readouterr().out == "BTC: nothing is open\n"
    assert keel.heard[0][1]["symbol"] == "BTC"


def test_a_word_is_taken_or_its_refusal_is_told(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """approve and reject: 0 when taken, 1 when too late, 2 for an id that there is not."""
    yes = {"ok": True, "id": "ab", "said": "approved", "by": "x", "breakers_open": ["daily_loss"]}
    keel.answers["/control/approve"] = (200, {**yes, "trading_state": "HALTED"})
    assert run(folder, keel.port, "approve", "ab") == 0
    assert capsys.readouterr().out.splitlines() == [
        "approved: ab",
        "the desk will refuse it now: HALTED, daily_loss",
    ]
    keel.answers["/control/reject"] = refused(409, "approval_expired", "not answered within 120 s")
    assert run(folder, keel.port, "reject", "ab") == 1
    assert capsys.readouterr().err == "keel: reject: not answered within 120 s\n"
    keel.answers["/control/reject"] = refused(404, "unknown_approval", "nothing waits")
    assert run(folder, keel.port, "reject", "ab") == 2


def test_a_coin_that_there_is_not_is_one_line(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the daemon's own words; exit code 2."""
    keel.answers["/control/close"] = refused(404, "unknown_symbol", "the venue has no such coin")
    assert run(folder, keel.port, "close", "NOPE") == 2
    assert capsys.readouterr().err == "keel: close: the venue has no such coin\n"


def test_no_daemon_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked, and what to do."""
    port = free_port()
    assert run(folder, port, "halt") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"nobody listens on http://127.0.0.1:{port}: no daemon runs in {folder}" in said
    assert run(folder, 0, "halt") == 2
    assert "--http-port" in capsys.readouterr().err


def test_a_wrong_or_missing_token_is_one_line(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it came from, never what it is."""
    keel.answers["/control/halt"] = refused(401, "token_needed", "send Authorization")
    assert run(folder, keel.port, "halt") == 2
    said = capsys.readouterr().err
    assert f"did not accept the token from {folder / 'api_token'}" in said
    assert TOKEN not in said and said.count("\n") == 1
    keel.heard.clear()
    (folder / "api_token").unlink()
    assert run(folder, keel.port, "halt") == 2
    assert "no token" in capsys.readouterr().err
    assert keel.heard == []


@pytest.mark.parametrize("health", [{"status": "ok"}, [1], b"<html>"])
def test_a_strangers_ear_never_gets_the_token(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str], health: object
) -> None:
    """Another program on the port is told nothing."""
    keel.health = health
    assert run(folder, keel.port, "halt") == 1
    assert "is no Keel" in capsys.readouterr().err
    assert keel.heard == []


def test_an_answer_that_is_none_leaves_doubt(
    keel: Keel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have been carried out: that is said, not a success."""
    keel.answers["/control/halt"] = (200, b"not json")
    assert run(folder, keel.port, "halt") == 1
    assert "may have been carried out" in capsys.readouterr().err


def test_a_broken_setting_elsewhere_keeps_nobody_from_halting(
    keel: Keel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A half-done edit of another setting is a warning; of the way to the daemon it is not."""
    keel.answers = {"/control/halt": (200, OK_HALT)}
    env = tmp_path / ".env"
    env.write_text(
        f"HTTP_PORT={keel.port}\nAPI_TOKEN={TOKEN}\nENABLE_OPENAI=true\nMAX_LEVERAGE=many\n"
        "NO_SUCH_SETTING=1\n"
    )
    assert cli.main(["halt"], {}, env) == 0
    assert len(keel.heard) == 1
    told = capsys.readouterr().err
    for name in ("OPENAI_API_KEY", "MAX_LEVERAGE", "NO_SUCH_SETTING"):
        assert name in told
    assert cli.main(["run"], {}, env) == 2
    env.write_text(f"HTTP_PORT=many\nAPI_TOKEN={TOKEN}\n")
    assert cli.main(["halt"], {}, env) == 2
    assert cli.main(["halt", "--max-leverage", "many"], {}, None) == 2
    assert len(keel.heard) == 1

"""`main.py check` with a model: one tiny paid question, its line, and its cost in the books."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from bot.app.model_probe import try_models
from bot.app.probes import Line, Outcome
from bot.cli import main as cli
from bot.domain.types import ZERO
from bot.runtime.clock import SystemClock
from tests.unit.adapters.seats.given import chat
from tests.unit.config.given import loaded
from tests.unit.research.recorded import World

KEY = "sk-" + "c" * 40
COST = Decimal("0.00165")  # 1,000 tokens in, 200 out, of gpt-5.4-mini
OBEYS, PARIS = chat({"answer": "LEFT"}), chat({"answer": "Paris"})


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


class Endpoint:
    """A server on loopback that speaks like OpenAI; `reply` gives status and text to a body."""

    def __init__(self) -> None:
        self.reply: Callable[[Any], tuple[int, str]] = lambda body: (200, OBEYS)
        self.asked: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(body)
                status, text = outer.reply(body)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def environ(folder: Path, endpoint: Endpoint) -> dict[str, str]:
    return {
        "DATA_DIR": str(folder),
        "ENABLE_OPENAI": "true",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": endpoint.url,
    }


def check(
    folder: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any]]:
    """The command's exit code and its line about the model."""
    code = cli.main(["check", "--http-port", "0", "--json"], environ(folder, endpoint), None)
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    (line,) = [line for line in json.loads(said.out)["lines"] if line["layer"].startswith("model")]
    return code, line


def tried(folder: Path, endpoint: Endpoint, **more: str) -> dict[str, Line]:
    """The lines of the pre-flight that are about models, by layer."""
    given = loaded(environ=environ(folder, endpoint) | more).settings
    return {line.layer: line for line in asyncio.run(try_models(given, SystemClock()))}


def booked(path: Path) -> list[tuple[str, str, Decimal, Decimal]]:
    sql = "select seat, kind, cost_usd, reserved_usd from decisions order by attempt"
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(sql).fetchall()
    return [(seat, kind, Decimal(cost), Decimal(reserved)) for seat, kind, cost, reserved in rows]


def test_a_model_that_works_is_one_line_and_one_row(
    tmp_path: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it obeys, how fast, what it cost; and the cost stands in the world's books."""
    world = World(tmp_path).write()
    code, line = check(tmp_path, endpoint, capsys)
    assert (code, line["outcome"]) == (0, "ok")
    assert "obeys json_schema" in line["found"] and f"{COST} USD" in line["found"]
    assert booked(world.path) == [("openai", "answered", COST, ZERO)]


def test_a_model_that_ignores_a_schema_is_told_with_what_it_obeys(
    tmp_path: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both questions were paid for, both are booked."""
    world = World(tmp_path).write()
    endpoint.reply = lambda body: (200, OBEYS if "tools" in body else PARIS)
    code, line = check(tmp_path, endpoint, capsys)
    assert (code, line["outcome"]) == (0, "warn")
    assert "obeys tool" in line["found"] and "ignores json_schema" in line["found"]
    assert booked(world.path) == [
        ("openai", "schema", COST, ZERO),
        ("openai", "answered", COST, ZERO),
    ]


def test_a_key_that_is_refused_fails_with_its_remedy(
    tmp_path: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """One question, exit 1, the setting's name; nothing was billed."""
    world = World(tmp_path).write()
    refused = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})
    endpoint.reply = lambda body: (401, refused)
    code, line = check(tmp_path, endpoint, capsys)
    assert (code, line["outcome"]) == (1, "fail")
    assert line["found"].startswith("key: OPENAI_API_KEY is refused")
    assert "OPENAI_API_KEY" in line["remedy"]
    assert booked(world.path) == [("openai", "error", ZERO, ZERO)]


def test_before_the_first_start_nothing_is_made_and_that_is_said(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    """There are no books yet; a pre-flight makes none."""
    folder = tmp_path / "new"
    lines = tried(folder, endpoint)
    assert lines["model openai"].outcome is Outcome.OK
    assert "not kept" in lines["models"].found
    assert not folder.exists()


def test_what_was_spent_today_counts_against_the_day(tmp_path: Path, endpoint: Endpoint) -> None:
    """One budget for daemon and pre-flight: the second check finds too little left."""
    World(tmp_path).write()
    day = "0.0105"  # a little more than the reserve of one question
    first = tried(tmp_path, endpoint, AI_BUDGET_PER_DAY_USD=day)["model openai"]
    assert first.outcome is Outcome.OK
    line = tried(tmp_path, endpoint, AI_BUDGET_PER_DAY_USD=day)["model openai"]
    assert line.outcome is Outcome.FAIL
    assert line.found.startswith("budget:") and "a day" in line.found
    assert "AI_BUDGET_PER_DAY_USD" in line.remedy
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("decision", "outcome", "pays"),
    [("1", None, 3), ("0.22", Outcome.WARN, 2), ("0.12", Outcome.FAIL, 1)],
)
def test_a_budget_that_pays_no_question_to_all_is_told(
    tmp_path: Path, endpoint: Endpoint, decision: str, outcome: Outcome | None, pays: int
) -> None:
    """Models of the dear kind; under the quorum every decision would be paid in vain."""
    dear = {
        "OPENAI_MODEL": "gpt-5.5",
        "ENABLE_ANTHROPIC": "true",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": endpoint.url,
        "ANTHROPIC_MODEL": "claude-opus-4-7",
        "ENABLE_GEMINI": "true",
        "GEMINI_API_KEY": KEY,
        "GEMINI_BASE_URL": endpoint.url,
        "GEMINI_MODEL": "gemini-3.1-pro",
        "AI_BUDGET_PER_DECISION_USD": decision,
    }
    World(tmp_path).write()
    line = tried(tmp_path, endpoint, **dear).get("models")
    if outcome is None:
        assert line is None
        return
    assert line is not None and line.outcome is outcome
    assert f"pay {pays} of 3 models" in line.found and "a quorum is 2" in line.found
    assert "AI_BUDGET_PER_DECISION_USD" in line.remedy


def test_where_nothing_can_be_booked_nobody_is_asked(tmp_path: Path, endpoint: Endpoint) -> None:
    """A database of an older schema waits for its upgrade; no question is paid meanwhile."""
    path = World(tmp_path).write().path
    with closing(sqlite3.connect(path)) as db:
        db.execute("update alembic_version set version_num = '0001'")
        db.commit()
    line = tried(tmp_path, endpoint)["models"]
    assert line.outcome is Outcome.WARN
    assert "cannot be booked" in line.found
    assert endpoint.asked == []

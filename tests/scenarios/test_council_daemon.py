"""The whole daemon with three models behind a real server: normal, all away, one that hangs.

Market time goes 20 times as fast as the models' time: a signal, which lives for one bar of a
minute, then has three seconds, and a first one comes within the minute. At speed 1 the same
takes a quarter of an hour: `python -m benchmarks council --daemon`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.aimock import Aimock, Fixture, answer, obeys_probe, replies
from tests.books import books_equal
from tests.daemon import Daemon, free_port

SPEED = 20
LIMIT_S = 120.0
MODELS = {"OPENAI": "gpt-5.4-mini", "GROK": "grok-4-1-fast", "DEEPSEEK": "deepseek-v4-flash"}
KEYS = {
    "OPENAI": "sk-canary-openai-0123456789",
    "GROK": "xai-canary-grok-0123456789",
    "DEEPSEEK": "sk-canarydeepseek0123456789",
}


def agrees(model: str, latency_ms: int = 0) -> list[Fixture]:
    """It says what the signal says, whichever side that is."""
    found = []
    for side, direction in (("LONG", "bullish"), ("SHORT", "bearish")):
        evidence = [{"key": "signal.side", "direction": direction}]
        said = answer(action=side, evidence=evidence)
        one = replies(model, said, latency_ms=latency_ms)
        one["match"]["userMessage"] = f"signal.side = {side}"
        found.append(one)
    return found


def everybody(**latency_ms: int) -> list[Fixture]:
    said = (agrees(model, latency_ms.get(name, 0)) for name, model in MODELS.items())
    return [obeys_probe(), *(fixture for both in said for fixture in both)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Aimock]:
    with Aimock(tmp_path / "aimock", everybody()) as running:
        yield running


def settings(url: str, **more: object) -> dict[str, object]:
    found: dict[str, object] = {"DEMO_SPEED": SPEED, "DEMO_SEED": 1, "RULES_MAY_TRADE": "false"}
    for name, key in KEYS.items():
        found |= {f"ENABLE_{name}": "true", f"{name}_BASE_URL": url, f"{name}_API_KEY": key}
    return found | more


def rows(daemon: Daemon, sql: str) -> list[Any]:
    with closing(sqlite3.connect(daemon.books)) as books:
        return books.execute(sql).fetchall()


def no_key_anywhere(folder: Path, said: Sequence[object]) -> None:
    """Log, database, spool, backups, terminal, and what the API said."""
    places = [path for path in (folder / "data").rglob("*") if path.is_file()]
    places.append(folder / "daemon.out")
    for key in KEYS.values():
        assert key not in str(said)
        assert not [path for path in places if key.encode() in path.read_bytes()]


def test_a_council_of_three_trades_and_its_cost_is_booked(tmp_path: Path, server: Aimock) -> None:
    """Votes in the table, money in /status and /metrics, a guarded position, keys nowhere."""
    with Daemon(tmp_path, settings=settings(server.url)) as daemon:
        daemon.healthy()
        status = daemon.until(lambda s: s["positions"], LIMIT_S, "a position by the council")
        trace = status["positions"][0]["trace_id"]
        said = [status, daemon.get("/metrics")[1], daemon.get("/health")[1], daemon.get("/page")]
        said.append(daemon.get(f"/traces/{trace}")[1])
        assert status["models"]["answers"] >= 3
        assert float(said[1]["models"]["cost_today_usd"]) > 0
        assert {c["name"] for c in said[2]["components"]} >= {"model_openai", "model_grok"}
        assert daemon.terminate() == 0, daemon.output()
        votes = rows(daemon, f"select seat, kind from decisions where trace_id = '{trace}'")
        assert sorted(votes) == [(name.lower(), "answered") for name in sorted(KEYS)]
        assert daemon.errors() == []
        booked = rows(daemon, "select cost_usd, reserved_usd from decisions")
        assert all(float(cost) > 0 and float(reserved) == 0 for cost, reserved in booked)
    books_equal(daemon.books, daemon.ledger)
    no_key_anywhere(tmp_path, said)


def test_with_all_models_away_nothing_is_opened(tmp_path: Path) -> None:
    """The rules analyst stands in and may not trade: every trace says why."""
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    with Daemon(tmp_path, settings=settings(nobody, DEMO_SPEED=60)) as daemon:
        daemon.healthy()
        status = daemon.until(
            lambda s: s["models"]["council"]["stood_in"] >= 1, LIMIT_S, "a council that is away"
        )
        assert status["positions"] == []
        assert daemon.terminate() == 0, daemon.output()
        kinds = {kind for (kind,) in rows(daemon, "select distinct kind from decisions")}
        assert kinds <= {"transport", "breaker_open"}
        assert rows(daemon, "select count(*) from orders") == [(0,)]
        standing = rows(daemon, "select cost_usd, reserved_usd from decisions")
        assert {float(cost) + float(reserved) for cost, reserved in standing} == {0.0}
    no_key_anywhere(tmp_path, [status])


def test_one_that_hangs_costs_the_deadline_and_not_the_trade(
    tmp_path: Path, server: Aimock
) -> None:
    """Two decide at the deadline; the third stands at its reserve, as a timeout."""
    server.give(everybody(GROK=30_000))
    limits = {"COUNCIL_DEADLINE_SECONDS": 1, "MODEL_ATTEMPT_SECONDS": 1, "MODEL_ATTEMPTS": 1}
    with Daemon(tmp_path, settings=settings(server.url, **limits)) as daemon:
        daemon.healthy()
        status = daemon.until(lambda s: s["positions"], LIMIT_S, "a position by two of three")
        trace = status["positions"][0]["trace_id"]
        assert daemon.terminate() == 0, daemon.output()
        votes = rows(daemon, f"select seat, kind from decisions where trace_id = '{trace}'")
        assert sorted(votes) == [
            ("deepseek", "answered"),
            ("grok", "timeout"),
            ("openai", "answered"),
        ]
        ((cost, reserved),) = rows(
            daemon,
            f"select cost_usd, reserved_usd from decisions "
            f"where trace_id = '{trace}' and seat = 'grok'",
        )
        assert float(cost) == 0 and float(reserved) > 0
    no_key_anywhere(tmp_path, [status])

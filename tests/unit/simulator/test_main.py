"""The simulator as a process of its own: readiness, exit codes, death."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.simulator.__main__ import main
from bot.simulator.errors import table
from tests.unit.simulator.given import Venue, limit, walk, write_candles

ROOT = Path(__file__).resolve().parents[3]
LIMIT_S = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bot.simulator", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def post(port: int, path: str, body: object) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        return json.loads(answer.read())


@contextmanager
def simulator(ledger: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that answers; killed at the end if it still lives."""
    port = free_port()
    process = started("--port", str(port), "--ledger", str(ledger), *arguments)
    try:
        ready(process, port)
        yield process, port
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=LIMIT_S)


def ready(process: subprocess.Popen[str], port: int) -> None:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        assert process.poll() is None
        try:
            post(port, "/info", {"type": "exchangeStatus"})
        except urllib.error.URLError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the simulator does not answer")


def test_it_survives_kill_nine_and_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    """Orders acknowledged before kill -9 stand after it; SIGTERM ends with 0."""
    ledger = tmp_path / "simulator.db"
    helper = Venue(tmp_path / "helper")
    helper.nonce = time.time_ns() // 1_000_000
    arguments = ("--account", helper.user, "--speed", "60")
    with simulator(ledger, *arguments) as (process, port):
        mid = float(post(port, "/info", {"type": "allMids"})["ETH"])
        order = limit(1, "0.1", str(int(mid * 0.8)))
        action = {"type": "order", "orders": [order], "grouping": "na"}
        answer = post(port, "/exchange", helper.signed(action))
        oid = answer["response"]["data"]["statuses"][0]["resting"]["oid"]
        process.kill()
        process.wait(LIMIT_S)
    with simulator(ledger, *arguments) as (process, port):
        question = {"type": "openOrders", "user": helper.user}
        assert [row["oid"] for row in post(port, "/info", question)] == [oid]
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    helper.world.ledger.close()


def test_at_full_speed_a_file_is_played_at_once(tmp_path: Path) -> None:
    file = write_candles(tmp_path / "ETH-5m.csv", walk(400))
    arguments = ("--speed", "max", "--candles", str(file))
    with simulator(tmp_path / "s.db", *arguments) as (_, port):
        until = time.monotonic() + LIMIT_S
        shown: dict[str, Any] = {}
        while time.monotonic() < until and not shown.get("ended"):
            url = f"http://127.0.0.1:{port}/simulator/clock"
            with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                shown = json.loads(answer.read())
        assert shown["ended"] is True and shown["speed"] == "max"
        assert shown["now"] == walk(400)[-1][0] + 299_999


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--candles", "no-such-file.csv"), "no such candle file"),
        (("--seed", "-1"), "argument --seed: expected 0 to"),
        (("--account", "0x12"), "account: expected 0x and 40 hex digits"),
        (("--speed", "0"), "expected a number above 0"),
        (("--port", "65536"), "argument --port: expected 0 to 65535, found '65536'"),
        (("--port", "-1"), "argument --port: expected 0 to 65535, found '-1'"),
        (("--port", "http"), "argument --port: expected 0 to 65535, found 'http'"),
        (("--seed", str(2**63)), "argument --seed: expected 0 to"),
        (("--seed", "9" * 5_000), "argument --seed: expected 0 to"),
    ],
)
def test_bad_input_ends_with_two_and_one_line(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    process = started("--port", "0", "--ledger", str(tmp_path / "s.db"), *arguments)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    lines = errors.strip().splitlines()
    assert problem in lines[-1]
    assert "Traceback" not in errors
    assert len(lines) == 1


def test_the_flags_reach_the_world(tmp_path: Path) -> None:
    """Mode of accounts, and no limits: 70 heavy questions pass."""
    flags = ("--abstraction", "unifiedAccount", "--no-rate-limit", "--balance", "77")
    with simulator(tmp_path / "s.db", *flags) as (_, port):
        asked = {"type": "userAbstraction", "user": "0x" + "ab" * 20}
        assert post(port, "/info", asked) == "unifiedAccount"
        [row] = post(port, "/info", asked | {"type": "spotClearinghouseState"})["balances"]
        assert row["total"] == "77.0"
        for _ in range(70):
            post(port, "/info", {"type": "meta"})


def test_the_table_of_errors_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--errors"]) == 0
    assert capsys.readouterr().out == table()

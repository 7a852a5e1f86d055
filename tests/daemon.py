"""Keel and its simulated exchange as processes of their own, started and ended by tests.

Owns starting, asking and ending them, each within a limit; knows no rule of trading.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self, TypeVar

from eth_account import Account

from bot.adapters.venues.hyperliquid import demo_key
from config.settings import known_names
from tests.books import ask

ROOT = Path(__file__).resolve().parents[1]
ANSWER_LIMIT_S = 3.0
START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0  # spec: SIGTERM ends main.py within 10 s
POLL_S = 0.1

T = TypeVar("T")


def wait_for(ask_again: Callable[[], T], limit_s: float, what: str, every_s: float = POLL_S) -> T:
    """The first answer that is true. Raises AssertionError naming `what` after `limit_s`."""
    end = time.monotonic() + limit_s
    while True:
        answer = ask_again()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit_s:g} s: {what}; last answer: {answer!r}")
        time.sleep(every_s)


def settled_to_none(look: Callable[[], list[str]], limit_s: float) -> list[str]:
    """Look until nothing is found; what the last look found, when that was not so in time."""
    end = time.monotonic() + limit_s
    while True:
        found = look()
        if not found or time.monotonic() > end:
            return found
        time.sleep(POLL_S)


def free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_flag(name: str, value: object) -> tuple[str, str]:
    """A setting as the command line takes it."""
    return "--" + name.lower().replace("_", "-"), str(value)


def demo_address(seed: int) -> str:
    """The account of the demo with this seed, as the venue writes it."""
    return str(Account.from_key(demo_key(seed)).address).lower()


_running: set[Process] = set()


def kill_all() -> None:
    """End every process that was started here and still runs."""
    for process in tuple(_running):
        process.kill()


class Process:
    """One child process in a folder of its own; leaving the `with` block kills it."""

    def __init__(
        self, folder: Path, name: str, arguments: Sequence[str], python_path: Sequence[Path] = ()
    ) -> None:
        """`python_path`: folders of modules that come before Keel's own."""
        folder.mkdir(parents=True, exist_ok=True)
        self.output_path = folder / f"{name}.out"
        environment = {k: v for k, v in os.environ.items() if k not in known_names()}
        environment["PYTHONPATH"] = os.pathsep.join(str(path) for path in (*python_path, ROOT))
        with self.output_path.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,  # no .env of a developer is found here
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _running.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """What it wrote to its terminal."""
        return self.output_path.read_text(errors="replace")

    def finish(self, limit_s: float) -> int:
        """Wait for its own end; the exit code."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.output_path.stem} still runs after {limit_s:g} s; it wrote: {self.output()}"
            ) from None

    def terminate(self, limit_s: float = STOP_LIMIT_S) -> int:
        """SIGTERM; the exit code. Raises AssertionError when it is not gone in time."""
        self._process.terminate()
        return self.finish(limit_s)

    def signal(self, number: int) -> None:
        """Send it a signal, and go on."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9, with whatever it started; gone when this returns."""
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_LIMIT_S)
        _running.discard(self)


class Daemon(Process):
    """`python main.py run` on a free port; everything it keeps lies in `folder`/data."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        settings: Mapping[str, object] = {},
        python_path: Sequence[Path] = (),
    ) -> None:
        self.data = folder / "data"
        self._log = self.data / "keel.log"
        self._log_from = self._log.stat().st_size if self._log.exists() else 0
        flags = [word for name, value in settings.items() for word in as_flag(name, value)]
        fixed = ["--data-dir", str(self.data), "--http-port", "0"]
        words = [str(ROOT / "main.py"), "run", *fixed, *arguments, *flags]
        super().__init__(folder, "daemon", words, python_path)

    # --- what it keeps ---------------------------------------------------------------------

    @property
    def world(self) -> Path:
        """The one world's folder."""
        (folder,) = (path for path in self.data.iterdir() if path.is_dir())
        return folder

    @property
    def books(self) -> Path:
        return self.world / "keel.db"

    @property
    def ledger(self) -> Path:
        """Of the embedded exchange."""
        return self.world / "simulator.db"

    def events(self) -> list[dict[str, Any]]:
        """The log since this process started; a line that is being written is left out."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as lines:
            lines.seek(self._log_from)
            return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def errors(self) -> list[dict[str, Any]]:
        """Log records of level ERROR and above."""
        return [event for event in self.events() if event.get("level") in ("error", "critical")]

    # --- what it says ----------------------------------------------------------------------

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body of a page; (0, None) while nobody listens."""
        place = self._place()
        if place is None:
            return 0, None
        try:
            with closing(HTTPConnection(*place, timeout=ANSWER_LIMIT_S)) as line:
                line.request("GET", path)
                answer = line.getresponse()
                return answer.status, json.loads(answer.read())
        except (OSError, HTTPException, ValueError):
            return 0, None

    def status(self) -> dict[str, Any]:
        """GET /status; empty while it cannot be asked."""
        code, body = self.get("/status")
        return dict(body) if code == 200 else {}

    def healthy(self, limit_s: float = START_LIMIT_S) -> Self:
        """Wait until start-up is over and /health is not failing."""

        def well() -> bool:
            if not self.alive:
                raise AssertionError(
                    f"the daemon ended with {self.finish(0)} instead of starting: {self.output()}"
                )
            return self.get("/ready")[0] == 200 and self.get("/health")[0] == 200

        wait_for(well, limit_s, "/ready and /health answer 200")
        return self

    def until(
        self, true_of: Callable[[dict[str, Any]], object], limit_s: float, what: str
    ) -> dict[str, Any]:
        """The first /status of which `true_of` is true."""

        def look() -> dict[str, Any]:
            assert self.alive, f"the daemon ended while waiting for {what}: {self.output()}"
            status = self.status()
            return status if status and true_of(status) else {}

        return wait_for(look, limit_s, what)

    def _place(self) -> tuple[str, int] | None:
        for event in reversed(self.events()):
            if event.get("event") == "page_served":
                host, _, port = str(event["url"]).removeprefix("http://").rpartition(":")
                return host, int(port)
        return None


class Simulator(Process):
    """`python -m bot.simulator` in `folder`."""

    def __init__(self, folder: Path, seed: int, speed: float, port: int | None = None) -> None:
        self.ledger = folder / "simulator.db"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.address = demo_address(seed)
        arguments = {"port": self.port, "speed": speed, "seed": seed, "ledger": self.ledger}
        flags = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        super().__init__(folder, "simulator", ["-m", "bot.simulator", *flags])

    def answering(self) -> Self:
        """Wait until it can be asked."""

        def answers() -> bool:
            assert self.alive, f"the simulator ended: {self.output()}"
            try:
                return bool(ask(self.url, {"type": "meta"}))
            except (OSError, HTTPException):
                return False

        wait_for(answers, START_LIMIT_S, "the simulator answers")
        return self

    def misbehave(self, faults: Sequence[Mapping[str, object]], seed: int = 0) -> None:
        """Give it a fault script in place of the one before; an empty one ends them."""
        script = json.dumps({"seed": seed, "fault": list(faults)})
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_LIMIT_S)) as line:
            line.request("POST", "/simulator/faults", script)
            answer = line.getresponse()
            assert answer.status == 200, answer.read()

"""A server that speaks like OpenAI, as a process of its own, started and ended by tests.

Owns starting it, what it answers and what it was asked; knows nothing of trading.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

import pytest

from tests.daemon import ROOT, free_port, wait_for

PROGRAM = ROOT / "tests/peers/node_modules/@copilotkit/aimock/dist/cli.js"
START_LIMIT_S = 20.0
ANSWER_LIMIT_S = 5.0
ANSWER: Mapping[str, Any] = {
    "evidence": [{"key": "signal.side", "direction": "bullish"}],
    "red_flags": [],
    "reasoning": "The signal fits the regime.",
    "action": "LONG",
    "confidence": 0.9,
    "horizon": "1h",
    "stop_atr": 2.0,
    "target_r": 2.0,
    "leverage_wish": 3,
}
USAGE = {"prompt_tokens": 1500, "completion_tokens": 200}

Fixture = dict[str, Any]


def missing() -> str:
    """Why it cannot be started here; empty when it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not PROGRAM.exists():
        return "aimock is not installed: npm ci --prefix tests/peers"
    return ""


def answer(**changed: Any) -> dict[str, Any]:
    """A valid answer with some fields changed."""
    return {**ANSWER, **changed}


def replies(model: str, content: Any, *, latency_ms: int = 0, **more: Any) -> Fixture:
    """The model gives this text (or JSON) to every question."""
    response = {"content": content, "usage": USAGE, "systemFingerprint": f"fp-{model}", **more}
    fixture: Fixture = {"match": {"model": model}, "response": response}
    if latency_ms:
        fixture["chaos"] = {"latencyMs": latency_ms}
    return fixture


def calls_tool(model: str, arguments: Any) -> Fixture:
    """The model gives its answer as the arguments of a tool."""
    call = {"name": "council_answer", "arguments": arguments}
    response = {"toolCalls": [call], "usage": USAGE, "finishReason": "tool_calls"}
    return {"match": {"model": model}, "response": response}


def fails(model: str, status: int, message: str, retry_after: int | None = None) -> Fixture:
    """The endpoint answers with an error status."""
    response: dict[str, Any] = {"error": {"message": message, "type": "error"}, "status": status}
    if retry_after is not None:
        response["retryAfter"] = retry_after
    return {"match": {"model": model}, "response": response}


def obeys_probe(model: str | None = None) -> Fixture:
    """The trial at start gets an answer that its schema allows."""
    match = {"userMessage": "keel probe", **({"model": model} if model else {})}
    return {"match": match, "response": {"content": '{"answer":"LEFT"}', "usage": USAGE}}


class Aimock:
    """One server on a free port; leaving the `with` block ends it."""

    def __init__(self, folder: Path, fixtures: Sequence[Fixture], keys: Sequence[str] = ()) -> None:
        """With `keys` whoever comes with none of them is refused."""
        why = missing()
        if why:
            pytest.skip(f"program absent: {why}")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._output = folder / f"aimock-{self.port}.out"
        file = folder / f"fixtures-{self.port}.json"
        file.write_text(json.dumps({"fixtures": list(fixtures)}))
        flags = ["-p", str(self.port), "-h", "127.0.0.1", "-f", str(file), "--strict"]
        more = ["--journal-max", "0", "--log-level", "warn"]
        self._headers = {"content-type": "application/json"}
        environment = dict(os.environ)
        if keys:
            self._headers["authorization"] = f"Bearer {keys[0]}"
            environment["AIMOCK_API_KEYS"] = ",".join(keys)
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                ["node", str(PROGRAM), *flags, *more],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        wait_for(self._answers, START_LIMIT_S, "aimock answers")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(ANSWER_LIMIT_S)

    def journal(self, model: str | None = None) -> list[dict[str, Any]]:
        """Every request for a chat completion so far, oldest first."""
        entries: list[dict[str, Any]] = self._request("GET", "/__aimock/journal")
        chats = [entry for entry in entries if entry["path"].endswith("/chat/completions")]
        return [e for e in chats if model in (None, (e.get("body") or {}).get("model"))]

    def give(self, fixtures: Sequence[Fixture]) -> None:
        """Answer like this from now on, and like nothing before."""
        self._request("POST", "/__aimock/reset/fixtures")
        self._request("POST", "/__aimock/fixtures", {"fixtures": list(fixtures)})

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"aimock ended: {self._output.read_text()}"
        try:
            self._request("GET", "/__aimock/health")
        except (OSError, HTTPException):
            return False
        return True

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_LIMIT_S)) as line:
            content = json.dumps(body) if body is not None else None
            line.request(method, path, content, self._headers)
            response = line.getresponse()
            said = response.read()
            if response.status >= 400:
                raise HTTPException(f"{method} {path}: {response.status} {said[:200]!r}")
            return json.loads(said) if said else None

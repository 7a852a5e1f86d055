"""The socket and the server."""

from __future__ import annotations

import asyncio
import errno
import re
import signal
import socket
import tokenize
from functools import cache

import httpx
import pytest
from structlog.testing import capture_logs

from bot.domain.types import Ms
from bot.runtime.clock import ManualClock
from bot.web import server as web_server
from bot.web.access import WebOptions
from bot.web.api import build_api
from bot.web.server import RETRY_S, STOP_LIMIT_S, WebServer
from tests.unit.web.conftest import TOKEN, FakeDaemon
from tests.until import until


def serve(daemon: FakeDaemon, port: int = 0) -> tuple[WebServer, ManualClock]:
    clock = ManualClock(Ms(0))
    return WebServer(build_api(daemon, WebOptions(TOKEN), "0.1.0"), "127.0.0.1", port, clock), clock


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_it_serves_in_our_loop_and_leaves_signals_alone(daemon: FakeDaemon) -> None:
    """A free port is taken and shown; the supervisor's signal handlers stay in place."""
    server, _ = serve(daemon)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    task = asyncio.create_task(server.run())
    await until(lambda: server.state().listening)
    async with httpx.AsyncClient(base_url=server.state().url, trust_env=False) as client:
        answer = await client.get("/health")
        assert answer.status_code == 200
        assert "server" not in answer.headers
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    await end(task)
    assert server.state().listening is False


async def test_the_first_answer_compiles_no_patterns_on_the_loop(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI looks up where a route's function stands, and the library reads Python for that."""
    made: list[str] = []

    @cache
    def compiled(pattern: str) -> re.Pattern[str]:
        made.append(pattern)
        return re.compile(pattern, re.UNICODE)

    monkeypatch.setattr(tokenize, "_compile", compiled)
    server, _ = serve(daemon)
    assert made, "the library has another name for it now: look again"
    made.clear()
    task = asyncio.create_task(server.run())
    await until(lambda: server.state().listening)
    async with httpx.AsyncClient(base_url=server.state().url, trust_env=False) as client:
        assert (await client.get("/live")).status_code == 200
    await end(task)
    assert made == []


async def test_a_stop_does_not_wait_for_idle_or_slow_clients(daemon: FakeDaemon) -> None:
    """Within 2 s, whoever is connected; the port is free at once."""
    server, _ = serve(daemon)
    task = asyncio.create_task(server.run())
    await until(lambda: server.state().listening)
    port = int(server.state().url.rpartition(":")[2])
    _, idle = await asyncio.open_connection("127.0.0.1", port)
    _, half = await asyncio.open_connection("127.0.0.1", port)
    half.write(b"POST /control/halt HTTP/1.1\r\nHost: localhost\r\nContent-Le")
    await half.drain()
    async with asyncio.timeout(2):
        await end(task)
    for writer in (idle, half):
        writer.close()
    with socket.create_server(("127.0.0.1", port)):
        assert not server.state().listening


async def test_a_stop_does_not_wait_for_an_answer_that_hangs(daemon: FakeDaemon) -> None:
    """An answer on its way has a second to go out; then it is dropped."""
    daemon.hangs = True
    server, _ = serve(daemon)
    task = asyncio.create_task(server.run())
    await until(lambda: server.state().listening)
    async with httpx.AsyncClient(base_url=server.state().url, trust_env=False) as client:
        asking = asyncio.create_task(client.get("/traces/BTC-20260101T0000-1"))
        await until(lambda: daemon.asked)
        async with asyncio.timeout(STOP_LIMIT_S - 0.1):
            await end(task)
        await asyncio.wait({asking})
        assert asking.exception() is not None or asking.result().status_code == 500


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "HTTP_HOST"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "HTTP_HOST"),
        (PermissionError(errno.EACCES, "Permission denied"), "set HTTP_PORT to 1024 or above"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "free the port"),
    ],
    ids=["name", "address", "rights", "busy"],
)
async def test_the_remedy_is_that_of_the_cause(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    """Nobody is sent to look for a program on a port when the address is wrong."""

    async def refused(host: str, port: int) -> socket.socket:
        raise error

    monkeypatch.setattr(web_server, "_bound", refused)
    server, clock = serve(daemon, 8000)
    with capture_logs() as lines:
        task = asyncio.create_task(server.run())
        await until(lambda: clock.sleepers() == 1)
    await end(task)
    [line] = [line for line in lines if line["event"] == "page_not_served"]
    assert says in line["remedy"]
    assert ("free the port" in line["remedy"]) == (says == "free the port")


async def test_a_busy_port_costs_the_page_only(daemon: FakeDaemon) -> None:
    """One ERROR line, a visible state, a try every 10 s, and the page once the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server, clock = serve(daemon, port)
        with capture_logs() as lines:
            task = asyncio.create_task(server.run())
            for _ in range(3):
                await until(lambda: clock.sleepers() == 1)
                clock.advance(int(RETRY_S * 1000))
                await asyncio.sleep(0)
            await until(lambda: clock.sleepers() == 1)
        errors = [line for line in lines if line["log_level"] == "error"]
        assert [line["event"] for line in errors] == ["page_not_served"]
        assert errors[0]["url"] == f"http://127.0.0.1:{port}"
        assert server.state().listening is False
        assert "in use" in server.state().detail
        assert not task.done()
    clock.advance(int(RETRY_S * 1000) - 1)
    await asyncio.sleep(0)
    assert clock.sleepers() == 1
    clock.advance(1)
    await until(lambda: server.state().listening)
    await end(task)

"""The event stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from bot.domain.types import Ms
from bot.runtime.clock import ManualClock
from bot.web import server as serving
from bot.web.access import WebOptions
from bot.web.api import build_api
from bot.web.events import MAX_STREAMS, EventStreams, framed
from bot.web.server import WebServer
from tests.unit.web.conftest import TOKEN, FakeDaemon
from tests.until import until


@asynccontextmanager
async def served(daemon: FakeDaemon) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.Task[None]]]:
    """The page on a real socket, and a client."""
    app = build_api(daemon, WebOptions(TOKEN), "0.1.0")
    server = WebServer(app, "127.0.0.1", 0, ManualClock(Ms(0)))
    task = asyncio.create_task(server.run())
    await until(lambda: server.state().listening)
    async with httpx.AsyncClient(base_url=server.state().url, trust_env=False) as client:
        yield client, task
    task.cancel()
    await asyncio.wait({task})


async def next_push(lines: AsyncIterator[str]) -> dict[str, object]:
    """The data of the next event, whose framing is checked."""
    async with asyncio.timeout(3):
        assert await anext(lines) == "event: page"
        name, _, data = (await anext(lines)).partition(": ")
        assert (name, await anext(lines)) == ("data", "")
        return dict(json.loads(data))


def test_a_frame_is_one_event() -> None:
    """Name, data, empty line; what line ends a value has stay inside the JSON."""
    assert framed("page", b'{"a":1}') == b'event: page\ndata: {"a":1}\n\n'


async def test_the_first_push_comes_at_once_and_others_follow(daemon: FakeDaemon) -> None:
    """A page that opens need not wait; text with line ends keeps the framing."""
    daemon.filler = "two\nlines\n\n<b>"
    async with served(daemon) as (client, _), client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        lines = answer.aiter_lines()
        first = await next_push(lines)
        assert first["market_time_at"] == "2023-11-14T22:13:20.000Z"
        assert first["filler"] == daemon.filler
        assert (await next_push(lines))["number"] == 2


async def test_a_push_is_read_and_written_in_turns(daemon: FakeDaemon) -> None:
    """It comes each second while somebody looks; readers who ask meanwhile wait for the same."""
    streams = EventStreams(daemon)
    stopping = asyncio.Event()
    asking = [asyncio.create_task(anext(streams.pushes(stopping))) for _ in range(3)]
    turns = 0
    while not all(one.done() for one in asking):
        turns += 1
        await asyncio.sleep(0)
    assert turns > 2
    assert {one.result() for one in asking} == {asking[0].result()} != {b""}
    assert daemon.pushes == 1


async def test_one_push_serves_all_readers(daemon: FakeDaemon) -> None:
    """Many pages cost the daemon as much as one."""
    streams = EventStreams(daemon)
    stopping = asyncio.Event()
    readers = [streams.pushes(stopping) for _ in range(5)]
    got = [await anext(reader) for reader in readers]
    assert daemon.pushes == 1
    assert len(set(got)) == 1
    assert streams.open == 5
    stopping.set()
    for reader in readers:
        assert [push async for push in reader] == [b"event: bye\ndata: {}\n\n"]
    assert streams.open == 0


async def test_readers_are_bounded_and_a_place_is_given_back(daemon: FakeDaemon) -> None:
    """The next one is told to close a page; who leaves makes room."""
    async with served(daemon) as (client, _), contextlib.AsyncExitStack() as pages:
        lasts = [
            await pages.enter_async_context(client.stream("GET", "/events"))
            for _ in range(MAX_STREAMS)
        ]
        async with asyncio.timeout(2):
            refused = await client.get("/events")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "too_many_pages"
        assert "retry-after" in refused.headers
        await lasts[-1].aclose()

        codes = []
        for _ in range(50):
            async with client.stream("GET", "/events") as answer:
                codes.append(answer.status_code)
            if codes[-1] == 200:
                break
        assert codes[-1] == 200


async def test_streams_end_before_the_server_stops(daemon: FakeDaemon) -> None:
    """A reader hears "bye"; the stop waits for nobody's patience and nothing is logged as wrong."""
    async with served(daemon) as (client, task), client.stream("GET", "/events") as answer:
        lines = answer.aiter_lines()
        await next_push(lines)
        with capture_logs() as logged:
            task.cancel()
            async with asyncio.timeout(0.9):
                await asyncio.wait({task})
                rest = [line async for line in lines]
        assert rest == ["event: bye", "data: {}", ""]
        assert [line for line in logged if line["log_level"] in ("error", "critical")] == []


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="TCP_USER_TIMEOUT is Linux's")
async def test_who_reads_nothing_is_cut_off(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stuck reader holds up its own line only, and its place is free again after a while."""
    monkeypatch.setattr(serving, "SILENT_MS", 200)
    daemon.filler = "x" * 10_000_000
    streams = EventStreams(daemon, every_s=0.05)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await streams.response(scope)(scope, receive, send)

    server = WebServer(app, "127.0.0.1", 0, ManualClock(Ms(0)))
    task = asyncio.create_task(server.run())
    await until(lambda: server.state().listening)
    port = int(server.state().url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as stuck:
        stuck.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: streams.open == 1)
        made = daemon.pushes
        # The kernel probes a closed window with growing pauses, so the limit is met late.
        await until(lambda: streams.open == 0, 8.0)
        assert daemon.pushes <= made + 1
    task.cancel()
    await asyncio.wait({task})

"""Owns the listening socket and the server in the daemon's loop.

Refuses to know what is served. A busy port costs the page, never the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import socket
from collections.abc import Generator
from dataclasses import dataclass

import anyio._backends._asyncio  # noqa: F401 - else the first answer imports it, 15 ms on the loop
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import Server

from bot.ports import Clock
from bot.web.events import STOPPING

log = structlog.get_logger(__name__)

RETRY_S = 10.0  # spec 05 "The process"
STOP_LIMIT_S = 2.0
FINISH_S = 1  # for answers that are on their way when the stop comes
BACKLOG = 128
CONNECTIONS = 200  # more are answered with 503
SILENT_MS = 10_000  # a client that takes nothing for so long is cut off


@dataclass(frozen=True, slots=True)
class WebState:
    """What /status and the console show of the page."""

    listening: bool
    url: str
    detail: str = ""


class _Server(Server):
    """uvicorn without its signal handlers: signals belong to the supervisor."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class WebServer:
    """The service that serves `app` on `host` and `port`; port 0 takes a free one.

    The socket is bound here: on a busy port uvicorn would raise SystemExit and take the whole
    process along. While it cannot be bound everything else runs on, and it is tried again.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, clock: Clock) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._clock = clock
        self._stopping = asyncio.Event()
        self._state = WebState(False, _url(host, port), "not started")
        # With the first request to a route FastAPI looks up where its function stands, for which
        # the standard library compiles its patterns of Python: 5 ms, now and not in an answer.
        inspect.getsourcelines(WebServer.state)

    def state(self) -> WebState:
        """Where the page is, or why it is not."""
        return self._state

    async def run(self) -> None:
        """Bind, trying for as long as it takes, then serve for ever."""
        told = False
        while True:
            try:
                listener = await _bound(self._host, self._port)
            except OSError as error:
                why = error.strerror or str(error)
                self._state = WebState(False, _url(self._host, self._port), why)
                if not told:
                    told = True
                    log.error(
                        "page_not_served",
                        url=self._state.url,
                        why=why,
                        retry_s=RETRY_S,
                        remedy=f"{_remedy(error)}; trading goes on without the page",
                    )
                await self._clock.pause(RETRY_S)
                continue
            await self._serve(listener)

    async def _serve(self, listener: socket.socket) -> None:
        self._stopping.clear()
        self._state = WebState(True, _url(self._host, listener.getsockname()[1]))
        log.info("page_served", url=self._state.url)
        server = _Server(
            Config(
                self._answer,
                interface="asgi3",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=FINISH_S,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
        try:
            await asyncio.wait({serving})
            await serving
        finally:
            self._state = WebState(False, self._state.url, "stopped")
            self._stopping.set()  # event streams end first; a server waits for them
            await _stopped(server, serving)
            listener.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[STOPPING] = self._stopping
        await self._app(scope, receive, send)


async def _stopped(server: Server, serving: asyncio.Task[None]) -> None:
    """End the server politely, then not."""
    server.should_exit = True
    try:
        await asyncio.wait({serving}, timeout=STOP_LIMIT_S)
    finally:
        serving.cancel()
    await asyncio.wait({serving})


async def _bound(host: str, port: int) -> socket.socket:
    """A bound socket for `host`, IPv4 first. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, address = sorted(found, key=lambda one: one[0] != socket.AF_INET)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; inherited by what is accepted
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _remedy(error: OSError) -> str:
    """What to mend, by what the system said."""
    if isinstance(error, socket.gaierror) or error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
        return "set HTTP_HOST to an address of this machine"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "set HTTP_PORT to 1024 or above"
    return "free the port or set HTTP_PORT"


def _url(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"

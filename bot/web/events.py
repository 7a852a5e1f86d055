"""Owns the event stream: what the page shows, pushed once a second to a bounded number of readers.

Refuses to know what is in a push, and to wait for a reader: one that reads too slowly gets the
newest push when it is ready for it, and the connection of one that does not read at all is cut by
the kernel (see `bot.web.server`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from bot.web.answers import SAFE_HEADERS, written_in_turns
from bot.web.encode import encode
from bot.web.view import StatusView

EVERY_S = 1.0
MAX_STREAMS = 8  # pages open at once; one push serves them all
STOPPING = "keel.stopping"  # scope key: an asyncio.Event, set when the server is about to stop


class EventStreams:
    """Makes one push for all readers and counts them."""

    def __init__(self, view: StatusView, every_s: float = EVERY_S) -> None:
        self._view = view
        self._every_s = every_s
        self._made_at = float("-inf")
        self._push = b""
        self._making = asyncio.Lock()
        self.open = 0

    @property
    def full(self) -> bool:
        return self.open >= MAX_STREAMS

    def response(self, scope: Any) -> StreamingResponse:
        """The answer to GET /events."""
        stopping = scope.get(STOPPING) or asyncio.Event()
        return _Stream(self.pushes(stopping))

    async def pushes(self, stopping: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """One push at once, then one every second until `stopping`; the last one says so.

        The pace is the loop's own time and not the Clock's: a reader must not become a deadline
        of market time.
        """
        self.open += 1
        try:
            while not stopping.is_set():
                yield await self._current()
                await _set_within(stopping, self._every_s)
            yield framed("bye", b"{}")
        finally:
            self.open -= 1

    async def _current(self) -> bytes:
        """The push of this second; made by the first reader who asks, the others wait for it."""
        async with self._making:
            now = asyncio.get_running_loop().time()
            if now - self._made_at >= self._every_s / 2:
                self._push = framed("page", encode(await written_in_turns(self._view.page())))
                self._made_at = now
            return self._push


class _Stream(StreamingResponse):
    """Gives the reader's place back at once, also when it left in the middle of a push."""

    def __init__(self, pushes: AsyncGenerator[bytes, None]) -> None:
        headers = {**SAFE_HEADERS, "X-Accel-Buffering": "no"}
        super().__init__(pushes, media_type="text/event-stream", headers=headers)
        self._pushes = pushes

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._pushes):
            await super().stream_response(send)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def framed(event: str, data: bytes) -> bytes:
    """One server-sent event; `data` is JSON without line ends."""
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"

"""One WebSocket client: its queue of frames and the proof that it has read them.

Owns sending, the queue's bound and the ping by which a client confirms what it has read;
knows no subscription.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from bot.ports import Clock

log = structlog.get_logger(__name__)

QUEUE_LIMIT = 20_000  # frames; a client that is this far behind is let go
BATCH = 100  # frames sent within one READ_LIMIT_S
READ_LIMIT_S = 5.0  # machine time in which a client must confirm
CLOSING = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class Client:
    """Frames to one client, in order, sent by one task."""

    def __init__(self, socket: web.WebSocketResponse, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self.sent_at = clock.monotonic()  # when something was last sent, machine seconds
        self._queue: deque[str | bytes] = deque()  # bytes: a ping with this payload
        self._filled = asyncio.Event()
        self._asked: dict[bytes, asyncio.Future[None]] = {}
        self._number = 0
        self.gone = False

    def send(self, frame: str) -> None:
        """Queue a frame; a client that does not read is let go."""
        if self.gone:
            return
        if len(self._queue) >= QUEUE_LIMIT:
            log.warning("simulator_client_too_slow", frames=len(self._queue), limit=QUEUE_LIMIT)
            self.let_go()
            return
        self._queue.append(frame)
        self._filled.set()

    def ask(self) -> asyncio.Future[None]:
        """A future that is done once the client has read everything queued so far."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.gone:
            done.set_result(None)
            return done
        self._number += 1
        payload = str(self._number).encode()
        self._asked[payload] = done
        self._queue.append(payload)
        self._filled.set()
        return done

    async def write(self) -> None:
        """Send what is queued until the client goes."""
        while not self.gone:
            await self._filled.wait()
            self._filled.clear()
            while self._queue and not self.gone:
                await self._put_some()
        await self._socket.close(code=WSCloseCode.OK)

    async def read(self, timeout_s: float | None = None) -> str | None:
        """The next text of the client; None when it has gone.

        Pings are answered and confirmations counted on the way. Raises TimeoutError after
        `timeout_s` of machine time.
        """
        while not self.gone:
            message = await self._socket.receive(timeout=timeout_s)
            if message.type is WSMsgType.TEXT:
                return str(message.data)
            if self._asks(message):
                return ""
            if message.type in CLOSING:
                self.let_go()
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
        return None

    async def close(self, code: int, reason: bytes) -> None:
        """End the connection with a close frame."""
        self.let_go()
        await self._socket.close(code=code, message=reason)

    def let_go(self) -> None:
        """Stop sending; whoever waits for a confirmation waits no longer."""
        self.gone = True
        self._queue.clear()
        self._filled.set()
        for done in self._asked.values():
            if not done.done():
                done.set_result(None)
        self._asked.clear()

    def _asks(self, message: WSMessage) -> bool:
        """Whether this is a confirmation; marks it as received."""
        if message.type is not WSMsgType.PONG:
            return False
        done = self._asked.pop(bytes(message.data), None)
        if done is not None and not done.done():
            done.set_result(None)
        return True

    async def _put_some(self) -> None:
        """Send the next frames, at most BATCH of them within one limit of time."""
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                left = BATCH
                while self._queue and left and not self.gone:
                    left -= 1
                    await self._put(self._queue.popleft())
        except (ConnectionError, TimeoutError):
            self.let_go()

    async def _put(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await self._socket.ping(frame)
        else:
            await self._socket.send_str(frame)
            self.sent_at = self._clock.monotonic()


async def confirmed(clients: list[Client]) -> None:
    """Wait until all clients have read what was sent; one that does not is let go."""
    asked = {client.ask(): client for client in clients}
    if not asked:
        return
    _, late = await asyncio.wait(asked, timeout=READ_LIMIT_S)
    for done in late:
        log.warning("simulator_client_does_not_read", limit_s=READ_LIMIT_S)
        asked[done].let_go()

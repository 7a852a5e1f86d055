"""GET /ws: connections, what they say, posts, and the end of silent ones.

Owns the life of a connection; leaves subscriptions to the stream and requests to whoever
answers them. Source: facts 5 and 6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.domain.errors import TransientError
from bot.ports import Clock
from bot.simulator.accounts import Row
from bot.simulator.client import READ_LIMIT_S, Client
from bot.simulator.errors import Error, Malformed
from bot.simulator.limits import MOST_MESSAGES, Limits
from bot.simulator.stream import Stream
from bot.simulator.wire import dumps, error
from bot.simulator.world import World

Carry = Callable[[str, object], Awaitable[object]]  # source address, body -> answer
NORMAL = 1000


class TooManyRequests(Exception):
    """The window of this minute is full; answered with HTTP 429 and `null`."""


class Sockets:
    """All WebSockets of the venue.

    `ask` and `act` answer posts of the two kinds. In lockstep (`drain`) a message is done
    only when the client has read what it caused, and nobody is idle.
    """

    def __init__(
        self, world: World, stream: Stream, limits: Limits, ask: Carry, act: Carry
    ) -> None:
        self._world = world
        self._stream = stream
        self._limits = limits
        self._ask, self._act = ask, act

    async def serve(self, request: web.Request, clock: Clock, *, drain: bool) -> web.StreamResponse:
        """One connection, from its first byte to its last."""
        source = request.remote or ""
        if not self._limits.connects(source, clock.now()):
            text = Error.RATE.says()
            return web.Response(status=429, text=text, content_type="application/json")
        socket = web.WebSocketResponse(autoping=False)
        client = Client(socket, clock)
        try:
            await socket.prepare(request)
            self._stream.join(client, source)
            await self._attend(_Line(client, source, clock, drain))
        finally:
            client.let_go()
            self._stream.leave(client)
            self._limits.disconnects(source)
        return socket

    async def _attend(self, line: _Line) -> None:
        """Read, write and watch at once; whatever ends first ends the connection."""
        client = line.client
        tasks = [asyncio.create_task(client.write())]
        idle_s = self._world.options.idle_close_s
        if idle_s and not line.drain:
            tasks.append(asyncio.create_task(_close_when_idle(line, idle_s)))
        try:
            await self._listen(line)
        finally:
            client.let_go()
            for task in (*tasks[1:], *line.posts):
                task.cancel()
            await asyncio.gather(*tasks, *line.posts, return_exceptions=True)

    async def _listen(self, line: _Line) -> None:
        """Hear one message after the other; time stands still while one is worked on."""
        while (text := await line.client.read()) is not None:
            if not text:
                continue
            with line.clock.busy():
                await self._hear(line, text)
                if line.drain:
                    await self._read_back(line)

    async def _read_back(self, line: _Line) -> None:
        """Go on hearing until the client has read the answers; this task is its reader."""
        done = line.client.ask()
        while not done.done():
            try:
                text = await line.client.read(READ_LIMIT_S)
            except TimeoutError:
                line.client.let_go()
                return
            if text:
                await self._hear(line, text)
                done = line.client.ask()

    async def _hear(self, line: _Line, text: str) -> None:
        self._world.move_to(line.clock.now())
        if not self._limits.hears(line.source, self._world.now):
            line.client.send(error(Error.MESSAGES.says(limit=MOST_MESSAGES)))
            return
        post = self._stream.hear(line.client, text)
        if post is None:
            return
        if not self._limits.queues(len(line.posts)):
            line.client.send(error(Error.PENDING.says(id=post.get("id"))))
        elif line.drain:
            await self._reply(line, post)
        else:
            task = asyncio.create_task(self._reply(line, post))
            line.posts[task] = None
            task.add_done_callback(lambda done: line.posts.pop(done, None))

    async def _reply(self, line: _Line, post: Row) -> None:
        """Answer one post; others may be under way."""
        with line.clock.busy():
            response = await self._response(line.source, post["request"])
            data = {"id": post.get("id"), "response": response}
            line.client.send(dumps({"channel": "post", "data": data}))

    async def _response(self, source: str, request: dict[str, Any]) -> Row:
        kind, payload = request.get("type"), request.get("payload")
        try:
            if kind == "info" and isinstance(payload, dict):
                answer = await self._ask(source, payload)
                body: Row = {"type": payload.get("type"), "data": answer}
                return {"type": "info", "payload": body}
            if kind == "action":
                return {"type": "action", "payload": await self._act(source, payload)}
            raise Malformed
        except TooManyRequests:
            return {"type": "error", "payload": Error.POST_RATE.says()}
        except TransientError as problem:
            return {"type": "error", "payload": f"503: {problem}"}
        except Malformed as problem:
            return {"type": "error", "payload": Error.POST_MALFORMED.says(text=problem)}


class _Line:
    """One connection and what is under way on it."""

    def __init__(self, client: Client, source: str, clock: Clock, drain: bool) -> None:
        self.client, self.source, self.clock, self.drain = client, source, clock, drain
        self.posts: dict[asyncio.Task[None], None] = {}


async def _close_when_idle(line: _Line, idle_s: float) -> None:
    """Close a connection to which nothing was sent for so long, as the venue does."""
    while not line.client.gone:
        left = line.client.sent_at + idle_s - line.clock.monotonic()
        if left <= 0:
            await line.client.close(NORMAL, b"Inactive")
            return
        await line.clock.pause(left)

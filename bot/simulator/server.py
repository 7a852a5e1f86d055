"""The simulated exchange as others embed it: sockets, the tick loop, and when to write.

Owns the order "write, tell, answer"; leaves rules to the engine and words to info,
exchange and stream.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from bot.domain.types import Ms, Symbol, Timeframe
from bot.ports import Clock
from bot.simulator.client import READ_LIMIT_S, Client, confirmed
from bot.simulator.duties import Duties
from bot.simulator.engine import Engine
from bot.simulator.exchange import MALFORMED, Exchange, Malformed
from bot.simulator.info import Info, RateWindow
from bot.simulator.options import SimulatorOptions
from bot.simulator.stream import Stream
from bot.simulator.wire import dumps
from bot.simulator.world import World

log = structlog.get_logger(__name__)

MOST_CONNECTIONS = 10  # WebSockets of one client address (facts 5)
BATCH_WEIGHT = 40  # an action weighs 1, and 1 more for so many entries


class TooManyRequests(Exception):
    """The window of this minute is full; answered with HTTP 429 and `null`."""


class SimulatedExchange:
    """Hyperliquid's protocol over a simulated market.

    Raises ConfigError when candle files, options or ledger cannot be used.
    """

    def __init__(self, options: SimulatorOptions, wall_now: Ms) -> None:
        self._world = World(options, wall_now)
        self.start_at: Ms = self._world.now
        self.interval: Timeframe | None = self._world.interval
        self.coins: tuple[Symbol, ...] = tuple(Symbol(c) for c in self._world.prices.coins)
        self.finished = asyncio.Event()
        self._engine = Engine(self._world)
        self._duties = Duties(self._world, self._engine)
        self._info = Info(self._world)
        self._exchange = Exchange(self._world, self._engine)
        self._stream = Stream(self._world, self._info)
        self._window = RateWindow()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._clock: Clock | None = None
        self._drain = False

    async def serve(
        self, clock: Clock, host: str = "127.0.0.1", port: int = 0, *, drain: bool = False
    ) -> int:
        """Bind and answer from now on; returns the port. Raises OSError when it is taken."""
        self._clock, self._drain = clock, drain
        app = web.Application()
        app.router.add_post("/info", self._on_info)
        app.router.add_post("/exchange", self._on_exchange)
        app.router.add_get("/simulator/clock", self._on_clock)
        app.router.add_get("/ws", self._on_socket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = int(self._runner.addresses[0][1])
        log.info("simulator_serves", port=bound, coins=len(self.coins), now=self.start_at)
        return bound

    async def run(self) -> None:
        """Play tick after tick until closed; after the last one the prices stand still."""
        clock = self._ready()
        while not self._closing.is_set():
            index = self._world.index + 1
            at = self._world.source.tick_at(index)
            if at is None:
                self.finished.set()
                await self._closing.wait()
                return
            if at > clock.now():
                await clock.sleep_until(at)
            else:
                await asyncio.sleep(0)  # late: let the others have their turn all the same
            if not self._closing.is_set():
                with clock.busy():
                    await self._play(index, at)

    async def close(self) -> None:
        """Stop answering, write the last moment and let go of the ledger; safe twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        for client in self._stream.clients:
            client.let_go()
        if self._runner is not None:
            await self._runner.cleanup()
        self._world.save()
        self._world.ledger.close()

    async def _play(self, index: int, at: Ms) -> None:
        world = self._world
        quotes = self._duties.tick(index, at)
        world.ended = world.source.tick_at(index + 1) is None
        world.save()
        self._stream.on_tick(quotes)
        self._stream.on_events(world.take_events())
        if self._drain:
            await confirmed(self._stream.clients)

    # --- requests -----------------------------------------------------------------------

    async def _on_info(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._ask)

    async def _on_exchange(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._act)

    async def _answer(
        self, request: web.Request, carry_out: Callable[[object], Awaitable[object]]
    ) -> web.Response:
        with self._ready().busy():
            try:
                body = json.loads(await request.read())
            except ValueError:
                return web.Response(status=422, text=MALFORMED)
            try:
                return _json(await carry_out(body))
            except Malformed as problem:
                return web.Response(status=422, text=str(problem))
            except TooManyRequests:
                return _json(None, status=429)

    async def _ask(self, body: object) -> object:
        self._move_time()
        self._admit(self._info.weight(body))
        answer = await self._info.answer(body)
        if isinstance(body, dict):
            self._window.charge(self._world.now, self._info.extra_weight(body, answer))
        if self._world.dirty.accounts:
            self._world.save()
            self._stream.on_events(self._world.take_events())
        return answer

    async def _act(self, body: object) -> object:
        self._move_time()
        self._admit(1 + self._exchange.batch_length(body) // BATCH_WEIGHT)
        try:
            return self._exchange.handle(body, self._ready().wall())
        finally:
            self._world.save()
            self._stream.on_events(self._world.take_events())
            if self._drain:
                await confirmed(self._stream.clients)

    def _admit(self, weight: int) -> None:
        limited = self._world.options.rate_limit
        if limited and not self._window.admits(self._world.now, weight):
            raise TooManyRequests

    def _move_time(self) -> None:
        self._world.now = Ms(max(self._world.now, self._ready().now()))

    async def _on_clock(self, request: web.Request) -> web.Response:
        clock = self._ready()
        speed = "max" if self._drain else getattr(clock, "speed", 1.0)
        return _json(
            {
                "now": clock.now(),
                "speed": speed,
                "epoch": self._world.epoch,
                "ended": self.finished.is_set(),
            }
        )

    # --- the socket ---------------------------------------------------------------------

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        limited = self._world.options.rate_limit
        if limited and len(self._stream.clients) >= MOST_CONNECTIONS:
            return _json(None, status=429)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        client = Client(socket)
        self._stream.join(client)
        writer = asyncio.create_task(client.write())
        try:
            await self._listen(client)
        finally:
            client.let_go()
            self._stream.leave(client)
            await writer
        return socket

    async def _listen(self, client: Client) -> None:
        """Hear one message after the other; time stands still while one is worked on."""
        clock = self._ready()
        while (text := await client.read()) is not None:
            if not text:
                continue
            with clock.busy():
                await self._hear(client, text)
                if self._drain:
                    await self._read_back(client)

    async def _read_back(self, client: Client) -> None:
        """Go on hearing until the client has read the answers; this task is its reader."""
        done = client.ask()
        while not done.done():
            try:
                text = await client.read(READ_LIMIT_S)
            except TimeoutError:
                client.let_go()
                return
            if text:
                await self._hear(client, text)
                done = client.ask()

    async def _hear(self, client: Client, text: str) -> None:
        self._move_time()
        post = self._stream.hear(client, text)
        if post is not None:
            response = await self._posted(post["request"])
            client.send(dumps({"channel": "post", "data": {"id": post.get("id"), **response}}))

    async def _posted(self, request: dict[str, Any]) -> dict[str, object]:
        """A request that came over the socket."""
        kind, payload = request.get("type"), request.get("payload")
        try:
            if kind == "info" and isinstance(payload, dict):
                answer = await self._ask(payload)
                body: object = {"type": payload.get("type"), "data": answer}
                return {"response": {"type": "info", "payload": body}}
            if kind == "action":
                return {"response": {"type": "action", "payload": self._acted(payload)}}
        except TooManyRequests:
            return {"response": {"type": "error", "payload": "429 Too Many Requests: null"}}
        except Malformed as problem:
            return {"response": {"type": "error", "payload": f"422: {problem}"}}
        return {"response": {"type": "error", "payload": f"422: {MALFORMED}"}}

    def _acted(self, payload: object) -> object:
        self._admit(1 + self._exchange.batch_length(payload) // BATCH_WEIGHT)
        try:
            return self._exchange.handle(payload, self._ready().wall())
        finally:
            self._world.save()
            self._stream.on_events(self._world.take_events())

    def _ready(self) -> Clock:
        if self._clock is None:
            raise RuntimeError("simulated exchange: serve() must be called first")
        return self._clock


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(status=status, text=dumps(value), content_type="application/json")

"""The simulated exchange as others embed it: sockets, the tick loop, and when to write.

Owns the order "write, tell, answer"; leaves rules to the engine and words to info,
exchange and stream.
"""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import structlog
from aiohttp import web

from bot.domain.errors import TransientError
from bot.domain.types import Ms, Symbol, Timeframe
from bot.ports import Clock
from bot.simulator.bars import PriceSource
from bot.simulator.client import confirmed
from bot.simulator.duties import Duties
from bot.simulator.engine import Engine
from bot.simulator.errors import Malformed
from bot.simulator.exchange import Exchange
from bot.simulator.faults.control import FaultControl
from bot.simulator.info import Info
from bot.simulator.limits import Limits
from bot.simulator.options import SimulatorOptions, is_address
from bot.simulator.sockets import Carry, Sockets, TooManyRequests
from bot.simulator.stream import Stream
from bot.simulator.wire import dumps
from bot.simulator.world import World

log = structlog.get_logger(__name__)

WRITE_AGAIN_S = 1.0  # real time between two tries to write a moment
BATCH_WEIGHT = 40  # an action weighs 1, and 1 more for so many entries


class SimulatedExchange:
    """Hyperliquid's protocol over a simulated market.

    `source` replaces the prices that the options describe. Raises ConfigError when candle
    files, options or ledger cannot be used.
    """

    def __init__(
        self, options: SimulatorOptions, wall_now: Ms, source: PriceSource | None = None
    ) -> None:
        self._world = World(options, wall_now, source)
        self.start_at: Ms = self._world.now
        self.interval: Timeframe | None = self._world.interval
        self.coins: tuple[Symbol, ...] = tuple(Symbol(c) for c in self._world.prices.coins)
        self.finished = asyncio.Event()
        self._engine = Engine(self._world)
        self._duties = Duties(self._world, self._engine)
        self._info = Info(self._world)
        self._exchange = Exchange(self._world, self._engine)
        self._stream = Stream(self._world, self._info)
        self._limits = Limits(options.rate_limit)
        self._sockets = Sockets(
            self._world, self._stream, self._limits, self._ask, self._act_posted
        )
        self._faults = FaultControl(self._world, self._engine, self._duties, self._stream)
        self._faults.install(options.faults)
        self._closing = asyncio.Event()
        self._resting = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._clock: Clock | None = None
        self._drain = False
        self.began_anew = self._world.began_anew
        self.incarnation = self._world.incarnation

    async def serve(
        self, clock: Clock, host: str = "127.0.0.1", port: int = 0, *, drain: bool = False
    ) -> int:
        """Bind and answer from now on; returns the port. Raises OSError when it is taken."""
        self._clock, self._drain = clock, drain
        app = web.Application()
        app.router.add_post("/info", self._on_info)
        app.router.add_post("/exchange", self._on_exchange)
        app.router.add_get("/simulator/clock", self._on_clock)
        app.router.add_post("/simulator/deposit", self._on_deposit)
        app.router.add_get("/simulator/faults", self._faults.show)
        app.router.add_post("/simulator/faults", self._faults.take)
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
            if self._resting.is_set():
                await self._closing.wait()
            if not self._closing.is_set():
                with clock.busy():
                    await self._play(index, at)

    async def rest(self) -> None:
        """Let nothing more happen by itself; returns when clients have read what did.

        Requests are answered still. For an embedded exchange whose only account is about to go:
        what fell due in that moment would be news at the next start.
        """
        self._resting.set()
        await confirmed(self._stream.clients)

    async def close(self) -> None:
        """Stop answering, write the last moment and let go of the ledger; safe twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        await self._faults.close()
        for client in self._stream.clients:
            client.let_go()
        if self._runner is not None:
            await self._runner.cleanup()
        try:
            self._world.save()
        except TransientError as error:
            log.error("last_moment_not_written", error=str(error))
        self._world.ledger.close()

    async def _play(self, index: int, at: Ms) -> None:
        world = self._world
        quotes = self._duties.tick(index, at)
        self._faults.tick()
        following = world.source.tick_at(index + 1)
        world.ended = following is None
        await self._written()
        for _ in self._stream.on_tick(quotes, passed=self._has_passed(at, following)):
            if not self._drain:  # in lockstep nobody waits, and nothing may come in between
                await asyncio.sleep(0)
        self._stream.on_events(world.take_events())
        if self._drain:
            await confirmed(self._stream.clients)

    def _has_passed(self, at: Ms, following: Ms | None) -> bool:
        """Whether a newer price is due already, in a bar that is still open.

        A loop that cannot keep up would send ever older prices, until its clients' pings are
        answered too late. Late as it is, it shows where the market stands, and every bar's end.
        """
        if self._drain or following is None or following > self._ready().now():
            return False
        length = self._world.source.base_ms
        return at // length == following // length

    async def _written(self) -> None:
        """Write the moment; while that fails (a full disk) the market stands still."""
        failed = False
        while not self._closing.is_set():
            try:
                self._world.save()
                break
            except TransientError as error:
                if not failed:
                    log.error("ledger_not_written", error=str(error), action="the market waits")
                failed = True
                await asyncio.sleep(WRITE_AGAIN_S)
        else:
            return
        if failed:
            log.warning("ledger_written_again")

    # --- requests -----------------------------------------------------------------------

    async def _on_info(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._ask)

    async def _on_exchange(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._act)

    async def _answer(self, request: web.Request, carry_out: Carry) -> web.Response:
        with self._ready().busy():
            try:
                body = json.loads(await request.read())
            except (ValueError, RecursionError):
                return web.Response(status=422, text=str(Malformed()))
            fault = self._faults.of_request(request.path, body, self._ready().now())
            if fault is None:
                return await self._reply(request.remote or "", body, carry_out)
        return await self._faults.strike(
            fault,
            request,
            lambda: self._reply(request.remote or "", body, carry_out),
            self._ready(),
        )

    async def _reply(self, source: str, body: object, carry_out: Carry) -> web.Response:
        with self._ready().busy():
            try:
                return _json(await carry_out(source, body))
            except Malformed as problem:
                return web.Response(status=422, text=str(problem))
            except TooManyRequests:
                return _json(None, status=429)
            except TransientError as problem:
                return web.Response(status=503, text=str(problem))

    async def _ask(self, source: str, body: object) -> object:
        world = self._world
        world.move_to(self._ready().now())
        self._duties.fund()
        if not self._limits.admits(source, world.now, self._info.weight(body)):
            raise TooManyRequests
        answer = self._faults.answer(body, await self._info.answer(body))
        if isinstance(body, dict):
            self._limits.charge(source, world.now, self._info.extra_weight(body, answer))
        if world.dirty.accounts:
            world.save()
            self._stream.on_events(world.take_events())
        return answer

    async def _act(self, source: str, body: object) -> object:
        try:
            return self._acted(source, body)
        finally:
            if self._drain:
                await confirmed(self._stream.clients)

    def _acted(self, source: str, body: object) -> object:
        world, clock = self._world, self._ready()
        world.move_to(clock.now())
        self._duties.fund()
        weight = 1 + self._exchange.batch_length(body) // BATCH_WEIGHT
        if not self._limits.admits(source, world.now, weight):
            raise TooManyRequests
        try:
            return self._exchange.handle(body, clock.wall() + world.conditions.skew_ms)
        finally:
            world.save()
            self._stream.on_events(world.take_events())

    async def _on_clock(self, request: web.Request) -> web.Response:
        clock = self._ready()
        speed = "max" if self._drain else getattr(clock, "speed", 1.0)
        return _json(
            {
                "now": clock.now(),
                "speed": speed,
                "epoch": self._world.epoch,
                "incarnation": self.incarnation,
                "ended": self.finished.is_set(),
            }
        )

    def deposit(self, address: str, usd: Decimal) -> None:
        """Let money arrive on an account, as from outside."""
        world = self._world
        world.move_to(self._ready().now())
        world.deposit(address, usd)
        world.save()
        self._stream.on_events(world.take_events())

    async def _on_deposit(self, request: web.Request) -> web.Response:
        """POST {"user": address, "usd": "100"}."""
        with self._ready().busy():
            try:
                body = json.loads(await request.read())
                usd = Decimal(str(body["usd"]))
                if not is_address(body["user"]) or not usd.is_finite() or usd <= 0:
                    raise ValueError("user and usd")
            except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
                return web.Response(status=422, text="expected user (an address) and usd (above 0)")
            self.deposit(body["user"], usd)
            return _json({"ok": True})

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve(request, self._ready(), drain=self._drain)

    async def _act_posted(self, source: str, body: object) -> object:
        """An action that came over a socket; its reader waits for the frames itself."""
        return self._acted(source, body)

    def _ready(self) -> Clock:
        if self._clock is None:
            raise RuntimeError("simulated exchange: serve() must be called first")
        return self._clock


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(status=status, text=dumps(value), content_type="application/json")

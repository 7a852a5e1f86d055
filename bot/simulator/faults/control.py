"""The faults of a served exchange: the script it began with, and GET and POST /simulator/faults.

Owns the line between server, injector and gate; knows no rule of trading.
"""

from __future__ import annotations

import json

import structlog
from aiohttp import web

from bot.domain.errors import ConfigError
from bot.ports import Clock
from bot.simulator.duties import Duties
from bot.simulator.engine import Engine
from bot.simulator.faults.gate import Answer, Gate
from bot.simulator.faults.injector import Faults
from bot.simulator.faults.plan import Fault, FaultPlan, plan_of
from bot.simulator.stream import Stream
from bot.simulator.wire import dumps
from bot.simulator.world import World

log = structlog.get_logger(__name__)


class FaultControl:
    """All of it behind one object; without faults each call is one comparison."""

    def __init__(self, world: World, engine: Engine, duties: Duties, stream: Stream) -> None:
        self._world = world
        self._engine = engine
        self._stream = stream
        self._faults = Faults(world, engine, duties)
        self._gate = Gate()

    def install(self, plan: FaultPlan) -> None:
        """Begin with a plan, in place of the one before. Raises ConfigError."""
        self._faults.install(plan)
        active = self._faults.active
        self._stream.tamper = self._faults.frames if active else None
        self._engine.before_order = self._faults.order if active else None
        self._after_time()
        if active:
            log.warning("simulator_faults", kinds=[f.kind.value for f in plan.faults])

    def tick(self) -> None:
        """After each tick, before it is written and told."""
        if self._faults.active:
            self._faults.tick()
            for key, frame in self._faults.late_frames():
                self._stream.emit(key, frame)
            self._after_time()

    def of_request(self, path: str, body: object, now: int) -> Fault | None:
        """The fault that strikes this request; None mostly."""
        if not self._faults.active:
            return None
        self._world.move_to(now)
        found = self._faults.request(path, body)
        self._after_time()
        return found

    def answer(self, body: object, answer: object) -> object:
        """An answer of /info, as stale as it is to be."""
        return self._faults.answer(body, answer) if self._faults.active else answer

    async def strike(
        self, fault: Fault, request: web.Request, answer: Answer, clock: Clock
    ) -> web.Response:
        """Carry out what strikes a request."""
        return await self._gate.strike(fault, request, answer, clock)

    async def close(self) -> None:
        """End what waits or lands late."""
        await self._gate.close()

    async def show(self, request: web.Request) -> web.Response:
        """GET: what each fault of the script has come to."""
        return _json({"faults": self._faults.report()}, 200)

    async def take(self, request: web.Request) -> web.Response:
        """POST: another script; 400 and one line a problem when it is none."""
        try:
            plan = plan_of(json.loads(await request.read()))
            self.install(plan)
        except ConfigError as problem:
            return _json({"problems": list(problem.problems)}, 400)
        except (ValueError, RecursionError) as problem:
            return _json({"problems": [f"faults: not JSON: {problem}"]}, 400)
        return _json({"faults": self._faults.report()}, 200)

    def _after_time(self) -> None:
        """What the passing of time has brought to the sockets."""
        self._stream.mute = self._faults.mute
        if self._faults.cut:
            self._faults.cut = False
            for client in self._stream.clients:
                client.let_go()


def _json(value: object, status: int) -> web.Response:
    return web.Response(status=status, text=dumps(value), content_type="application/json")

"""What a struck request gets instead of its answer: an error, silence, a reset, or a late effect.

Owns the HTTP side of faults; knows no rule of trading. Its waits are machine time, as the
limits of clients are.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

from bot.ports import Clock
from bot.simulator.errors import Error
from bot.simulator.faults.kinds import FaultKind
from bot.simulator.faults.plan import Fault
from bot.simulator.wire import dumps

HTML = "<html><head><title>{0}</title></head><body><h1>{0} Gateway</h1>CloudFront</body></html>"
RESET = struct.pack("ii", 1, 0)  # linger on, no time: close() sends RST
Answer = Callable[[], Awaitable[web.Response]]


class Gate:
    """Strikes requests; late effects live until `close`."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()

    async def strike(
        self, fault: Fault, request: web.Request, answer: Answer, clock: Clock
    ) -> web.Response:
        """Carry a fault out; `answer` does what was asked for and gives its reply."""
        match fault.kind:
            case FaultKind.TOO_MANY_REQUESTS:
                return _said("null", 429)
            case FaultKind.GATEWAY:
                if fault.flag("executed"):
                    await answer()
                status = fault.count("status")
                return web.Response(
                    status=status, text=HTML.format(status), content_type="text/html"
                )
            case FaultKind.RESET:
                if fault.flag("executed"):
                    await answer()
                return _cut(request)
            case FaultKind.TIMEOUT:
                return await self._silence(fault, request, answer, clock)
            case _:
                if fault.said.get("executed"):
                    await answer()
                return _said(
                    dumps({"status": "err", "response": _refusal(fault, clock.wall())}), 200
                )

    async def close(self) -> None:
        """Let go of those that wait; what has not landed never does."""
        self._closing.set()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _silence(
        self, fault: Fault, request: web.Request, answer: Answer, clock: Clock
    ) -> web.Response:
        lands = fault.text("lands")
        if lands == "at_once":
            await answer()
        elif lands == "later":
            task = asyncio.create_task(_land(fault.real("later_s"), answer, clock))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        end = asyncio.get_running_loop().time() + fault.real("hold_s")
        while not _gone(request) and asyncio.get_running_loop().time() < end:
            if await self._closes_within(0.05):
                break
        return _cut(request)

    async def _closes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True


async def _land(after_s: float, answer: Answer, clock: Clock) -> None:
    await clock.pause(after_s)
    await answer()


def _refusal(fault: Fault, wall: int) -> str:
    """Words of the venue for a request that it does not carry out; `wall`: signing time, ms."""
    match fault.kind:
        case FaultKind.BUDGET:
            return Error.BUDGET.says(used=10_001, cap=10_000, volume="0.00")
        case FaultKind.AGENT:
            return Error.NO_ACCOUNT.says(address="0x" + "0" * 40)
    match fault.text("says"):
        case "high":
            return Error.NONCE_HIGH.says(nonce=wall, bound=wall)
        case "duplicate":
            return Error.NONCE_TWICE.says(nonce=1)
        case _:
            return Error.NONCE_LOW.says(nonce=1, bound=2)


def _said(text: str, status: int) -> web.Response:
    return web.Response(status=status, text=text, content_type="application/json")


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _cut(request: web.Request) -> web.Response:
    """Reset the connection; the answer goes nowhere."""
    transport = request.transport
    if transport is not None:
        line = transport.get_extra_info("socket")
        if line is not None and not transport.is_closing():
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    return web.Response(status=500)

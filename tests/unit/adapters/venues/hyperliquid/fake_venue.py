"""A venue of a hundred lines on loopback: answers what a test puts in, keeps what it gets.

Knows no rule of the venue; the simulator does.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from bot.adapters.venues.hyperliquid import (
    Hyperliquid,
    HyperliquidOptions,
    StreamTiming,
    connect,
    demo_key,
)
from bot.adapters.venues.hyperliquid.signing import NonceSource, Signer
from bot.domain.types import Ms, Symbol
from bot.runtime.clock import SystemClock

Reply = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

META: dict[str, Any] = {
    "universe": [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
        {"name": "OLD", "szDecimals": 1, "maxLeverage": 3, "isDelisted": True},
        {"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "marginTableId": 25},
    ],
    "marginTables": [
        [
            56,
            {
                "description": "tiered 40x",
                "marginTiers": [
                    {"lowerBound": "0.0", "maxLeverage": 40},
                    {"lowerBound": "150000000.0", "maxLeverage": 20},
                ],
            },
        ]
    ],
    "collateralToken": 0,
}

STATE: dict[str, Any] = {
    "assetPositions": [],
    "marginSummary": {"accountValue": "1000.0", "totalMarginUsed": "0.0"},
    "crossMarginSummary": {"accountValue": "1000.0", "totalMarginUsed": "0.0"},
    "withdrawable": "1000.0",
    "time": 1_700_000_000_000,
}

NOW = 1_700_000_000_000
ETH = Symbol("ETH")
SEED = 7
KEY = demo_key(SEED)
FAST = StreamTiming(
    ping_s=0.05, pong_s=0.5, silence_s=5.0, backoff_first_s=0.01, backoff_max_s=0.05
)


def context(mark: str = "100.0", **changes: Any) -> dict[str, Any]:
    """One asset context."""
    return {
        "funding": "0.0000125",
        "openInterest": "688.11",
        "prevDayPx": "98.5",
        "dayNtlVlm": "1169046.29",
        "premium": "0.0003",
        "oraclePx": "100.1",
        "markPx": mark,
        "midPx": "100.05",
        "impactPxs": ["99.9", "100.2"],
    } | changes


def candle(coin: str, interval: str, t: int, length: int, close: float = 1.0) -> dict[str, Any]:
    """One candle as the venue writes it."""
    price = str(close)
    times = {"t": t, "T": t + length - 1, "s": coin, "i": interval}
    return times | {"o": price, "c": price, "h": price, "l": price, "v": "5.0", "n": 3}


def a_fill(tid: int, time: int, coin: str = "BTC", **changes: Any) -> dict[str, Any]:
    """One fill as the venue writes it."""
    return {
        "coin": coin,
        "px": "100.0",
        "sz": "0.5",
        "side": "B",
        "time": time,
        "startPosition": "0.0",
        "dir": "Open Long",
        "closedPnl": "0.0",
        "hash": "0x00",
        "oid": tid * 10,
        "crossed": True,
        "fee": "0.0225",
        "tid": tid,
        "feeToken": "USDC",
        "twapId": None,
    } | changes


def funding_row(time: int, usdc: str = "-0.5", coin: str = "BTC") -> dict[str, Any]:
    """One element of `userFunding`."""
    delta = {"type": "funding", "coin": coin, "usdc": usdc, "szi": "0.5", "fundingRate": "0.0001"}
    return {"time": time, "hash": "0x00", "delta": delta | {"nSamples": None}}


class FakeVenue:
    """Answers by request type; `info` values may be JSON or a callable on the request."""

    def __init__(self) -> None:
        self.url = ""
        self.info: dict[str, Any] = {
            "meta": META,
            "userAbstraction": "default",
            "clearinghouseState": STATE,
            "frontendOpenOrders": [],
            "userFillsByTime": [],
            "userFunding": [],
            "candleSnapshot": [],
        }
        self.asked: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.actions: list[dict[str, Any]] = []
        self.reply: Reply | None = None  # instead of every HTTP answer
        self.exchange: list[Any] = []  # answers in order; the last one stays
        self.sockets: list[web.WebSocketResponse] = []
        self.subscribed: list[list[dict[str, Any]]] = []  # one list a connection
        self.unsubscribed: list[dict[str, Any]] = []
        self.answers_pings = True
        self.acknowledges = True
        self.pings = 0

    async def tell(self, channel: str, data: Any) -> None:
        """Send a message on the newest socket."""
        await self.sockets[-1].send_json({"channel": channel, "data": data})

    async def cut(self) -> None:
        """Drop the newest socket without a closing handshake."""
        transport = self.sockets[-1]._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()

    async def on_info(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.text())
        self.asked[body["type"]] += 1
        self.requests.append(body)
        if self.reply is not None:
            return await self.reply(request, body)
        if body["type"] not in self.info:
            text = "Failed to deserialize the JSON body into the target type"
            return web.Response(status=422, text=text)
        answer = self.info[body["type"]]
        return web.json_response(answer(body) if callable(answer) else answer)

    async def on_exchange(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.text())
        self.actions.append(body)
        if self.reply is not None:
            return await self.reply(request, body)
        answer = self.exchange.pop(0) if len(self.exchange) > 1 else self.exchange[0]
        return web.json_response(answer)

    async def on_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.subscribed.append([])
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._on_message(socket, json.loads(message.data))
        return socket

    async def _on_message(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["method"] == "ping":
            self.pings += 1
            if self.answers_pings:
                await socket.send_json({"channel": "pong"})
            return
        if message["method"] == "subscribe":
            self.subscribed[-1].append(message["subscription"])
        else:
            self.unsubscribed.append(message["subscription"])
        if self.acknowledges:
            await socket.send_json({"channel": "subscriptionResponse", "data": message})


@asynccontextmanager
async def running(venue: FakeVenue) -> AsyncIterator[FakeVenue]:
    """Serve on an ephemeral loopback port."""
    app = web.Application()
    app.router.add_post("/info", venue.on_info)
    app.router.add_post("/exchange", venue.on_exchange)
    app.router.add_get("/ws", venue.on_socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    venue.url = f"http://{host}:{port}"
    try:
        yield venue
    finally:
        for socket in venue.sockets:
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()
        await runner.cleanup()


@asynccontextmanager
async def serving(task: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run a service beside the test; its own failure fails the test."""
    running_task = asyncio.ensure_future(task())
    try:
        yield
    finally:
        running_task.cancel()
        results = await asyncio.gather(running_task, return_exceptions=True)
        if not isinstance(results[0], asyncio.CancelledError):
            raise results[0] if isinstance(results[0], BaseException) else AssertionError("ended")


def options(url: str, **changes: Any) -> HyperliquidOptions:
    """Options with short limits."""
    defaults: dict[str, Any] = {
        "base_url": url,
        "private_key": KEY,
        "is_mainnet": False,
        "info_limit_s": 0.3,
        "exchange_limit_s": 0.3,
        "connect_limit_s": 0.3,
        "stream": FAST,
        "settle_ms": 0,
    }
    return HyperliquidOptions(**(defaults | changes))


def signer(url: str = "http://127.0.0.1:1", start: int = 0) -> Signer:
    """A demo signer whose wall clock stands still."""
    return Signer(KEY, url, is_mainnet=False, nonces=NonceSource(lambda: start))


class StandingClock(SystemClock):
    """Market and signing time stand still."""

    def now(self) -> Ms:
        return Ms(NOW)

    def wall(self) -> int:
        return NOW


@asynccontextmanager
async def started(venue: FakeVenue, **changes: Any) -> AsyncIterator[Hyperliquid]:
    async with running(venue):
        hyperliquid = connect(options(venue.url, **changes), StandingClock())
        try:
            await hyperliquid.start()
            yield hyperliquid
        finally:
            await hyperliquid.close()


def position(coin: str = "ETH", leverage: int = 3, kind: str = "isolated") -> dict[str, Any]:
    fields = {"coin": coin, "szi": "0.5", "entryPx": "1590", "unrealizedPnl": "-2.5"}
    terms = {"type": kind, "value": leverage, "rawUsd": "-1.0"}
    more = {"liquidationPx": "1100", "marginUsed": "260", "leverage": terms}
    return {"type": "oneWay", "position": fields | more}

"""A client of a served exchange over HTTP and WebSocket, on prices by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from eth_account import Account
from hyperliquid.utils import signing

from bot.domain.types import Ms
from bot.runtime.clock import ManualClock
from bot.simulator import SimulatedExchange, SimulatorOptions
from tests.unit.simulator.given import KEY, START, ByHand

USER = Account.from_key(KEY).address.lower()
LIMIT_S = 5.0
SIGNERS = {
    "approveAgent": signing.sign_agent,
    "usdClassTransfer": signing.sign_usd_class_transfer_action,
    "userSetAbstraction": signing.sign_user_set_abstraction_action,
}


class Online:
    """One user; `market` is written by the test, `tick` plays it."""

    def __init__(
        self, exchange: SimulatedExchange, clock: ManualClock, port: int, market: ByHand
    ) -> None:
        self.exchange, self.clock, self.market = exchange, clock, market
        self.url = f"http://127.0.0.1:{port}"
        self.nonce = clock.wall()
        self.session = aiohttp.ClientSession()

    @property
    def account(self) -> Any:
        return self.exchange._world.accounts[USER]

    async def post(self, path: str, body: object) -> tuple[int, str]:
        async with self.session.post(self.url + path, json=body) as answer:
            return answer.status, await answer.text()

    async def ask(self, kind: str, **body: Any) -> Any:
        status, text = await self.post("/info", {"type": kind, "user": USER, **body})
        assert status == 200, text
        return json.loads(text)

    def sign(self, action: Mapping[str, Any], **envelope: Any) -> dict[str, Any]:
        """A body for /exchange; `key`, `nonce`, `expires`, `vault` deviate from the usual."""
        self.nonce += 1
        nonce = envelope.get("nonce", self.nonce)
        expires, vault = envelope.get("expires"), envelope.get("vault")
        wallet, body = Account.from_key(envelope.get("key", KEY)), dict(action)
        if body["type"] in SIGNERS:
            body = {"agentName": ""} | body if body["type"] == "approveAgent" else body
            body["nonce"] = nonce
            signature = SIGNERS[body["type"]](wallet, body, envelope.get("mainnet", False))
        else:
            signature = signing.sign_l1_action(wallet, body, vault, nonce, expires, False)
        return {
            "action": body,
            "nonce": nonce,
            "signature": signature,
            "vaultAddress": vault,
            "expiresAfter": expires,
        }

    async def send(self, body: object) -> Any:
        status, text = await self.post("/exchange", body)
        assert status == 200, text
        return json.loads(text)

    async def act(self, kind: str, **fields: Any) -> Any:
        """One action of the user; fields of the envelope are named as in `sign`."""
        names = ("key", "nonce", "expires", "vault", "mainnet")
        envelope = {name: fields.pop(name) for name in names if name in fields}
        return await self.send(self.sign({"type": kind, **fields}, **envelope))

    async def place(self, *orders: dict[str, Any], grouping: str = "na") -> list[Any]:
        answer = await self.act("order", orders=list(orders), grouping=grouping)
        assert answer["status"] == "ok", answer
        found: list[Any] = answer["response"]["data"]["statuses"]
        return found

    async def tick(self, **moved: float) -> None:
        """Play one tick with these new prices."""
        index = self.exchange._world.index + 1
        while len(self.market.ticks) <= index:
            self.market.push()
        self.market.ticks[index] = moved
        at = self.market.tick_at(index)
        assert at is not None
        self.clock.set(max(self.clock.now(), at))
        await self.exchange._play(index, at)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        async with self.session.ws_connect(self.url + "/ws") as opened:
            yield Socket(opened)


class Socket:
    """A WebSocket that reads by channel."""

    def __init__(self, opened: aiohttp.ClientWebSocketResponse) -> None:
        self.opened = opened

    async def say(self, message: object) -> None:
        await self.opened.send_str(message if isinstance(message, str) else json.dumps(message))

    async def subscribe(self, **wish: Any) -> None:
        await self.say({"method": "subscribe", "subscription": wish})

    async def request(self, number: int, kind: str, payload: object) -> None:
        request = {"type": kind, "payload": payload}
        await self.say({"method": "post", "id": number, "request": request})

    async def hear(self, channel: str) -> Any:
        """Data of the next frame of a channel; others are passed over."""
        while True:
            frame = json.loads(await self.opened.receive_str(timeout=LIMIT_S))
            if frame["channel"] == channel:
                return frame.get("data")


@asynccontextmanager
async def online(folder: Path, *, drain: bool = False, **options: Any) -> AsyncIterator[Online]:
    """A served exchange with three coins (SOL without cross margin) and one known user."""
    market = ByHand()
    market.instruments = {
        name: replace(rules, only_isolated=name == "SOL")
        for name, rules in market.instruments.items()
    }
    usual: dict[str, Any] = {"depth_usd": 10_000_000.0, "accounts": (USER,)}
    made = SimulatorOptions(ledger=folder / "simulator.db", **(usual | options))
    exchange = SimulatedExchange(made, START, market)
    clock = ManualClock(Ms(START))
    client = Online(exchange, clock, await exchange.serve(clock, drain=drain), market)
    try:
        yield client
    finally:
        await client.session.close()
        await exchange.close()

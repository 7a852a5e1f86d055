"""What tests of the simulated exchange start from: a market by hand, a signed client."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from hyperliquid.utils.signing import sign_l1_action

from bot.domain.instrument import Instrument
from bot.domain.types import Ms
from bot.simulator.bars import Bar, Quote
from bot.simulator.coins import COINS, instrument
from bot.simulator.duties import Duties
from bot.simulator.engine import Engine
from bot.simulator.exchange import Exchange
from bot.simulator.info import Info
from bot.simulator.options import SimulatorOptions
from bot.simulator.world import World

START = Ms(1_790_000_100_000)  # 1:55 into an hour
TICK_MS = 5_000
WALL = 1_790_000_000_000
KEY = "0x" + "11" * 32
OTHER_KEY = "0x" + "22" * 32
BTC, ETH, SOL = 0, 1, 2
PRICES = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0}


class ByHand:
    """A price source whose next prices the test writes down."""

    def __init__(self) -> None:
        rows = [row for row in COINS if row.name in PRICES]
        self.instruments: Mapping[str, Instrument] = {
            row.name: instrument(row, number) for number, row in enumerate(rows)
        }
        self.base_ms = 60_000
        self.identity = "by hand"
        self.start_at = START
        self.first_tick = 1
        self.ticks: list[dict[str, float]] = [dict(PRICES)]

    def push(self, **moved: float) -> None:
        self.ticks.append(moved)

    def tick_at(self, index: int) -> Ms | None:
        return Ms(START + index * TICK_MS)

    def quotes(self, index: int) -> Sequence[Quote]:
        moved = self.ticks[index] if index < len(self.ticks) else {}
        return [Quote(coin, price, 10**8) for coin, price in moved.items()]

    def last_price(self, coin: str, index: int) -> float:
        for moved in reversed(self.ticks[: index + 1]):
            if coin in moved:
                return moved[coin]
        return self.ticks[0].get(coin, PRICES.get(coin, 100.0))

    def forming(self, coin: str, index: int) -> Bar | None:
        price = self.last_price(coin, index)
        at = START + index * TICK_MS
        return Bar(at - at % 60_000, price, price, price, price, 10**8, 1)

    def closed(self, coin: str, interval_ms: int, first: int, before: int) -> list[Bar]:
        return []

    def oldest(self, interval_ms: int) -> int:
        return START - START % interval_ms - interval_ms

    def prepare(self, coin: str, interval_ms: int, first: int, before: int) -> Iterator[None]:
        return iter(())


class Venue:
    """A venue without sockets, and one client of it who signs."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.source: ByHand = options.pop("source", None) or ByHand()
        defaults: dict[str, Any] = {"balance": Decimal(10_000), "depth_usd": 10_000_000.0}
        self.options = SimulatorOptions(ledger=folder / "simulator.db", **(defaults | options))
        self.world = World(self.options, START, self.source)
        self.engine = Engine(self.world)
        self.duties = Duties(self.world, self.engine)
        self.exchange = Exchange(self.world, self.engine)
        self.info = Info(self.world)
        self.wallet: LocalAccount = Account.from_key(KEY)
        self.user = self.wallet.address.lower()
        self.nonce = WALL
        self.ask("clearinghouseState")
        self.world.take_events()

    def reopen(self) -> Venue:
        """The venue after its process died: only the ledger is left."""
        self.world.ledger.close()
        again = Venue.__new__(Venue)
        again.source, again.options = self.source, self.options
        again.world = World(self.options, START, self.source)
        again.engine = Engine(again.world)
        again.duties = Duties(again.world, again.engine)
        again.exchange = Exchange(again.world, again.engine)
        again.info = Info(again.world)
        again.wallet, again.user, again.nonce = self.wallet, self.user, self.nonce
        return again

    def tick(self, **moved: float) -> None:
        """Play one tick with these new prices."""
        index = self.world.index + 1
        while len(self.source.ticks) <= index:
            self.source.push()
        self.source.ticks[index] = moved
        at = self.source.tick_at(index)
        assert at is not None
        self.duties.tick(index, at)
        self.world.save()

    def ask(self, kind: str, **body: Any) -> Any:
        """One /info question about the client."""
        return asyncio.run(self.info.answer({"type": kind, "user": self.user, **body}))

    def signed(self, action: dict[str, Any], **envelope: Any) -> dict[str, Any]:
        """A body for /exchange; `key`, `nonce`, `expires`, `vault` deviate from the usual."""
        self.nonce += 1
        nonce = envelope.get("nonce", self.nonce)
        expires, vault = envelope.get("expires"), envelope.get("vault")
        wallet = Account.from_key(envelope.get("key", KEY))
        signature = sign_l1_action(wallet, action, vault, nonce, expires, False)
        return {
            "action": action,
            "nonce": nonce,
            "signature": signature,
            "vaultAddress": vault,
            "expiresAfter": expires,
        }

    def act(self, action: dict[str, Any], **envelope: Any) -> dict[str, Any]:
        answer = self.exchange.handle(self.signed(action, **envelope), WALL)
        self.world.save()
        return answer

    def place(self, *orders: dict[str, Any], grouping: str = "na") -> list[Any]:
        """Statuses of a batch; fails when the whole batch is refused."""
        answer = self.act({"type": "order", "orders": list(orders), "grouping": grouping})
        assert answer["status"] == "ok", answer
        statuses: list[Any] = answer["response"]["data"]["statuses"]
        return statuses

    def cancel(self, asset: int, oid: int) -> Any:
        answer = self.act({"type": "cancel", "cancels": [{"a": asset, "o": oid}]})
        return answer["response"]["data"]["statuses"][0]

    def leverage(self, asset: int, value: int, *, cross: bool = False) -> dict[str, Any]:
        action = {"type": "updateLeverage", "asset": asset, "isCross": cross, "leverage": value}
        return self.act(action)

    def status(self, key: int | str) -> str:
        """Status of an order by oid or client id."""
        answer = self.ask("orderStatus", oid=key)
        return str(answer["order"]["status"] if answer["status"] == "order" else answer["status"])

    def position(self, coin: str) -> dict[str, Any]:
        for row in self.ask("clearinghouseState")["assetPositions"]:
            if row["position"]["coin"] == coin:
                found: dict[str, Any] = row["position"]
                return found
        raise AssertionError(f"no position in {coin}")

    def size(self, coin: str) -> Decimal:
        return self.world.accounts[self.user].size(coin)

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Rows of one kind told to the client since the last call."""
        return [event.row for event in self.world.take_events() if event.kind == kind]


def limit(
    asset: int,
    size: str,
    price: str,
    tif: str = "Gtc",
    *,
    reduce_only: bool = False,
    cloid: str | None = None,
) -> dict[str, Any]:
    """A limit order; a negative size sells."""
    wire: dict[str, Any] = {
        "a": asset,
        "b": not size.startswith("-"),
        "p": price,
        "s": size.lstrip("-"),
        "r": reduce_only,
        "t": {"limit": {"tif": tif}},
    }
    if cloid:
        wire["c"] = cloid
    return wire


def trigger(
    asset: int, size: str, price: str, kind: str, bound: str, *, cloid: str | None = None
) -> dict[str, Any]:
    """A reduce-only market trigger (`tp` or `sl`) with its limit price; negative sells."""
    wire = limit(asset, size, bound, reduce_only=True, cloid=cloid)
    wire["t"] = {"trigger": {"isMarket": True, "triggerPx": price, "tpsl": kind}}
    return wire


def cloid(number: int) -> str:
    return f"0x{number:032x}"


def write_candles(path: Path, rows: Sequence[Sequence[float]]) -> Path:
    """A candle file; rows are ts, open, high, low, close, volume."""
    lines = ["ts,open,high,low,close,volume", *(",".join(map(repr, row)) for row in rows)]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def walk(
    count: int, *, start: int = 1_700_000_100_000, step: int = 300_000, price: float = 100.0
) -> list[tuple[int, float, float, float, float, float]]:
    """Rows of a small walk on the grid of `step`."""
    start -= start % step
    rows = []
    for number in range(count):
        opened = price + (number * 7 % 13) * 0.11
        closed = price + (number * 5 % 11) * 0.13
        high, low = max(opened, closed) + 0.21, min(opened, closed) - 0.17
        row = (start + number * step, opened, high, low, closed, 10.5 + number)
        rows.append(tuple(round(value, 2) if isinstance(value, float) else value for value in row))
    return rows  # type: ignore[return-value]

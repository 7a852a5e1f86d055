"""A clock that is moved by hand, and rows to store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

from bot.adapters.store import Store
from bot.domain.types import (
    Cloid,
    ExitReason,
    Fill,
    Funding,
    Leg,
    Ms,
    Order,
    OrderStatus,
    Position,
    Side,
    Symbol,
    TraceId,
    Trade,
)
from bot.ports import TraceRecord
from tests.postgres import PostgresServer

BTC = Symbol("BTC")
AT = Ms(1_790_000_000_000)
TRACE = TraceId("BTC-20260921T1320-1")


class FakeClock:
    """`bot.ports.Clock` in which waiting only yields; counts who holds it busy."""

    def __init__(self) -> None:
        self.at = AT
        self.held = 0
        self.holds = 0
        self.pauses: list[float] = []

    def now(self) -> Ms:
        return self.at

    async def sleep_until(self, at: Ms) -> None:
        self.at = max(self.at, at)
        await asyncio.sleep(0)

    def monotonic(self) -> float:
        return self.at / 1000

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        await asyncio.sleep(0)
        return event.is_set()

    def wall(self) -> int:
        return self.at

    @contextmanager
    def busy(self) -> Iterator[None]:
        self.held += 1
        self.holds += 1
        try:
            yield
        finally:
            self.held -= 1


# Servers of this run by port: a store's place leads back to the server it is on.
SERVERS: dict[int, PostgresServer] = {}


@contextmanager
def locked(where: Store | Path) -> Iterator[None]:
    """Another program holds the database's write lock; readers go on."""
    if isinstance(where, Store) and not where.place.is_file:
        server, name = _on_server(where)
        with server.locked(name):
            yield
        return
    path = where.path if isinstance(where, Store) else where
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def query(where: Store | Path, sql: str) -> list[tuple[object, ...]]:
    """Rows as another program sees them."""
    if isinstance(where, Store) and not where.place.is_file:
        server, name = _on_server(where)
        return server.sql(name, sql)
    path = where.path if isinstance(where, Store) else where
    with closing(sqlite3.connect(path)) as other:
        return other.execute(sql).fetchall()


def _on_server(store: Store) -> tuple[PostgresServer, str]:
    url = store.place.url
    assert url.port is not None and url.database is not None
    return SERVERS[url.port], url.database


def order(number: int = 1, status: OrderStatus = OrderStatus.NEW, **changed: object) -> Order:
    fields: dict[str, object] = {
        "cloid": Cloid(f"0x4b45454c{number:024x}"),
        "trace_id": TRACE,
        "symbol": BTC,
        "leg": Leg.ENTRY,
        "side": Side.LONG,
        "is_buy": True,
        "quantity": Decimal("0.00123"),
        "limit": Decimal("123456789.123456789123"),
        "status": status,
        "created_at": AT,
        "updated_at": AT,
    }
    return Order(**{**fields, **changed})  # type: ignore[arg-type]


def fill(number: int = 1, **changed: object) -> Fill:
    fields: dict[str, object] = {
        "fill_id": number,
        "symbol": BTC,
        "is_buy": True,
        "quantity": Decimal("0.00123"),
        "price": Decimal("64123.5"),
        "fee": Decimal("0.0355"),
        "closed_pnl": Decimal("0.1"),
        "start_position": Decimal(0),
        "at": AT,
        "venue_id": 77,
    }
    return Fill(**{**fields, **changed})  # type: ignore[arg-type]


def payment(at: int = AT, usd: str = "-0.0123") -> Funding:
    return Funding(BTC, Decimal(usd), Decimal("0.0000125"), Decimal("0.00123"), Ms(at))


def position(symbol: str = "BTC", opened_at: int = AT) -> Position:
    return Position(
        symbol=Symbol(symbol),
        side=Side.SHORT,
        quantity=Decimal("1.5"),
        entry_price=Decimal("64123.123456789123456789"),
        opened_at=Ms(opened_at),
        trace_id=TRACE,
        strategy="breakout.standard",
        max_quantity=Decimal("2"),
    )


def trade(number: int = 1) -> Trade:
    return Trade(
        trace_id=TraceId(f"BTC-20260921T1320-{number}"),
        symbol=BTC,
        side=Side.LONG,
        strategy="scalper.standard",
        quantity=Decimal("0.01"),
        entry_price=Decimal("64000"),
        exit_price=Decimal("64640.000000000000000001"),
        opened_at=AT,
        closed_at=Ms(AT + number),
        gross_pnl=Decimal("6.4"),
        fees=Decimal("0.5"),
        funding=Decimal("-0.1"),
        exit_reason=ExitReason.TARGET,
    )


CHECKS = [
    {"code": "tier", "ok": True, "value": 2, "limit": 3, "unit": "", "note": ""},
    {"code": "confidence", "ok": False, "value": 0.71, "limit": 0.75, "unit": "", "note": ""},
]


def record(number: int = 1, **changed: object) -> TraceRecord:
    fields: dict[str, object] = {
        "trace_id": TraceId(f"BTC-20260921T1320-{number}"),
        "cycle": 4,
        "symbol": BTC,
        "bar_close": AT,
        "started_at": Ms(AT + number),
        "duration_ms": 12.5,
        "stage": "approve",
        "result": "rejected",
        "regime": "ranging",
        "strategy": "breakout.standard",
        "side": "LONG",
        "score": 71.25,
        "tier": 2,
        "fingerprint": "f" * 16,
        "body": {
            "inputs": {"market": {"mark": 64.5}},
            "proposal": {"signal": {"strength": 0.5}},
            "approval": {"verdict": {"checks": CHECKS}},
        },
    }
    return TraceRecord(**{**fields, **changed})  # type: ignore[arg-type]

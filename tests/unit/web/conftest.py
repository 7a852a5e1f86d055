"""A daemon of ten lines for the page to look at, and a client for the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import httpx
import pytest

from bot.domain.errors import TransientError
from bot.domain.types import Ms, Symbol, Timeframe
from bot.web.access import WebOptions
from bot.web.api import build_api
from bot.web.encode import Plain
from bot.web.view import Component, Declined, Health, HealthState, Readiness

TOKEN = "token-for-tests-only"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class FakeDaemon:
    """A StatusView and Controls whose state the test sets."""

    state: HealthState = HealthState.OK
    alive: bool = True
    prepared: bool = True
    database: bool = True
    broken: bool = False
    hangs: bool = False
    filler: str = ""  # makes a push large
    figures: int = 0  # in each row: makes an answer large
    pushes: int = 0
    asked: list[object] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    def now(self) -> Ms:
        return Ms(1_700_000_000_000)

    def live(self) -> bool:
        return self.alive

    def ready(self) -> Readiness:
        return Readiness(self.prepared, "running" if self.prepared else "reconciling")

    def health(self) -> Health:
        component = Component("database", self.state, "last write 1 s ago")
        return Health(self.state, (component,), 12.5, "0.1.0", "demo")

    def status(self) -> Mapping[str, object]:
        if self.broken:
            raise RuntimeError("secret inside")
        shown = {"mode": "demo", "equity": Decimal("1000.50"), "next_scan_at": 1_700_000_000_000}
        return shown | {f"part_{number}": self._row() for number in range(self.figures)}

    def metrics(self) -> Mapping[str, object]:
        return {"total_trades": 3, "win_rate": 0.5, "latency": {"p95_ms": 12.0}, "note": "text"}

    def page(self) -> Mapping[str, object]:
        self.pushes += 1
        return {"number": self.pushes, "market_time_at": 1_700_000_000_000, "filler": self.filler}

    async def breakers(self, limit: int) -> Mapping[str, object]:
        self.asked.append(limit)
        return {"breakers": [], "history": [{"at": Ms(1_700_000_000_000)}] * min(limit, 2)}

    async def trades(self, limit: int) -> Sequence[Mapping[str, object]]:
        return [{"symbol": "BTC", "net_pnl": Decimal("1.5"), **self._row()}] * limit

    async def summary(self) -> Mapping[str, object]:
        self._ask()
        return {"symbols": [], "strategies": [], "course": {"points": []}}

    async def logs(self, limit: int, level: str) -> Mapping[str, object]:
        self.asked.append((limit, level))
        return {"lines": [], "note": ""}

    async def equity(self, since: Ms | None, limit: int) -> Mapping[str, object]:
        self.asked.append((since, limit))
        self._ask()
        return {"columns": ("ms", "equity", "peak"), "points": [(1, Decimal("1000"), Decimal(1))]}

    async def candles(
        self, symbol: Symbol, timeframe: Timeframe, limit: int
    ) -> Mapping[str, object] | None:
        self.asked.append((symbol, timeframe, limit))
        self._ask()
        if symbol != "BTC":
            return None
        return {"symbol": symbol, "bars": Plain([[1, 1.0, 2.0, 0.5, 1.5, 10.0]]), "trades": []}

    async def decisions(self, limit: int) -> Sequence[object]:
        self._ask()
        return [Plain({"id": f"BTC-20260101T0000-{n}", **self._row()}) for n in range(limit)]

    async def traces(self, limit: int) -> Sequence[Mapping[str, object]]:
        self._ask()
        return [{"trace_id": f"BTC-20260101T0000-{n}", **self._row()} for n in range(limit)]

    async def trace(self, trace_id: str) -> Mapping[str, object] | None:
        self.asked.append(trace_id)
        if self.hangs:
            await asyncio.Event().wait()
        return {"trace_id": trace_id} if trace_id == "BTC-20260101T0000-1" else None

    async def report(self, since: Ms | None, symbol: str | None) -> Mapping[str, object]:
        self._ask()
        return {"since": since, "symbol": symbol}

    async def funnel(self, since: Ms | None) -> Mapping[str, object]:
        self.asked.append(since)
        self._ask()
        return {"steps": []}

    def _row(self) -> dict[str, object]:
        return {f"figure_{number}": 1.5 for number in range(self.figures)}

    def _ask(self) -> None:
        if not self.database:
            raise TransientError("the database is away")

    async def halt(self, reason: str, by: str) -> Mapping[str, object]:
        self.asked.append((reason, by))
        return {"trading_state": "HALTED"}

    async def resume(self, by: str) -> Mapping[str, object]:
        self.asked.append(by)
        return {"trading_state": "ACTIVE"}

    async def close(self, symbol: str, by: str) -> Mapping[str, object] | Declined:
        self.asked.append((symbol, by))
        if symbol != "BTC":
            return Declined(404, "unknown_symbol", "the venue has no such coin")
        return {"ok": False, "results": [{"symbol": symbol, "state": "still_open"}]}

    async def close_all(self, by: str) -> Mapping[str, object]:
        self.asked.append(by)
        return {"ok": True, "results": []}

    async def approve(self, ident: str, by: str) -> Mapping[str, object] | Declined:
        return self._answer("approve", ident, by)

    async def reject(self, ident: str, by: str) -> Mapping[str, object] | Declined:
        return self._answer("reject", ident, by)

    def _answer(self, said: str, ident: str, by: str) -> Mapping[str, object] | Declined:
        self.asked.append((said, ident, by))
        if ident in self.used:
            return Declined(409, "already_answered", "an id is used once")
        self.used.append(ident)
        return {"id": ident, "said": said}


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


def client_of(
    daemon: FakeDaemon, options: WebOptions, *, controls: bool = True, at: str = "127.0.0.1:8000"
) -> httpx.AsyncClient:
    app = build_api(daemon, options, "0.1.0", daemon if controls else None)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{at}")


@pytest.fixture
async def client(daemon: FakeDaemon) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(daemon, WebOptions(TOKEN)) as asking:
        yield asking

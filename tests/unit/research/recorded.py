"""Small recorded worlds for the reports: written by the real store, in the road's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from pathlib import Path

import setup_database
from bot.adapters.store import EquityPoint, StoreOptions, open_store
from bot.app.world import world_name
from bot.domain.reasons import Check, CheckCode, Reason
from bot.domain.types import (
    ExitReason,
    Ms,
    Refused,
    Rejected,
    Side,
    Symbol,
    TraceId,
    Trade,
)
from bot.pipeline.decide import Verdict
from bot.ports import Changes, TraceRecord
from config.settings import Settings
from tests.unit.adapters.store.fakes import FakeClock
from tests.unit.config.given import settings

AT = 1_790_000_000_000
MINUTE = 60_000
MARK = "f" * 16
STRATEGIES = ("breakout.standard", "scalper.standard", "sma_trend.fast")


@dataclass
class World:
    """What is written into the database of a world."""

    folder: Path
    records: list[TraceRecord] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    state: Mapping[str, object] = field(default_factory=dict)
    equity: Sequence[EquityPoint] = ()
    server_url: str | None = None  # of PostgreSQL; without it a file in the world's folder

    @property
    def settings(self) -> Settings:
        flags = {"DATA_DIR": str(self.folder), "HTTP_PORT": "0"}
        if self.server_url is not None:
            flags["DATABASE_URL"] = self.server_url
        return settings(flags)

    @property
    def path(self) -> Path:
        return self.folder / world_name(self.settings) / "keel.db"

    def write(self) -> World:
        """Make the database through the store's own classes."""
        asyncio.run(self._write())
        return self

    async def _write(self) -> None:
        url = self.server_url or f"sqlite+aiosqlite:///{self.path}"
        with redirect_stdout(StringIO()):
            await asyncio.to_thread(setup_database.main, ["--database-url", url])
        options = StoreOptions(url, self.path.parent)
        store = await open_store(options, FakeClock())
        try:
            policies = {"strategies": list(STRATEGIES), "approval": {"min_tier": 3}}
            await store.journal.put_config(MARK, Ms(AT), {"policies": policies})
            for record in self.records:
                store.traces.put(record)
            await store.journal.record(Changes(trades=tuple(self.trades), state=self.state))
            for point in self.equity:
                await store.journal.record(Changes(equity=(point,)))
        finally:
            await store.close()


def record(
    number: int,
    stage: str,
    result: str,
    *,
    body: Mapping[str, object] | None = None,
    strategy: str | None = "scalper.standard",
    symbol: str = "BTC",
    score: float = 60.0,
    at: int | None = None,
    durations: Mapping[str, float] | None = None,
) -> TraceRecord:
    """One trace; a minute apart from its neighbours."""
    spoke = stage not in ("scan", "observe", "propose")
    seen = stage not in ("scan", "observe")
    times = durations or {"observe": 1.0, **({"propose": 2.0} if seen else {})}
    started = AT + number * MINUTE if at is None else at
    return TraceRecord(
        trace_id=TraceId(f"{symbol}-20260921T1320-{number}"),
        cycle=number,
        symbol=Symbol(symbol),
        bar_close=Ms(started - started % MINUTE),
        started_at=Ms(started),
        duration_ms=sum(times.values()),
        stage=stage,
        result=result,
        regime="ranging" if seen else None,
        strategy=strategy if spoke else None,
        side="LONG" if spoke else None,
        score=score if spoke else None,
        tier=3 if spoke else None,
        fingerprint=MARK,
        body={"durations_ms": dict(times), **(body or {})},
    )


def rejected(*checks: Check, preview: Refused | None = None) -> Mapping[str, object]:
    """The body of a trace that the approval gate stopped."""
    return {"approval": {"preview": preview, "verdict": Rejected(checks)}}


def refused(*checks: Check, view: Mapping[str, object] | None = None) -> Mapping[str, object]:
    """The body of a trace that the desk stopped."""
    look = {"view": dict(view or {}), "facts": {"trace_backlog": 7}}
    return {"desk": {"verdict": Verdict(checks, Reason.REFUSED), "look": look}}


def no(code: CheckCode, value: object = None, limit: object = None, unit: str = "") -> Check:
    """A check that failed."""
    return Check(code, False, value, limit, unit)  # type: ignore[arg-type]


def trade(number: int, net: str, strategy: str = "scalper.standard", symbol: str = "BTC") -> Trade:
    """A closed trade of the trace of that number."""
    return Trade(
        trace_id=TraceId(f"{symbol}-20260921T1320-{number}"),
        symbol=Symbol(symbol),
        side=Side.LONG,
        strategy=strategy,
        quantity=Decimal(1),
        entry_price=Decimal(100),
        exit_price=Decimal(101),
        opened_at=Ms(AT + number * MINUTE),
        closed_at=Ms(AT + number * MINUTE + 1),
        gross_pnl=Decimal(net),
        fees=Decimal(0),
        funding=Decimal(0),
        exit_reason=ExitReason.TARGET if Decimal(net) > 0 else ExitReason.STOP,
    )

"""What the API shows of the running daemon.

Owns the shape of /health, /status and /metrics; reads memory only, so an answer never waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

import structlog

from bot.app.breaker_view import breaker_metrics, breaker_status, breakers_now
from bot.app.curve import EquityCurve
from bot.app.health import DaemonHealth
from bot.app.keeping import Keeping
from bot.app.measured import Measured
from bot.app.model_view import model_metrics, models_now
from bot.app.page import PageFigures
from bot.app.parts import Parts
from bot.app.performance import figures_of
from bot.app.quarantine_view import not_in_step
from bot.app.recorded import RecordedTraces, candles_of, curve_of, trade_row
from bot.domain.errors import TransientError
from bot.domain.portfolio import to_micro_cents, unrealised
from bot.domain.sizing import exact
from bot.domain.types import (
    ZERO,
    Leg,
    Ms,
    Order,
    Position,
    Side,
    Symbol,
    Timeframe,
    TradingState,
)
from bot.pipeline.account_view import account_view
from bot.pipeline.facts import Fact
from bot.runtime.logs import error_count
from bot.runtime.resources import DiskMeter, ResourceMeter
from bot.runtime.supervisor import Condition, Supervisor
from bot.web.server import WebServer
from bot.web.view import Health, HealthState, Readiness

DAY_MS = 86_400_000
ROWS_WAIT_S = 0.5  # machine time; rows take milliseconds unless the database is away


log = structlog.get_logger(__name__)


class Phase(StrEnum):
    """Where the process is in its life."""

    STARTING = "starting"
    RECONCILING = "reconciling"
    RUNNING = "running"
    STOPPING = "stopping"


class DaemonView(RecordedTraces):
    """Implements `bot.web.StatusView` on the parts of the daemon."""

    def __init__(
        self,
        parts: Parts,
        supervisor: Supervisor,
        meter: ResourceMeter,
        warnings: Sequence[str],
        version: str,
    ) -> None:
        folder = parts.settings.general.data_dir
        super().__init__(parts.store, parts.world.source, parts.world.clock, folder)
        self._parts = parts
        self._supervisor = supervisor
        self._meter = meter
        self._warnings = list(warnings)
        self._version = version
        self._started = parts.world.clock.wall()
        self._curve = EquityCurve(parts.store)
        self._measured = Measured(parts)
        self._page = PageFigures(parts, supervisor, meter, self._measured, self._warnings)
        self.watched = DaemonHealth(parts, supervisor, DiskMeter(folder), meter)
        self._facts: Counter[str] = Counter()
        self._last_cycle: Mapping[str, object] = {}
        self._phase = Phase.STARTING
        self.web: WebServer | None = None
        self.keeping: Keeping | None = None
        parts.facts.listen(self._count)

    def warn(self, line: str) -> None:
        """Show `line` with the warnings of the start, until this process ends."""
        self._warnings.append(line)

    @property
    def phase(self) -> Phase:
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        self.watched.expect_cycles(phase is Phase.RUNNING)

    def _count(self, fact: Fact) -> None:
        self._facts[fact.name] += 1
        if fact.name == "cycle_done":
            self._last_cycle = fact.figures
        if fact.name in ("cycle_done", "trade_closed") and self.phase is Phase.RUNNING:
            books = self._parts.books
            self._curve.note(self._parts.world.clock.now(), books.equity(), books.safety.book.peak)

    # --- probes --------------------------------------------------------------------------

    def now(self) -> Ms:
        return self._parts.world.clock.now()

    def live(self) -> bool:
        return all(
            state.condition is not Condition.GIVEN_UP
            for state in self._supervisor.states().values()
            if state.critical
        )

    def ready(self) -> Readiness:
        ready = self.phase is Phase.RUNNING
        waiting = "" if ready else f"the daemon is {self.phase.value}"
        return Readiness(ready, self.phase.value, waiting)

    def health(self) -> Health:
        components = self.watched.components()
        worst = HealthState.OK
        for state in (HealthState.DEGRADED, HealthState.FAILING):
            if any(component.state is state for component in components):
                worst = state
        return Health(
            status=worst,
            components=components,
            uptime_s=round((self._parts.world.clock.wall() - self._started) / 1000, 1),
            version=self._version,
            mode=self._parts.settings.general.mode,
        )

    # --- status --------------------------------------------------------------------------

    def status(self) -> Mapping[str, object]:
        parts, books, safety = self._parts, self._parts.books, self._parts.books.safety
        now = parts.world.clock.now()
        worth = books.equity()
        return {
            "mode": parts.settings.general.mode,
            "profile": parts.settings.general.profile,
            "world": parts.world.name,
            "version": self._version,
            "fingerprint": parts.fingerprint,
            "phase": self.phase,
            "trading_state": safety.state,
            "trading_state_why": safety.why,
            "market_time_at": now,
            "speed": "max" if parts.world.lockstep is not None else parts.world.speed,
            "capital": account_view(books, now).capital,
            "baseline": books.ledger.baseline,
            "equity": worth,
            "drawdown_peak": safety.book.peak,
            "daily_pnl": self._daily_pnl(worth),
            "realised": books.ledger.realised,
            "fees": books.ledger.fees,
            "funding": books.ledger.funding,
            "positions": [self._position(p) for p in books.positions.values()],
            "open_orders": [
                {
                    "cloid": order.cloid,
                    "symbol": order.symbol,
                    "leg": order.leg,
                    "status": order.status,
                    "quantity": order.quantity,
                    "trigger": order.trigger,
                    "trace_id": order.trace_id,
                }
                for order in books.open_orders()
            ],
            **not_in_step(parts),
            **breaker_status(safety),
            "transfers_usd": parts.transfers.total,
            "approval_mode": parts.policies.approval.mode,
            "approvals": list(parts.approvals.waiting()),
            "closed_trades": books.closed_trades,
            "recent_trades": [trade_row(trade) for trade in list(books.trades)[-20:][::-1]],
            "universe": list(parts.scan.universe.symbols),
            "skipped": dict(parts.scan.universe.skipped),
            "next_scan_at": parts.scan.next_at,
            "cycles": parts.road.cycles,
            "last_cycle": dict(self._last_cycle),
            "services": list(self._supervisor.states().values()),
            "web": self.web.state() if self.web is not None else None,
            "backup": self.keeping.state() if self.keeping is not None else None,
            "models": models_now(parts.models, parts.council),
            "resources": self._meter.sample(),
            "queues": self._measured.queues(),
            "dependencies": self._measured.dependencies(),
            "latency": self._measured.latency(),
            "errors_logged": error_count(),
            "events": dict(self._facts),
            "warnings": list(self._warnings),
        }

    # --- the page ------------------------------------------------------------------------

    def page(self) -> Mapping[str, object]:
        books = self._parts.books
        return {
            **self._page.now(),
            "version": self._version,
            "phase": self.phase,
            "health": self.health(),
            "last_cycle": dict(self._last_cycle),
            "daily_pnl": self._daily_pnl(books.equity()),
            "positions": [self._position(p) for p in books.positions.values()],
            "approvals": list(self._parts.approvals.waiting()),
        }

    async def funnel(self, since: Ms | None) -> Mapping[str, object]:
        """What was won a moment ago is in: its row may still be on its way to the database."""
        try:
            async with asyncio.timeout(ROWS_WAIT_S):
                await self._parts.rows.drained()
        except TimeoutError:
            log.debug("funnel_before_the_last_rows")
        return await super().funnel(since)

    async def breakers(self, limit: int) -> Mapping[str, object]:
        safety = self._parts.books.safety
        try:
            return breakers_now(safety, await self.breaker_history(limit))
        except TransientError:
            return breakers_now(safety)

    async def trades(self, limit: int) -> Sequence[Mapping[str, object]]:
        return [trade_row(trade) for trade in list(self._parts.books.trades)[-limit:][::-1]]

    async def summary(self) -> Mapping[str, object]:
        return await self.standings(list(self._parts.books.trades))

    async def equity(self, since: Ms | None, limit: int) -> Mapping[str, object]:
        now = self._parts.world.clock.now()
        return curve_of(await self._curve.points(since or Ms(0), now, limit))

    async def candles(
        self, symbol: Symbol, timeframe: Timeframe, limit: int
    ) -> Mapping[str, object] | None:
        books = self._parts.books
        known = symbol in self._parts.scan.universe.symbols or symbol in books.positions
        if not known:
            return None
        bars = await self.bars(symbol, timeframe, limit)
        return candles_of(symbol, timeframe, bars, list(books.trades))

    def _position(self, position: Position) -> Mapping[str, object]:
        parts, symbol = self._parts, position.symbol
        stops = parts.books.resting_stops(symbol)
        market = parts.hyperliquid.feed.market(symbol)
        account = parts.reconcile.account
        there = account.positions.get(symbol) if account is not None else None
        mark = exact(market.mark) if market is not None else None
        gain = to_micro_cents(unrealised(position, mark)) if mark is not None else None
        return {
            "symbol": symbol,
            "side": position.side,
            "quantity": position.quantity,
            "entry_price": to_micro_cents(position.entry_price),
            "mark": mark,
            "stop": nearest(stops or parts.books.legs(symbol, Leg.STOP), position.side),
            "target": nearest(parts.books.legs(symbol, Leg.TARGET), position.side.opposite),
            "stop_rests": bool(stops),
            "liquidation_price": there.liquidation_price if there is not None else None,
            "unrealised_pnl": gain,
            "funding": position.funding,
            "fees": position.entry_fees + position.exit_fees,
            "opened_at": position.opened_at,
            "strategy": position.strategy,
            "trace_id": position.trace_id,
        }

    def _daily_pnl(self, worth: Decimal) -> Decimal:
        book = self._parts.books.safety.book
        return worth - book.day_base if book.day is not None else ZERO

    def metrics(self) -> Mapping[str, object]:
        books = self._parts.books
        trades = list(books.trades)
        now = self._parts.world.clock.now()
        recent = [trade for trade in trades if now - trade.closed_at <= DAY_MS]
        resources = self._meter.sample()
        return {
            **figures_of(trades, books.closed_trades),
            "net_pnl_usd": books.ledger.net,
            "equity_usd": books.equity(),
            "open_positions": len(books.positions),
            "trades_24h": len(recent),
            "pnl_24h_usd": to_micro_cents(sum((trade.net_pnl for trade in recent), ZERO)),
            "cycles": self._parts.road.cycles,
            "trading_active": self._parts.books.safety.state is TradingState.ACTIVE,
            **breaker_metrics(books.safety),
            **model_metrics(self._parts.models, self._parts.council),
            "symbols_blocked": len(self._parts.books.safety.blocked),
            "trace_backlog": self._parts.store.traces.backlog(),
            **self._measured.metrics(),
            "errors_logged": error_count(),
            "rss_mb": resources.rss_mb,
            "loop_lag_p99_ms": resources.loop_lag.p99_ms,
            "loop_lag_max_ms": resources.loop_lag.max_ms,
        }


def nearest(orders: Sequence[Order], side: Side) -> Decimal | None:
    """The trigger that a price moving against `side` meets first, as the venue has it.

    While a stop is moved two of them rest. None: there is no such order.
    """
    triggers = [order.trigger for order in orders if order.trigger is not None]
    if not triggers:
        return None
    return max(triggers) if side is Side.LONG else min(triggers)

"""What the page shows at once, from memory: asked once a second while somebody looks.

Owns the short form of /status with marks and what has changed; computes no figure of money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.app.breaker_view import recent
from bot.app.measured import Measured
from bot.app.model_view import models_line
from bot.app.parts import Parts
from bot.app.performance import figures_of
from bot.domain.types import Symbol
from bot.runtime.logs import error_count
from bot.runtime.resources import ResourceMeter
from bot.runtime.supervisor import Condition, Supervisor


class PageFigures:
    """Puts one push together; keeps what does not change every second."""

    def __init__(
        self,
        parts: Parts,
        supervisor: Supervisor,
        meter: ResourceMeter,
        measured: Measured,
        warnings: Sequence[str],
    ) -> None:
        self._parts = parts
        self._supervisor = supervisor
        self._meter = meter
        self._warnings = warnings  # may grow
        self._measured = measured
        self._figures: tuple[int, Mapping[str, object]] = (-1, {})

    def now(self) -> Mapping[str, object]:
        """Everything but phase, health and positions, which the view adds."""
        parts, books, safety = self._parts, self._parts.books, self._parts.books.safety
        now = parts.world.clock.now()
        return {
            "mode": parts.settings.general.mode,
            "profile": parts.settings.general.profile,
            "world": parts.world.name,
            "trading_state": safety.state,
            "trading_state_why": safety.why,
            "market_time_at": now,
            "speed": "max" if parts.world.lockstep is not None else parts.world.speed,
            "equity": books.equity(),
            "baseline": books.ledger.baseline,
            "net_pnl": books.ledger.net,
            "fees": books.ledger.fees,
            "funding": books.ledger.funding,
            "drawdown_peak": max(safety.book.peak, books.equity()),
            "breakers": list(safety.open_now()),
            "gauges": list(safety.gauges()),
            "breaker_events": recent(safety),
            "clock_in_doubt": safety.doubts_clock_since is not None,
            "blocked": dict(safety.blocked),
            "foreign_orders": parts.reconcile.foreign_orders,
            "next_scan_at": parts.scan.next_at,
            "cycles": parts.road.cycles,
            "models": models_line(parts.models),
            "not_running": self._not_running(),
            "trace_backlog": parts.store.traces.backlog(),
            "errors_logged": error_count(),
            "resources": self._meter.sample(),
            "queues": self._measured.queues(),
            "dependencies": self._measured.dependencies(),
            "warnings": list(self._warnings),
            "timeframes": list(parts.policies.timeframes),
            "marks": self._marks(),
            "versions": {"decisions": parts.store.traces.proposals, "trades": books.closed_trades},
            **self._trade_figures(),
        }

    def _not_running(self) -> list[object]:
        states = self._supervisor.states().values()
        return [state for state in states if state.condition is not Condition.RUNNING]

    def _marks(self) -> dict[Symbol, float]:
        feed = self._parts.hyperliquid.feed
        found = ((symbol, feed.market(symbol)) for symbol in self._parts.scan.universe.symbols)
        return {symbol: market.mark for symbol, market in found if market is not None}

    def _trade_figures(self) -> Mapping[str, object]:
        books = self._parts.books
        if self._figures[0] != books.closed_trades:
            self._figures = (
                books.closed_trades,
                figures_of(list(books.trades), books.closed_trades),
            )
        return self._figures[1]

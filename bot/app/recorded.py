"""What the API can say from the database alone: traces, funnel, last equity, closed trades.

Owns the reading side that the daemon and the stand-alone server share; knows no live part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.adapters.store import EquityPoint, Store
from bot.domain.errors import TransientError
from bot.domain.types import ZERO, Ms, TraceId, Trade
from bot.pipeline.funnel import ended, funnel
from bot.ports import Clock, TraceRecord
from bot.version import VERSION
from bot.web.view import Component, Health, HealthState, Readiness

REFRESH_S = 5.0
EVERY_TRADE = 1_000_000
SHOWN_TRADES = 20


class RecordedTraces:
    """Traces and the funnel, asked of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def traces(self, limit: int) -> Sequence[Mapping[str, object]]:
        return [_head(record) for record in await self._store.traces.recent(limit)]

    async def trace(self, trace_id: str) -> Mapping[str, object] | None:
        record = await self._store.traces.get(TraceId(trace_id))
        if record is None:
            return None
        orders = await self._store.journal.orders_of(record.trace_id)
        return {**_head(record), "orders": orders, "body": record.body}

    async def funnel(self, since: Ms | None) -> Mapping[str, object]:
        start = since if since is not None else Ms(0)
        counts = await self._store.traces.funnel(start)
        trades = await self._store.journal.trades(EVERY_TRADE)
        won = sum(trade.net_pnl > 0 and trade.opened_at >= start for trade in trades)
        return {"since_at": since, "steps": funnel(counts, won), "ended": ended(counts)}


class RecordedView(RecordedTraces):
    """`bot.web.StatusView` without a daemon: when it was last seen, and what it left."""

    def __init__(self, store: Store, mode: str, clock: Clock) -> None:
        super().__init__(store)
        self._mode = mode
        self._clock = clock
        self._started = clock.monotonic()
        self._trades: tuple[Trade, ...] = ()
        self._equity: EquityPoint | None = None
        self._state: Mapping[str, object] = {}
        self._error = "not read yet"

    async def run(self) -> None:
        """Service: read the database again every 5 s."""
        while True:
            try:
                recovered = await self._store.journal.recover()
                self._state = recovered.state
                self._trades = await self._store.journal.trades(EVERY_TRADE)
                points = await self._store.journal.equity_since(Ms(0))
                self._equity = points[-1] if points else None
                self._error = ""
            except TransientError as error:
                self._error = str(error)
            await self._clock.pause(REFRESH_S)

    def live(self) -> bool:
        return True

    def ready(self) -> Readiness:
        return Readiness(not self._error, "recorded", self._error)

    def health(self) -> Health:
        state = HealthState.FAILING if self._error else HealthState.OK
        return Health(
            status=state,
            components=(Component("database", state, self._error),),
            uptime_s=round(self._clock.monotonic() - self._started, 1),
            version=VERSION,
            mode=self._mode,
        )

    def status(self) -> Mapping[str, object]:
        point = self._equity
        return {
            "mode": self._mode,
            "phase": "recorded",
            "note": "read from the database; the daemon itself is not asked",
            "daemon_last_seen_at": point.at if point is not None else None,
            "equity": point.equity if point is not None else None,
            "trading_state": self._state.get("trading"),
            "closed_trades": len(self._trades),
            "recent_trades": [trade_row(trade) for trade in self._trades[-SHOWN_TRADES:][::-1]],
        }

    def metrics(self) -> Mapping[str, object]:
        return figures_of(self._trades, len(self._trades))


def trade_row(trade: Trade) -> Mapping[str, object]:
    """A closed trade as the API shows it."""
    return {
        "trace_id": trade.trace_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "strategy": trade.strategy,
        "opened_at": trade.opened_at,
        "closed_at": trade.closed_at,
        "entry_price": trade.entry_price,
        "exit_price": trade.exit_price,
        "quantity": trade.quantity,
        "gross_pnl": trade.gross_pnl,
        "fees": trade.fees,
        "funding": trade.funding,
        "net_pnl": trade.net_pnl,
        "exit_reason": trade.exit_reason,
    }


def figures_of(trades: Sequence[Trade], total: int) -> dict[str, object]:
    """Win rate and average over `trades`; `total` is of all closed ones."""
    won = sum(trade.net_pnl > 0 for trade in trades)
    net = sum((trade.net_pnl for trade in trades), ZERO)
    return {
        "total_trades": total,
        "trades_counted": len(trades),
        "win_rate": round(100 * won / len(trades), 1) if trades else None,
        "average_pnl_usd": net / len(trades) if trades else None,
    }


def _head(record: TraceRecord) -> Mapping[str, object]:
    return {
        "id": record.trace_id,
        "cycle": record.cycle,
        "symbol": record.symbol,
        "bar_close_at": record.bar_close,
        "started_at": record.started_at,
        "duration_ms": record.duration_ms,
        "stage": record.stage,
        "result": record.result,
        "regime": record.regime,
        "strategy": record.strategy,
        "side": record.side,
        "score": record.score,
        "tier": record.tier,
        "fingerprint": record.fingerprint,
    }

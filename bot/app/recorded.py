"""What the API can say from the database alone: traces, funnel, last equity, closed trades.

Owns the reading side that the daemon and the stand-alone server share; knows no live part.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bot.adapters.store import Archived, EquityPoint, Store
from bot.adapters.store.rows import ReadRow
from bot.adapters.store.trace_rows import record_of
from bot.app.breaker_view import event_row
from bot.app.curve import EquityCurve, Point
from bot.app.decisions import digest
from bot.app.performance import course_of, figures_of, standings_of
from bot.domain.breakers import BreakerEvent
from bot.domain.errors import TransientError
from bot.domain.portfolio import to_micro_cents
from bot.domain.types import Bars, Ms, Order, Symbol, Timeframe, TraceId, Trade
from bot.pipeline.funnel import ended, funnel
from bot.ports import Clock, TraceRecord
from bot.runtime.log_tail import tail
from bot.runtime.logs import FILE_NAME
from bot.version import VERSION
from bot.web.encode import Plain, Written, write
from bot.web.view import Component, Health, HealthState, Readiness

if TYPE_CHECKING:
    from bot.adapters.store.place import Place
    from bot.app.reports import ReportView

REFRESH_S = 5.0
COUNTED_TRADES = 1_000  # over which the stand-alone server gives its figures
SHOWN_TRADES = 20
KEPT_DIGESTS = 100  # as many as can be asked for at once; 1 to 4 kB each
YIELD_EVERY = 5  # bodies opened between two turns of the loop
HEADS_A_TURN = 100
# What a list of traces shows of each, in this order; times end in `_at` outside.
_HEAD = (
    "id",
    "cycle",
    "symbol",
    "bar_close",
    "started_at",
    "duration_ms",
    "stage",
    "result",
    "regime",
    "strategy",
    "side",
    "score",
    "tier",
    "fingerprint",
)
_SHOWN = {"bar_close": "bar_close_at"}
BAR_COLUMNS = ("ms", "open", "high", "low", "close", "volume")


class RecordedTraces:
    """Traces, decisions, funnel and candles, asked of the store; the newest come first."""

    def __init__(self, store: Store, source: str, clock: Clock, log_folder: Path) -> None:
        """`source`: the name under which this world's candles are stored."""
        self._store = store
        self._log_folder = log_folder
        self._report_clock = clock
        self._reports: ReportView | None = None
        self._source = source
        self._digests: OrderedDict[tuple[str, str, str, float], Written] = OrderedDict()

    async def traces(self, limit: int) -> Sequence[Mapping[str, object]]:
        found: list[Mapping[str, object]] = []
        for number, row in enumerate(await self._store.traces.heads(limit)):
            if number % HEADS_A_TURN == 0:
                await asyncio.sleep(0)
            found.append({_SHOWN.get(name, name): row[name] for name in _HEAD})
        return found

    async def report(self, since: Ms | None, symbol: str | None) -> Mapping[str, object]:
        """The trace report; what computes it is imported in a thread, and only when asked for."""
        if self._reports is None:
            place, clock = self._store.place, self._report_clock
            self._reports = await asyncio.to_thread(_report_view, place, clock)
        return await self._reports.traces_report(since, symbol)

    async def trace(self, trace_id: str) -> Mapping[str, object] | None:
        record = await self._store.traces.get(TraceId(trace_id))
        if record is None:
            gone = await self._store.archive.find(TraceId(trace_id))
            return archived_row(trace_id, gone) if gone is not None else None
        orders = await self._store.journal.orders_of(record.trace_id)
        return {**_head(record), "orders": [_shown(order) for order in orders], "body": record.body}

    async def decisions(self, limit: int) -> Sequence[Written]:
        found = []
        for number, row in enumerate(await self._store.traces.proposed(limit)):
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            found.append(self._digest(row))
        return found

    def _digest(self, row: ReadRow) -> Written:
        """Opened once; a road that went further is another row and is opened again."""
        key = (row["id"], row["stage"], row["result"], row["duration_ms"])
        known = self._digests.get(key)
        if known is None:
            known = self._digests[key] = Written(write(Plain(digest(record_of(row)))))
            if len(self._digests) > KEPT_DIGESTS:
                self._digests.popitem(last=False)
        return known

    async def funnel(self, since: Ms | None) -> Mapping[str, object]:
        start = since if since is not None else Ms(0)
        counts = await self._store.traces.funnel(start)
        won = await self._store.browse.won(start)
        return {"since_at": since, "steps": funnel(counts, won), "ended": ended(counts)}

    async def logs(self, limit: int, level: str) -> Mapping[str, object]:
        """The newest lines of keel.log; read in a thread."""
        lines = await asyncio.to_thread(tail, self._log_folder, limit, level)
        return {"lines": lines, "note": f"{FILE_NAME} in DATA_DIR, stamps in UTC of the machine"}

    async def standings(self, trades: Sequence[Trade]) -> Mapping[str, object]:
        """Who earned what, of all closed trades; the course is that of `trades`, oldest first."""
        symbols, strategies = await self._store.browse.earned()
        return {
            "symbols": standings_of(symbols),
            "strategies": standings_of(strategies),
            "course": course_of(trades),
        }

    async def breaker_history(self, limit: int) -> tuple[BreakerEvent, ...]:
        """The newest openings. Raises TransientError."""
        return await self._store.journal.breaker_events(Ms(0), limit)

    async def bars(self, symbol: Symbol, timeframe: Timeframe, limit: int) -> Bars:
        return await self._store.browse.latest_bars(self._source, symbol, timeframe, limit)


class RecordedView(RecordedTraces):
    """`bot.web.StatusView` without a daemon: when it was last seen, and what it left."""

    def __init__(
        self, store: Store, source: str, mode: str, clock: Clock, log_folder: Path
    ) -> None:
        super().__init__(store, source, clock, log_folder)
        self._curve = EquityCurve(store)
        self._mode = mode
        self._clock = clock
        self._started = clock.monotonic()
        self._trades: tuple[Trade, ...] = ()
        self._closed = 0
        self._equity: EquityPoint | None = None
        self._state: Mapping[str, object] = {}
        self._error = "not read yet"

    async def run(self) -> None:
        """Service: read the database again every 5 s."""
        while True:
            try:
                recovered = await self._store.journal.recover()
                self._state = recovered.state
                self._closed = recovered.closed_trades
                self._trades = await self._store.journal.trades(COUNTED_TRADES)
                self._equity = await self._store.browse.last_equity()
                self._error = ""
            except TransientError as error:
                self._error = str(error)
            await self._clock.pause(REFRESH_S)

    def now(self) -> Ms:
        return self._equity.at if self._equity is not None else Ms(0)

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
            "closed_trades": self._closed,
            "recent_trades": [trade_row(trade) for trade in self._trades[-SHOWN_TRADES:][::-1]],
        }

    def page(self) -> Mapping[str, object]:
        point = self._equity
        return {
            **self.status(),
            "recent_trades": None,
            "version": VERSION,
            "health": self.health(),
            "market_time_at": point.at if point is not None else None,
            "drawdown_peak": point.peak if point is not None else None,
            "positions": [],
            "symbols": sorted({trade.symbol for trade in self._trades}),
            "versions": {"decisions": point.at if point else 0, "trades": self._closed},
            **figures_of(self._trades, self._closed),
        }

    def metrics(self) -> Mapping[str, object]:
        return figures_of(self._trades, self._closed)

    async def breakers(self, limit: int) -> Mapping[str, object]:
        book = self._state.get("breakers")
        return {
            "trading_state": self._state.get("trading"),
            "open": book.get("open") if isinstance(book, Mapping) else [],
            "history": [event_row(event) for event in await self.breaker_history(limit)],
        }

    async def trades(self, limit: int) -> Sequence[Mapping[str, object]]:
        return [trade_row(trade) for trade in self._trades[-limit:][::-1]]

    async def summary(self) -> Mapping[str, object]:
        return await self.standings(self._trades)

    async def equity(self, since: Ms | None, limit: int) -> Mapping[str, object]:
        return curve_of(await self._curve.points(since or Ms(0), self.now(), limit))

    async def candles(
        self, symbol: Symbol, timeframe: Timeframe, limit: int
    ) -> Mapping[str, object] | None:
        bars = await self.bars(symbol, timeframe, limit)
        if not len(bars):
            return None
        return candles_of(symbol, timeframe, bars, self._trades)


def archived_row(trace_id: str, gone: Archived) -> Mapping[str, object]:
    """What the API says of a trace that is no longer in the database."""
    return {
        "id": trace_id,
        "archived": True,
        "file": f"archive/{gone.file}",
        "note": "older than TRACES_KEPT_DAYS: moved to this file of the world's folder",
    }


def trade_row(trade: Trade) -> Mapping[str, object]:
    """A closed trade as the API shows it."""
    return {
        "trace_id": trade.trace_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "strategy": trade.strategy,
        "opened_at": trade.opened_at,
        "closed_at": trade.closed_at,
        "entry_price": to_micro_cents(trade.entry_price),
        "exit_price": to_micro_cents(trade.exit_price),
        "quantity": trade.quantity,
        "gross_pnl": to_micro_cents(trade.gross_pnl),
        "fees": trade.fees,
        "funding": trade.funding,
        "net_pnl": to_micro_cents(trade.net_pnl),
        "exit_reason": trade.exit_reason,
    }


def _shown(order: Order) -> Order:
    average = order.average_price
    return order if average is None else replace(order, average_price=to_micro_cents(average))


def curve_of(points: Sequence[Point]) -> Mapping[str, object]:
    """Points as /equity gives them; times in ms."""
    return {
        "columns": ("ms", "equity", "peak"),
        "points": Plain(
            [[int(at), format(worth, "f"), format(peak, "f")] for at, worth, peak in points]
        ),
    }


def candles_of(
    symbol: Symbol, timeframe: Timeframe, bars: Bars, trades: Sequence[Trade]
) -> dict[str, object]:
    """Bars as /candles gives them, and the trades of the symbol that touch them."""
    first = int(bars.ts[0]) if len(bars) else 0
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return {
        "symbol": symbol,
        "timeframe": timeframe,
        "columns": BAR_COLUMNS,
        "bars": Plain([list(row) for row in zip(*(column.tolist() for column in columns))]),
        "trades": [
            trade_row(trade)
            for trade in trades
            if trade.symbol == symbol and trade.closed_at >= first
        ],
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


def _report_view(place: Place, clock: Clock) -> ReportView:
    from bot.app.reports import ReportView  # the research corner stays out of the start

    return ReportView(place, clock)

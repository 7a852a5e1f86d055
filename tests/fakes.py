"""Small fakes of the ports: a feed, memory for rows, traces and candles, a seat.

Each does what the port promises and nothing more; what goes wrong is set by the test. Knows
no stage of the road.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from bot.domain.breakers import BreakerEvent
from bot.domain.errors import TransientError
from bot.domain.instrument import Instrument
from bot.domain.types import (
    ZERO,
    Abstention,
    Action,
    Bars,
    Cloid,
    Fill,
    Funding,
    Market,
    Ms,
    Opinion,
    Order,
    Position,
    Question,
    Symbol,
    Timeframe,
    TraceId,
    Trade,
)
from bot.ports import Changes, Recovered, Told, TraceRecord, untold

Row = tuple[int, float, float, float, float, float]


def instrument(symbol: str, size_decimals: int = 3) -> Instrument:
    return Instrument(Symbol(symbol), symbol, 0, size_decimals, 20, ())


class FakeFeed:
    """Bars and prices as the test puts them there."""

    def __init__(self) -> None:
        self.rules: dict[Symbol, Instrument] = {}
        self.prices: dict[Symbol, Market] = {}
        self.windows: dict[tuple[Symbol, Timeframe], Bars] = {}
        self.ages: dict[Symbol, float] = {}
        self.gates: dict[Symbol, asyncio.Event] = {}
        self.watched: list[tuple[Symbol, ...]] = []
        self.focused: list[tuple[Symbol, ...]] = []
        self.away = False
        self._listeners: list[Callable[[Market], None]] = []

    async def instruments(self) -> Mapping[Symbol, Instrument]:
        self._refuse_when_away()
        return dict(self.rules)

    async def markets(self) -> Mapping[Symbol, Market]:
        self._refuse_when_away()
        return dict(self.prices)

    async def watch(self, symbols: Sequence[Symbol], timeframes: Sequence[Timeframe]) -> None:
        self.watched.append(tuple(symbols))

    async def focus(self, symbols: Sequence[Symbol]) -> None:
        self.focused.append(tuple(symbols))

    async def bars(self, symbol: Symbol, timeframe: Timeframe, limit: int) -> Bars:
        if symbol in self.gates:
            await self.gates[symbol].wait()
        self._refuse_when_away()
        return self.windows.get((symbol, timeframe), Bars.empty())[-limit:]

    def market(self, symbol: Symbol) -> Market | None:
        return self.prices.get(symbol)

    def confirmed_age_s(self, symbol: Symbol) -> float:
        return self.ages.get(symbol, 0.0)

    def on_price(self, listener: Callable[[Market], None]) -> None:
        self._listeners.append(listener)

    def price(self, symbol: Symbol, mark: float, at: Ms, spread: float = 1e-4) -> Market:
        """Set a price and tell every listener."""
        market = Market(
            symbol, mark, mark, mark * (1 - spread), mark * (1 + spread), 0.0, 1.0, 1e8, mark, at
        )
        self.prices[symbol] = market
        for listener in self._listeners:
            listener(market)
        return market

    def _refuse_when_away(self) -> None:
        if self.away:
            raise TransientError("the feed is away")


class MemoryJournal:
    """Money rows as the list of `Changes` written, and what a start makes of them."""

    def __init__(self) -> None:
        self.written: list[Changes] = []
        self.away = False
        self.attempts = 0
        self.dies_after: int | None = None  # rows; the next one is never answered
        self.died = asyncio.Event()

    async def record(self, changes: Changes) -> None:
        self.attempts += 1
        if self.away:
            raise TransientError("the database is away")
        if self.dies_after is not None and len(self.written) >= self.dies_after:
            self.died.set()
            await asyncio.Event().wait()
        self.written.append(changes)

    async def recover(self) -> Recovered:
        tables = Tables(self.written)
        fills = sorted(tables.fills.values(), key=lambda fill: (fill.at, fill.fill_id))
        return Recovered(
            open_orders=tuple(o for o in tables.orders.values() if not o.status.terminal),
            positions=tuple(tables.positions.values()),
            state=tables.state,
            fills=tuple(fills),
            last_fill_at=max((fill.at for fill in fills), default=Ms(0)),
            last_funding_at=max((f.at for f in tables.funding.values()), default=Ms(0)),
            realised=sum((fill.closed_pnl for fill in fills), ZERO),
            fees=sum((fill.fee for fill in fills), ZERO),
            funding=sum((f.usd for f in tables.funding.values()), ZERO),
            closed_trades=len(tables.trades),
            recent_trades=tuple(tables.trades.values()),
            breaker_events=tuple(tables.events.values()),
        )

    async def orders_of(self, trace_id: TraceId) -> tuple[Order, ...]:
        return tuple(o for o in Tables(self.written).orders.values() if o.trace_id == trace_id)


class Tables:
    """What the tables hold after these changes, by the rules of `Changes`."""

    def __init__(self, written: Iterable[Changes]) -> None:
        self.orders: dict[Cloid, Order] = {}
        self.fills: dict[tuple[Symbol, Ms, int], Fill] = {}
        self.funding: dict[tuple[Symbol, Ms], Funding] = {}
        self.positions: dict[Symbol, Position] = {}
        self.trades: dict[tuple[TraceId, Ms], Trade] = {}
        self.state: dict[str, object] = {}
        self.events: dict[tuple[str, Ms], BreakerEvent] = {}
        for changes in written:
            self.orders.update({order.cloid: order for order in changes.orders})
            for fill in changes.fills:
                self.fills.setdefault((fill.symbol, fill.at, fill.fill_id), fill)
            for funding in changes.funding:
                self.funding.setdefault((funding.symbol, funding.at), funding)
            self.positions.update({p.symbol: p for p in changes.positions})
            for symbol in changes.flat:
                self.positions.pop(symbol, None)
            self.trades.update({(each.trace_id, each.opened_at): each for each in changes.trades})
            self.state.update(changes.state or {})
            self.events.update({(e.event_type, e.at): e for e in changes.breaker_events})


class MemoryTraces:
    """Traces by id; the last record of an id stands."""

    def __init__(self) -> None:
        self.records: dict[TraceId, TraceRecord] = {}
        self.put_in_order: list[TraceRecord] = []
        self.away = False

    def put(self, record: TraceRecord) -> None:
        self.records[record.trace_id] = record
        self.put_in_order.append(record)

    async def get(self, trace_id: TraceId) -> TraceRecord | None:
        return self.records.get(trace_id)

    async def recent(self, limit: int) -> tuple[TraceRecord, ...]:
        return tuple(reversed(self.records.values()))[:limit]

    async def last_number(self, symbol: Symbol, bar_close: Ms) -> int:
        if self.away:
            raise TransientError("the database is away")
        return max(
            (
                int(record.trace_id.rsplit("-", 1)[1])
                for record in self.records.values()
                if (record.symbol, record.bar_close) == (symbol, bar_close)
            ),
            default=0,
        )

    async def funnel(self, since: Ms) -> Mapping[tuple[str, str], int]:
        counts: dict[tuple[str, str], int] = {}
        for record in self.records.values():
            if record.started_at >= since:
                key = (record.stage, record.result)
                counts[key] = counts.get(key, 0) + 1
        return counts


class MemoryCandles:
    """Closed candles by (source, symbol, timeframe)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Symbol, Timeframe], dict[int, Row]] = {}
        self.put_rows = 0
        self.puts = 0
        self.away = False

    async def put(self, source: str, *seen: tuple[Symbol, Timeframe, Bars]) -> None:
        if self.away:
            raise TransientError("the database is away")
        self.puts += 1
        for symbol, timeframe, bars in seen:
            self.put_rows += len(bars)
            kept = self.rows.setdefault((source, symbol, timeframe), {})
            columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
            for index, ts in enumerate(bars.ts):
                o, h, low, c, v = (float(column[index]) for column in columns)
                kept[int(ts)] = (int(ts), o, h, low, c, v)

    async def window(
        self, source: str, symbol: Symbol, timeframe: Timeframe, first: Ms, last: Ms
    ) -> Bars:
        kept = self.rows.get((source, symbol, timeframe), {})
        return Bars.of([kept[ts] for ts in sorted(kept) if first <= ts <= last])


@dataclass
class FakeSeat:
    """A seat that says what it is told to: an action, nothing, an error, or never."""

    name: str = "rules"
    action: Action | None = None  # None: the side of the signal
    confidence: float = 0.9
    abstains: str = ""
    error: Exception | None = None
    gate: asyncio.Event | None = None
    questions: list[Question] = field(default_factory=list)
    identity: str = ""
    cost: Decimal = ZERO
    able: bool = True

    def cost_of(self, question: Question) -> Decimal:
        return self.cost

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        self.questions.append(question)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.abstains:
            return Abstention(self.name, self.abstains, "as told")
        action = self.action or Action(question.signal.side.value)
        return Opinion(self.name, action, self.confidence, True, "as told")

"""Protocols between the road and the world; adapters implement them, app wires them.

Owns the words in which the pipeline asks for things; knows no adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from bot.domain.answer import Answer, Card, Denied
from bot.domain.breakers import BreakerEvent
from bot.domain.instrument import Instrument
from bot.domain.types import (
    Abstention,
    Account,
    Attempt,
    Bars,
    Cleared,
    Cloid,
    Fill,
    Funding,
    LegAck,
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
    Transfer,
    VenueEvent,
    VenueOrder,
)


class Clock(Protocol):
    """Three times (spec: market, machine, signing). Only `runtime.clock` reads a real clock.

    Rule: whoever does work for the road holds `busy()` around it and never sleeps inside
    except through this clock (which lets go of the hold while it sleeps).
    """

    def now(self) -> Ms:
        """Market time: scaled in demo, manual in backtest and lockstep."""
        ...

    async def sleep_until(self, at: Ms) -> None:
        """Sleep until market time `at`; no longer where the clock is set back: look again."""
        ...

    def monotonic(self) -> float:
        """Machine time in seconds; in lockstep it is market time in seconds."""
        ...

    async def pause(self, seconds: float) -> None:
        """Sleep `seconds` of machine time; in lockstep a deadline of market time."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds` of machine time; whether it was set."""
        ...

    def wall(self) -> int:
        """Signing time: wall clock in ms, never scaled. For nonces and expiry only."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """Hold the clock: in lockstep market time stands still while work is held."""
        ...


class Feed(Protocol):
    """Market data of one venue. Gives only bars closed by `clock.now()`."""

    async def instruments(self) -> Mapping[Symbol, Instrument]:
        """The venue's trading rules by symbol, delisted ones marked."""
        ...

    async def markets(self) -> Mapping[Symbol, Market]:
        """All coins at once, by one request (for the universe)."""
        ...

    async def watch(self, symbols: Sequence[Symbol], timeframes: Sequence[Timeframe]) -> None:
        """Subscribe candles and prices of `symbols`; replaces the earlier list."""
        ...

    async def focus(self, symbols: Sequence[Symbol]) -> None:
        """Follow the top of the book of these watched symbols; replaces the earlier list."""
        ...

    async def bars(self, symbol: Symbol, timeframe: Timeframe, limit: int) -> Bars:
        """The last `limit` closed bars, oldest first, gaps filled by REST.

        Raises TransientError when they cannot be had.
        """
        ...

    def market(self, symbol: Symbol) -> Market | None:
        """The latest prices of a watched symbol; None before the first frame."""
        ...

    def confirmed_age_s(self, symbol: Symbol) -> float:
        """Machine seconds since this price was last known to be current.

        The socket lives and the subscription is acknowledged: 0, however quiet the coin.
        """
        ...

    def on_price(self, listener: Callable[[Market], None]) -> None:
        """Call `listener` synchronously with each new price of a watched symbol."""
        ...


class Venue(Protocol):
    """Orders and account of one venue. Errors: see bot.domain.errors."""

    async def account(self) -> Account:
        """Balance, positions and open orders of one moment."""
        ...

    async def order_status(self, symbol: Symbol, cloid: Cloid) -> VenueOrder | None:
        """What became of an order; None: the venue does not know it."""
        ...

    async def fills_since(self, at: Ms) -> tuple[Fill, ...]:
        """Own fills from `at` on, oldest first, without duplicates."""
        ...

    async def funding_since(self, at: Ms) -> tuple[Funding, ...]:
        """Own funding payments from `at` on, oldest first."""
        ...

    async def transfers_since(self, at: Ms) -> tuple[Transfer, ...]:
        """Collateral moved in or out from `at` on, oldest first, by no trade of ours."""
        ...

    async def submit(self, cleared: Cleared) -> tuple[LegAck, ...]:
        """Send an intent: the entry with its stop and target in one request, or one order.

        Raises VenueRejected (nothing exists), TransientError (never left this machine),
        AmbiguousOutcome (no answer; the order may exist).
        """
        ...

    async def cancel(self, symbol: Symbol, cloid: Cloid) -> bool:
        """Cancel by client id; True also when it was already gone. Errors as in `submit`."""
        ...

    async def set_leverage(self, symbol: Symbol, leverage: int) -> None:
        """Make isolated leverage stand, whoever set what before; flat. Errors as in `submit`."""
        ...

    def events(self) -> AsyncIterator[VenueEvent]:
        """The account's stream; never ends. `Reconnected` after each gap."""
        ...

    def healthy(self) -> bool:
        """Whether stream and requests work now."""
        ...

    async def clock_skew_ms(self) -> int:
        """Venue time minus our market time, half the round trip taken out."""
        ...


Told = Callable[[Attempt], None]


def untold(attempt: Attempt) -> None:
    """For who does not ask what asking comes to."""


class Seat(Protocol):
    """One voice of the council."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str:
        """Everything but the messages that shapes an answer: endpoint, model, parameters, the
        way the schema is asked for. A part of the key of stored answers; empty: never stored."""

    @property
    def able(self) -> bool:
        """Whether asking it now may bring an answer: no breaker of it is open."""

    def cost_of(self, question: Question) -> Decimal:
        """What one answer costs at most, in USD, by today's prices; asks nobody."""

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        """Answer one question; every failure is an Abstention, never an exception.

        `tell` hears of each attempt before it leaves, at its reserve, and again when it ended:
        whoever stops waiting knows what stands.

        An Opinion of a model is `bot.domain.evidence.hear` of its text. The caller goes on
        without the answer at its own deadline and may cancel it some time later.
        """


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One model's text, under the hash of all that shaped it; also the record for audits."""

    key: str  # hex SHA-256
    seat: str
    identity: str
    version: str  # of the prompt
    text: str
    at: Ms  # market time
    expires_at: Ms  # the next candle close, or 300 s after `at`, whichever is sooner


class AnswerStore(Protocol):
    """Answers of models, kept by content."""

    async def get(self, key: str) -> StoredAnswer | None:
        """The newest answer under this key, expired or not. Raises TransientError."""
        ...

    def put(self, answer: StoredAnswer) -> None:
        """Keep an answer; never waits, never raises for a slow database."""
        ...


class Approver(Protocol):
    """Decides what waits for a person; every channel (the API, a messenger's buttons) speaks it.

    An id is a nonce: it is answered once, and stands for exactly what its card showed.
    """

    def waiting(self) -> tuple[Card, ...]:
        """What a person may decide now, oldest first."""
        ...

    def approve(self, ident: str, by: str) -> Answer | Denied:
        """Say yes; the desk then looks again at price and gates. `by`: who, for the audit."""
        ...

    def reject(self, ident: str, by: str) -> Answer | Denied:
        """Say no."""
        ...


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """Account equity at one moment; `peak` is the ledgered one, transfers taken out."""

    at: Ms
    equity: Decimal
    cash: Decimal
    unrealised: Decimal
    peak: Decimal


@dataclass(frozen=True, slots=True)
class Changes:
    """Money rows that belong together: written in one transaction, or not at all.

    Orders are upserted by cloid, fills and funding inserted once (their keys decide),
    positions and trades upserted by their keys, positions deleted for `flat`, `state`
    upserted by key (JSON-able values: guards, trading state, counters), breaker events by
    opening (a closed one is written again), points of the equity curve by their moment.
    """

    orders: tuple[Order, ...] = ()
    fills: tuple[Fill, ...] = ()
    funding: tuple[Funding, ...] = ()
    positions: tuple[Position, ...] = ()
    flat: tuple[Symbol, ...] = ()
    trades: tuple[Trade, ...] = ()
    state: Mapping[str, object] | None = None
    breaker_events: tuple[BreakerEvent, ...] = ()
    equity: tuple[EquityPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the money tables hold at start-up."""

    open_orders: tuple[Order, ...]  # every order in no terminal state
    positions: tuple[Position, ...]
    state: Mapping[str, object]
    fills: tuple[Fill, ...]  # all of ours not older than the oldest open position, and the last 500
    last_fill_at: Ms
    last_funding_at: Ms
    realised: Decimal  # sum of closed_pnl over all fills, gross
    fees: Decimal
    funding: Decimal
    closed_trades: int
    recent_trades: tuple[Trade, ...]  # the last 100, oldest first
    breaker_events: tuple[BreakerEvent, ...] = ()  # the last 50 openings, oldest first


class Journal(Protocol):
    """Money rows, written ahead of the action. Returns when the rows are durable.

    Raises TransientError when they could not be written.
    """

    async def record(self, changes: Changes) -> None: ...

    async def recover(self) -> Recovered: ...

    async def orders_of(self, trace_id: TraceId) -> tuple[Order, ...]: ...


class MoneySpool(Protocol):
    """Takes money rows in their order while the database is away, and gives them back once."""

    @property
    def pending(self) -> int:
        """Rows that wait for the database."""
        ...

    def append(self, changes: Changes) -> None:
        """Take rows at once; they survive the process, and after `sync` the machine.

        Raises TransientError when they cannot be kept, InvariantBroken when no table takes them.
        """
        ...

    async def sync(self) -> None:
        """Return when all that was appended is on the disk. Raises TransientError."""
        ...

    async def catch_up(self) -> None:
        """Write all that waits, in order and once; with nothing waiting, prove that one can.

        Raises TransientError while the database is away.
        """
        ...


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One decision as it will be replayed: scalars, window bounds and hashes, no candles.

    `body` is JSON-able and canonical (see bot.pipeline.trace); the other fields are columns
    to ask by. Written again under the same id when the road went further.
    """

    trace_id: TraceId
    cycle: int
    symbol: Symbol
    bar_close: Ms
    started_at: Ms
    duration_ms: float
    stage: str  # where the road ended (Stage)
    result: str  # why (Reason)
    regime: str | None
    strategy: str | None
    side: str | None
    score: float | None
    tier: int | None
    fingerprint: str  # of the configuration
    body: Mapping[str, object]


class TraceStore(Protocol):
    """Trace rows, written behind the action in batches by one task with a bounded queue."""

    def put(self, record: TraceRecord) -> None:
        """Queue a record; never waits, never raises for a slow database."""
        ...

    async def get(self, trace_id: TraceId) -> TraceRecord | None: ...

    async def recent(self, limit: int) -> tuple[TraceRecord, ...]:
        """Newest first."""
        ...

    async def last_number(self, symbol: Symbol, bar_close: Ms) -> int:
        """Highest n stored for this symbol and bar; 0 when none is."""
        ...

    async def funnel(self, since: Ms) -> Mapping[tuple[str, str], int]:
        """How many traces ended at each (stage, result) since then."""
        ...


class CandleStore(Protocol):
    """Closed candles, stored once: warm start, outcomes, replay and backtest read them."""

    async def put(self, source: str, *seen: tuple[Symbol, Timeframe, Bars]) -> None: ...

    async def window(
        self, source: str, symbol: Symbol, timeframe: Timeframe, first: Ms, last: Ms
    ) -> Bars:
        """Bars whose open time lies in [first, last]; what is missing is just not there."""
        ...

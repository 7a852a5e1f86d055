"""What stops entries: the trading state, the breakers, and symbols that are blocked.

Owns when Keel may open; exits never ask here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal

import structlog

from bot.domain.breakers import (
    ENTRIES_STOPPED,
    BreakerBook,
    BreakerCode,
    BreakerEvent,
    BreakerLimits,
    Gauge,
    Observed,
    OpenBreaker,
    Readings,
    TrustedTime,
    begun,
    book_from_mapping,
    book_to_mapping,
    gauges,
    observe_equity,
    observe_trade,
    observe_world,
    open_breakers,
    reset,
    sweep,
    transferred,
)
from bot.domain.orders import is_ours
from bot.domain.trading_state import lets_open, tightened
from bot.domain.types import ExitReason, Fill, Ms, Order, Position, Symbol, Trade, TradingState
from bot.pipeline.blocks import BlockKind, Blocks
from bot.pipeline.facts import Facts
from bot.pipeline.rows import Rows
from bot.ports import Changes, Clock

log = structlog.get_logger(__name__)

KEPT_EVENTS = 50
KEPT_CAUSES = 20  # of a state; beyond that one more says nothing new
PEAK_STEP = Decimal("0.001")  # of the peak: less is not worth a row between two heartbeats
BY_BREAKER = "breaker "  # how the reason of a state begins that a breaker brought about


_Cause = tuple[TradingState, str]


class Safety:
    """State, breakers and their events are durable; blocks are found anew by recovery and
    reconciliation.
    """

    def __init__(
        self, rows: Rows, clock: Clock, facts: Facts, limits: BreakerLimits, speed: float = 1.0
    ) -> None:
        """`speed`: market seconds in a machine second."""
        self._rows = rows
        self._clock = clock
        self._facts = facts
        self._limits = limits
        self.speed = speed
        self._time = TrustedTime.begin(clock.now(), clock.monotonic(), Ms(0))
        self._unwritten: list[BreakerEvent] = []
        self._written_peak = Decimal(0)
        self.readings = Readings()
        self.state = TradingState.ACTIVE
        self.why = ""
        self._causes: tuple[_Cause, ...] = ()  # oldest first; none: ACTIVE
        self.book = BreakerBook()
        self.blocks = Blocks(clock, facts)
        self.events: deque[BreakerEvent] = deque(maxlen=KEPT_EVENTS)
        self.openings = 0  # since the start of the process

    def recover(self, state: Mapping[str, object], events: Sequence[BreakerEvent] = ()) -> None:
        """Take what the journal remembers; `events` oldest first."""
        trading = state.get("trading")
        if isinstance(trading, Mapping):
            self.state = TradingState(str(trading["state"]))
            self.why = str(trading["why"])
            self._causes = _causes_of(trading)
        breakers = state.get("breakers")
        if isinstance(breakers, Mapping):
            self.book = book_from_mapping(breakers)
            self._written_peak = self.book.peak
        self.events.extend(events)
        now, machine_s = self._clock.now(), self._clock.monotonic()
        self._time = TrustedTime.begin(now, machine_s, self.book.seen_at)

    def durable(self) -> dict[str, object]:
        """The state rows as they stand."""
        self._written_peak = self.book.peak
        return {
            "trading": {
                "state": self.state.value,
                "why": self.why,
                "causes": [[state.value, why] for state, why in self._causes],
            },
            "breakers": book_to_mapping(self.book),
        }

    def take_events(self) -> tuple[BreakerEvent, ...]:
        """Events that no row holds yet; whoever takes them writes them beside `durable`."""
        events, self._unwritten = tuple(self._unwritten), []
        return events

    def changes(self) -> Changes:
        """State and events that belong in one transaction."""
        return Changes(state=self.durable(), breaker_events=self.take_events())

    def save(self) -> None:
        self._rows.behind(self.changes())

    # --- the trading state ---------------------------------------------------------------

    def set_state(self, state: TradingState, why: str) -> None:
        """Change what the desk may do, as a person wishes; said once, durable."""
        if state is self.state:
            return
        self._turn(() if state is TradingState.ACTIVE else ((state, why),))
        self.save()

    def tighten(self, state: TradingState, why: str) -> None:
        """Change it as Keel itself must: never to a looser state, and every cause is kept."""
        if self._add(state, why):
            self.save()

    def _add(self, state: TradingState, why: str) -> bool:
        """Another cause beside those that stand; the same with other figures is no news."""
        known = any((state, _words(why)) == (other, _words(text)) for other, text in self._causes)
        full = len(self._causes) >= KEPT_CAUSES and tightened(self.state, state) is self.state
        return not (known or full) and self._turn((*self._causes, (state, why)))

    def _turn(self, causes: tuple[_Cause, ...]) -> bool:
        state, why = TradingState.ACTIVE, "; ".join(text for _, text in causes)
        for wished, _ in causes:
            state = tightened(state, wished)
        self._causes = causes
        if (state, why) == (self.state, self.why):
            return False
        log.warning("trading_state", before=self.state.value, now=state.value, why=why)
        self.state, self.why = state, why
        self._facts.tell("trading_state", self._clock.now(), state=state.value, why=why)
        return True

    def shut(self, symbol: Symbol) -> str:
        """Why nothing may be opened in `symbol` at this moment; empty when it may.

        The last look before an entry is sent: state, breakers and blocks may have changed
        while its row was written.
        """
        if not lets_open(self.state):
            return f"trading state {self.state.value}: {self.why}"
        held = self.open_codes()
        if held:
            return f"breaker {', '.join(held)}"
        return self.blocked.get(symbol, "")

    # --- symbols -------------------------------------------------------------------------

    @property
    def blocked(self) -> Mapping[Symbol, str]:
        """Why nothing may be opened, in words, by symbol."""
        return self.blocks.texts()

    def block(
        self, symbol: Symbol, why: str, kind: BlockKind = BlockKind.OTHER, key: str = ""
    ) -> None:
        """Open nothing new in `symbol` until this very cause has ended."""
        self.blocks.put(symbol, kind, why, key)

    def unblock(self, symbol: Symbol) -> None:
        """Take off what `block` put there without a kind."""
        self.blocks.lift_kind(symbol, BlockKind.OTHER)

    # --- the breakers --------------------------------------------------------------------

    def begin(self, equity: Decimal) -> None:
        """Measure from the first balance ever read; the caller writes."""
        self.book = begun(self.book, equity)

    def equity(self, equity: Decimal) -> None:
        """Let the breakers see the account's equity."""
        day = self.book.day
        changed = self._fold(observe_equity(self.book, equity, self._now(), self._limits))
        risen = self.book.peak > self._written_peak * (1 + PEAK_STEP)
        if changed or risen or self.book.day != day:
            self.save()

    def trade_closed(self, trade: Trade) -> None:
        """Count a closed trade. The caller writes `durable` and `take_events` with its rows,
        so that a kill in between neither loses nor repeats the loss.
        """
        self._fold(observe_trade(self.book, trade, self._limits))
        if trade.exit_reason is ExitReason.LIQUIDATION:
            why = f"{trade.symbol} was liquidated: its stop did not come first"
            self._add(TradingState.REDUCE_ONLY, why)

    def taken(self, fill: Fill, order: Order | None, left: Position | None) -> None:
        """A part of a position went under no order of ours: told; a liquidation ends entries.

        `left` stands on too little margin then. Otherwise it was auto-deleveraging, or a person.
        """
        if order is not None or is_ours(fill.cloid) or left is None:
            return
        name = "part_liquidated" if fill.liquidation else "reduced_by_other"
        figures = {"symbol": fill.symbol, "taken": str(fill.quantity), "left": str(left.quantity)}
        log.error(name, **figures)
        self._facts.tell(name, fill.at, **figures)
        if not fill.liquidation:
            return
        why = f"{fill.symbol} was liquidated in part: its stop did not come first"
        self.tighten(TradingState.REDUCE_ONLY, why)

    def world(self, seen: Readings) -> None:
        """Let the breakers see how feed, venue and market behave."""
        self.readings = seen
        machine_s = self._clock.monotonic()
        self._write(observe_world(self.book, seen, self._now(), machine_s, self._limits))

    def moved(self, usd: Decimal) -> None:
        """Take a transfer out of what drawdown and daily loss measure; the caller writes."""
        self.book = transferred(self.book, usd)

    def reset(self, code: BreakerCode) -> None:
        """Close a breaker by hand; what it did to the state goes with it, other causes stay."""
        self._fold(reset(self.book, code, self._now()))
        cause = BY_BREAKER + code.value
        self._turn(tuple(each for each in self._causes if not each[1].startswith(cause)))
        self.save()

    def open_now(self) -> tuple[OpenBreaker, ...]:
        """The breakers that hold, by trusted time; what is over is closed on the way."""
        now = self._now()
        self._write(sweep(self.book, now))
        return open_breakers(self.book, now)

    def open_codes(self) -> tuple[str, ...]:
        return tuple(breaker.code.value for breaker in self.open_now())

    def gauges(self) -> tuple[Gauge, ...]:
        """Every breaker as a figure."""
        return gauges(self.book, self.readings, self._limits)

    # --- time ----------------------------------------------------------------------------

    @property
    def doubts_clock_since(self) -> float | None:
        """Machine seconds from which on the venue must be asked for the time; None: no doubt."""
        self._now()
        return self._time.doubted_from if self._time.doubted else None

    def market_time(self) -> Ms:
        """Now, for care, while the venue has not told its time: at the earliest.

        What Keel itself saw pass counts, and no more than the clock says: one that is days
        ahead brings nothing about, and no more does a row of a time when it was.
        """
        return Ms(min(self._now(), self._clock.now()))

    def clock_agreed(self) -> None:
        """The venue's clock agreed with ours: what the clock says is believed again."""
        self._time = self._time.agreed(self._clock.now(), self._clock.monotonic())

    def _now(self) -> Ms:
        before = self._time
        self._time = before.look(self._clock.now(), self._clock.monotonic(), self.speed)
        if self._time.doubted and not before.doubted:
            log.warning(
                "clock_jumped",
                by_s=round((self._clock.now() - self._time.market) / 1000, 1),
                action="no breaker closes by time until the venue's clock agrees",
            )
        return self._time.market

    # --- folding -------------------------------------------------------------------------

    def _write(self, observed: Observed) -> None:
        if self._fold(observed):
            self.save()

    def _fold(self, observed: Observed) -> bool:
        """Take a new book and tell its events; whether there is something to write."""
        before = self.book.open
        self.book, events = observed
        for event in events:
            self._unwritten.append(event)
            self._keep(event)
            self._tell(event)
        return bool(events) or self.book.open != before  # a longer cool-down is durable too

    def _keep(self, event: BreakerEvent) -> None:
        """Remember it for people; a closing takes the place of its opening."""
        for index, known in enumerate(self.events):
            if (known.event_type, known.at) == (event.event_type, event.at):
                self.events[index] = event
                return
        self.events.append(event)

    def _tell(self, event: BreakerEvent) -> None:
        log.warning(
            "breaker",
            type=event.event_type,
            action=event.action_taken,
            value=str(round(event.trigger_value, 6)),
            threshold=str(event.threshold_value),
        )
        self._facts.tell(
            "breaker",
            event.cleared_at or event.at,
            type=event.event_type,
            action=event.action_taken,
            value=str(event.trigger_value),
            threshold=str(event.threshold_value),
        )
        if event.action_taken != ENTRIES_STOPPED:
            return
        self.openings += 1
        if event.event_type == BreakerCode.DRAWDOWN:
            why = f"{BY_BREAKER}{event.event_type}: reset by hand only"
            self._add(TradingState.REDUCE_ONLY, why)


def _causes_of(stored: Mapping[object, object]) -> tuple[_Cause, ...]:
    """What the journal remembers; a row from before causes were kept has one."""
    listed = stored.get("causes")
    if isinstance(listed, list):
        return tuple((TradingState(str(state)), str(why)) for state, why in listed)
    state = TradingState(str(stored["state"]))
    return () if state is TradingState.ACTIVE else ((state, str(stored["why"])),)


def _words(why: str) -> str:
    """A cause without its figures, which are others each second."""
    return re.sub(r"[0-9.]+", "#", why)

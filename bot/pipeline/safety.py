"""What stops entries: the trading state, the breakers, and symbols that are blocked.

Owns when Keel may open; exits never ask here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import structlog

from bot.domain.breakers import (
    BreakerBook,
    BreakerCode,
    BreakerEvent,
    BreakerLimits,
    Observed,
    book_from_mapping,
    book_to_mapping,
    observe_equity,
    observe_trade,
    open_breakers,
    reset,
)
from bot.domain.types import Ms, Symbol, Trade, TradingState
from bot.pipeline.facts import Facts
from bot.pipeline.rows import Rows
from bot.ports import Changes, Clock

log = structlog.get_logger(__name__)


class Safety:
    """State and breakers are durable; blocks are found anew by recovery and reconciliation."""

    def __init__(self, rows: Rows, clock: Clock, facts: Facts, limits: BreakerLimits) -> None:
        self._rows = rows
        self._clock = clock
        self._facts = facts
        self._limits = limits
        self.state = TradingState.ACTIVE
        self.why = ""
        self.book = BreakerBook()
        self.blocked: dict[Symbol, str] = {}

    def recover(self, state: Mapping[str, object]) -> None:
        """Take what the journal remembers."""
        trading = state.get("trading")
        if isinstance(trading, Mapping):
            self.state = TradingState(str(trading["state"]))
            self.why = str(trading["why"])
        breakers = state.get("breakers")
        if isinstance(breakers, Mapping):
            self.book = book_from_mapping(breakers)

    def durable(self) -> dict[str, object]:
        """The state rows as they stand."""
        return {
            "trading": {"state": self.state.value, "why": self.why},
            "breakers": book_to_mapping(self.book),
        }

    def save(self) -> None:
        self._rows.behind(Changes(state=self.durable()))

    def set_state(self, state: TradingState, why: str) -> None:
        """Change what the desk may do; said once, durable."""
        if state is self.state:
            return
        log.warning("trading_state", before=self.state.value, now=state.value, why=why)
        self.state, self.why = state, why
        self._facts.tell("trading_state", self._clock.now(), state=state.value, why=why)
        self.save()

    def block(self, symbol: Symbol, why: str) -> None:
        """Open nothing new in `symbol` until `unblock`."""
        if self.blocked.get(symbol) == why:
            return
        log.warning("symbol_blocked", symbol=symbol, why=why)
        self.blocked[symbol] = why
        self._facts.tell("symbol_blocked", self._clock.now(), symbol=symbol, why=why)

    def unblock(self, symbol: Symbol) -> None:
        why = self.blocked.pop(symbol, None)
        if why is not None:
            log.warning("symbol_unblocked", symbol=symbol, was=why)
            self._facts.tell("symbol_unblocked", self._clock.now(), symbol=symbol, was=why)

    def equity(self, equity: Decimal) -> None:
        """Let the breakers see the account's equity."""
        self._take(observe_equity(self.book, equity, self._clock.now(), self._limits))

    def trade_closed(self, trade: Trade) -> None:
        self._take(observe_trade(self.book, trade, self._limits))

    def reset(self, code: BreakerCode) -> None:
        """Close a breaker by hand."""
        self._take(reset(self.book, code, self._clock.now()))

    def open_codes(self, now: Ms) -> tuple[str, ...]:
        return tuple(breaker.code.value for breaker in open_breakers(self.book, now))

    def _take(self, observed: Observed) -> None:
        self.book, events = observed
        for event in events:
            self._tell(event)
        if events:
            self.save()

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
            event.at,
            type=event.event_type,
            action=event.action_taken,
            value=str(event.trigger_value),
            threshold=str(event.threshold_value),
        )

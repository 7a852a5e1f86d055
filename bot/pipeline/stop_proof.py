"""The stop proof: each position of ours has a resting stop, or gets one, or is closed.

Owns how long a position was without one; asks the venue nothing.
"""

from __future__ import annotations

from collections.abc import Set

import structlog

from bot.domain.protection import protected
from bot.domain.types import Account, ExitReason, Symbol, TradingState
from bot.pipeline.books import Books
from bot.pipeline.desk import Desk
from bot.pipeline.execute import Execution
from bot.ports import Clock

log = structlog.get_logger(__name__)


class Prover:
    """Judges one answer of the venue on its orders and positions."""

    def __init__(
        self, books: Books, desk: Desk, execution: Execution, clock: Clock, naked_s: float
    ) -> None:
        self._books = books
        self._desk = desk
        self._execution = execution
        self._clock = clock
        self._naked_s = naked_s  # machine seconds without a stop, then it is closed
        self.naked: dict[Symbol, float] = {}  # since when, machine s

    def worked_on(self) -> frozenset[Symbol]:
        """What must not be judged by an answer that is asked for now."""
        return frozenset(filter(self._desk.works_on, self._books.symbols()))

    def prove(self, account: Account, worked_on: Set[Symbol]) -> None:
        """Prove each position's stop, and repair what has none.

        Put off to the next look, soon: what was `worked_on` when the venue was asked, or is now,
        since its stop may have come after the answer. Not judged: what the venue shows no
        position of, its last fill being on its way.
        """
        for symbol, position in self._books.positions.items():
            there = account.positions.get(symbol)
            if there is None or self._books.beyond_orders(symbol):
                continue
            orders = [
                order
                for order in account.orders
                if order.symbol == symbol
                and not self._books.of_another(order.cloid, position.trace_id)
            ]
            proof = protected(position, orders, there.liquidation_price)
            if proof.ok:
                self.naked.pop(symbol, None)
            elif symbol in worked_on or self._desk.works_on(symbol):
                self._execution.doubt.set()
            else:
                self._repair(symbol, proof.verdict.value)
        for symbol in [s for s in self.naked if s not in self._books.positions]:
            del self.naked[symbol]

    def _repair(self, symbol: Symbol, verdict: str) -> None:
        now = self._clock.monotonic()
        since = self.naked.setdefault(symbol, now)
        self._execution.doubt.set()
        if now - since <= self._naked_s:
            log.error("stop_missing", symbol=symbol, verdict=verdict, action="placing it")
            self._desk.defend(symbol)
            return
        why = f"{symbol}: no stop rests at the venue after {now - since:.0f} s ({verdict})"
        self._books.safety.tighten(TradingState.HALTED, why)
        self._desk.close(symbol, ExitReason.UNPROTECTED)

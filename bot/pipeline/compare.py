"""Our positions beside the venue's: what differs, for how long, and what follows from it.

Owns the verdict on a difference; asks nobody and sends nothing. A position that is not ours is
quarantined with its symbol and never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import structlog

from bot.domain.types import ZERO, Account, Symbol, TradingState
from bot.pipeline.blocks import OF_POSITIONS, Block, BlockKind
from bot.pipeline.books import Books
from bot.pipeline.desk import Desk
from bot.pipeline.facts import Facts
from bot.ports import Clock

log = structlog.get_logger(__name__)

DRIFT_LOOKS = 3  # a fill may be on its way; only the third look is a verdict
BALANCE_TOLERANCE = Decimal("0.01")  # of equity: marks of two moments differ by less
FIRST_CENT = Decimal(1)

Standing = Mapping[Symbol, tuple[Block, ...]]


class Comparison:
    """Positions and balance of one moment against the books, look after look."""

    def __init__(self, books: Books, desk: Desk, clock: Clock, facts: Facts) -> None:
        self._books = books
        self._desk = desk
        self._clock = clock
        self._facts = facts
        self._drift: dict[Symbol, int] = {}
        self._balance_looks = 0
        self.balance_gap = ZERO  # the venue's equity less ours, USD

    @property
    def drifting(self) -> Mapping[Symbol, int]:
        """Symbols that differ now, and at how many looks in a row."""
        return dict(self._drift)

    def positions(self, account: Account, standing: Standing) -> bool:
        """Judge every symbol; whether something must be asked again soon.

        `standing`: the blocks as they were before the account was asked; what came since is
        not judged.
        """
        held, soon = self._books.positions, False
        for symbol in sorted({*account.positions, *held, *self._drift, *standing}):
            position, there = held.get(symbol), account.positions.get(symbol)
            ours = position.signed if position is not None else ZERO
            theirs = there.signed_size if there is not None else ZERO
            if ours == theirs:
                self._agreed(symbol, standing.get(symbol, ()))
            elif not self._desk.works_on(symbol):
                soon |= self._drifted(symbol, ours, theirs, foreign=position is None)
                if there is None and self._drift[symbol] >= DRIFT_LOOKS:
                    self._give_up(symbol, ours)
        return soon

    def balance(self, account: Account) -> None:
        """Compare equity; a gap that stays is told once, since only a person can judge it.

        Money that was paid in or out looks the same as a fee that nobody told.
        """
        self.balance_gap = account.equity - self._books.equity()
        busy = any(self._desk.works_on(symbol) for symbol in self._books.symbols())
        limit = max(abs(account.equity) * BALANCE_TOLERANCE, FIRST_CENT)
        if busy or abs(self.balance_gap) <= limit:
            self._balance_looks = 0
            return
        self._balance_looks += 1
        if self._balance_looks == DRIFT_LOOKS:
            gap, venue = str(round(self.balance_gap, 6)), str(account.equity)
            log.error("balance_differs", gap_usd=gap, venue=venue, action="look at transfers")
            self._facts.tell("balance_differs", self._clock.now(), gap_usd=gap, venue=venue)

    def _agreed(self, symbol: Symbol, standing: tuple[Block, ...]) -> None:
        """Open a symbol again that was closed because positions differed."""
        self._drift.pop(symbol, None)
        self._books.gone.discard(symbol)
        for block in standing:
            if block.kind in OF_POSITIONS:
                self._books.safety.blocks.lift(symbol, block)

    def _drifted(self, symbol: Symbol, ours: Decimal, theirs: Decimal, foreign: bool) -> bool:
        """A difference may be a fill on its way; a position that is not ours blocks at once."""
        looks = self._drift.get(symbol, 0) + 1
        self._drift[symbol] = looks
        words = "foreign position" if foreign else "position drift"
        why = f"{words}: we hold {ours}, the venue says {theirs}"
        if looks == DRIFT_LOOKS:
            log.error("position_drift", symbol=symbol, ours=str(ours), venue=str(theirs))
            self._facts.tell("position_drift", self._clock.now(), symbol=symbol, why=why)
        if foreign or looks >= DRIFT_LOOKS:
            kind = BlockKind.FOREIGN_POSITION if foreign else BlockKind.POSITION_DRIFT
            self._books.safety.block(symbol, why, kind)
        return looks < DRIFT_LOOKS

    def _give_up(self, symbol: Symbol, ours: Decimal) -> None:
        """The venue holds nothing of what we hold, and no fill says why: a person must look.

        Stops and exits for it could only be refused, each at the cost of a request.
        """
        if symbol in self._books.gone:
            return
        self._books.gone.add(symbol)
        why = f"{symbol}: we hold {ours}, the venue nothing, and no fill explains it"
        log.error("position_gone", symbol=symbol, held=str(ours), action="halted; see the venue")
        self._books.safety.tighten(TradingState.HALTED, why)

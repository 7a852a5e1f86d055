"""An order as the venue has it, beside the books of the machine; and rows that are written at once.

Knows no rule of the books.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from bot.domain.types import ZERO, Fill, Intent, LegAck, Ms, OrderStatus, VenueOrder
from bot.ports import Changes
from tests.fakes import MemoryJournal


class WrittenRows:
    """Rows that are in the journal as soon as they are handed over."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal

    def behind(self, changes: Changes) -> None:
        self._journal.written.append(changes)

    async def drained(self) -> None:
        return


@dataclass
class AtVenue:
    """One order as the venue has it, and which of its fills it has not told yet."""

    intent: Intent
    number: int
    filled: Decimal = ZERO
    price: Decimal = ZERO
    over: bool = False
    untold: list[Fill] = field(default_factory=list)

    def fill(self, number: int, at: Ms, opened: Decimal) -> Fill:
        """Its one execution; `opened`: the price at which the position was entered."""
        intent = self.intent
        earned = (self.price - opened) * self.filled * intent.side.sign
        return Fill(
            fill_id=number,
            symbol=intent.symbol,
            is_buy=intent.is_buy,
            quantity=self.filled,
            price=self.price,
            fee=Decimal("0.01"),
            closed_pnl=earned if intent.reduce_only else ZERO,
            start_position=ZERO,
            at=at,
            venue_id=self.number,
            cloid=intent.cloid,
        )

    def answer(self) -> LegAck:
        """What the venue answers to its submission."""
        if self.filled == 0:
            return LegAck(self.intent.cloid, OrderStatus.REJECTED, error="could not match")
        whole = self.filled == self.intent.quantity
        return LegAck(
            self.intent.cloid,
            OrderStatus.FILLED if whole else OrderStatus.PARTIAL,
            venue_id=self.number,
            filled=self.filled,
            average_price=self.price,
        )

    def report(self, at: Ms) -> VenueOrder:
        """What it says to who asks for the order: sent immediate-or-cancel, it is over."""
        intent = self.intent
        whole = self.filled == intent.quantity
        return VenueOrder(
            venue_id=self.number,
            cloid=intent.cloid,
            symbol=intent.symbol,
            is_buy=intent.is_buy,
            limit=intent.limit,
            remaining=intent.quantity - self.filled,
            original=intent.quantity,
            reduce_only=intent.reduce_only,
            trigger=None,
            is_stop=False,
            whole_position=False,
            status=OrderStatus.FILLED if whole else OrderStatus.CANCELLED,
            raw_status="told",
            at=at,
        )

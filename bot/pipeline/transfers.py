"""Deposits and withdrawals, seen at the venue: equity without a trade is no profit and no loss.

Owns from when the venue is asked and what a transfer does to ledger and breakers; moves no
money and knows no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.types import ZERO, Ms, Transfer
from bot.pipeline.books import Books
from bot.pipeline.facts import Facts
from bot.pipeline.rows import Rows
from bot.ports import Changes, Venue

log = structlog.get_logger(__name__)


class Transfers:
    """Folds each transfer once, in one transaction with the moment up to which all are known."""

    def __init__(self, venue: Venue, books: Books, rows: Rows, facts: Facts) -> None:
        self._venue = venue
        self._books = books
        self._rows = rows
        self._facts = facts
        self.known_to: Ms | None = None  # None: the baseline is not read yet
        self.total = ZERO  # of this process

    def recover(self, state: Mapping[str, object], now: Ms) -> None:
        """Go on from where the journal ends; a database of before begins now."""
        known = state.get("transfers_to")
        if known is not None:
            self.known_to = Ms(int(str(known)))
        elif self._books.baseline_known:
            self.known_to = now

    def begin(self, at: Ms) -> Mapping[str, object]:
        """What came before `at` is in the baseline; the state to write beside it."""
        self.known_to = at
        return {"transfers_to": int(at)}

    async def step(self) -> bool:
        """Ask once; False when the venue did not answer."""
        if self.known_to is None:
            return False
        try:
            found = await self._venue.transfers_since(Ms(self.known_to + 1))
        except (TransientError, VenueRejected, AmbiguousOutcome) as error:
            log.warning("transfers_not_asked", error=str(error))
            return False
        for transfer in found:
            if transfer.at > self.known_to:
                self._fold([each for each in found if each.at == transfer.at])
        return True

    def _fold(self, moved: list[Transfer]) -> None:
        """Take all transfers of one moment: the venue books them in one block."""
        books, safety = self._books, self._books.safety
        if books.priced:
            safety.equity(books.equity())  # what was won or lost before is so already
        for transfer in moved:
            books.ledger = replace(books.ledger, baseline=books.ledger.baseline + transfer.usd)
            safety.moved(transfer.usd)
            self.total += transfer.usd
            usd, at = str(transfer.usd), transfer.at
            log.warning("transfer", kind=transfer.kind, usd=usd, at=at)
            self._facts.tell("transfer", at, kind=transfer.kind, usd=usd)
        self.known_to = moved[0].at
        state = {
            "baseline": str(books.ledger.baseline),
            "transfers_to": int(self.known_to),
            **safety.durable(),
        }
        self._rows.behind(Changes(state=state, breaker_events=safety.take_events()))

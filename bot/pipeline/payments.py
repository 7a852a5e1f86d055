"""Funding as the venue tells it, against who owes it: ours is booked, a stranger's is not.

Owns from when the venue is asked again; sends no question.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from bot.domain.types import Funding, Ms, Symbol
from bot.pipeline.books import Books
from bot.pipeline.recent import RecentKeys
from bot.pipeline.recover import fill_overlap
from bot.ports import Clock

log = structlog.get_logger(__name__)


class Payments:
    """Folds an answer of the venue's; a payment may come before the fill that owes it."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._foreign: RecentKeys[tuple[Symbol, Ms]] = RecentKeys()

    def fold(self, told: Iterable[Funding]) -> bool:
        """Book what is ours; False while one that nobody owes may wait for its fill."""
        books, settled = self._books, True
        complete = books.paid.since
        for funding in sorted(told, key=lambda each: each.at):
            if funding not in books.paid and not books.funded(funding):
                settled = self._unowed(funding) and settled
            if settled:
                complete = funding.at
        books.funded_until(complete)
        return settled

    def _unowed(self, funding: Funding) -> bool:
        """Whether no fill can come any more that owes this: then it is a stranger's."""
        if self._clock.now() - funding.at < fill_overlap(self._books):
            return False
        key = (funding.symbol, funding.at)
        if key not in self._foreign:
            self._foreign.add(key)
            usd = str(funding.usd)
            log.info("foreign_funding", symbol=funding.symbol, usd=usd, at=funding.at)
        return True

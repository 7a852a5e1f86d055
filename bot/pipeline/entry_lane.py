"""The desk's lane of entries: bounded, the best score first, one a symbol.

Owns who waits and who must go; neither looks at an offer nor tells its trace what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.reasons import Reason
from bot.domain.sizing import Wish
from bot.domain.snapshot import Snapshot
from bot.domain.types import Ms, Symbol
from bot.pipeline.asking import Asking
from bot.pipeline.trace import Trail

ENTRY_LANE = 8  # spec 05, "The desk"


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """An approved wish on its way to the desk; with `asking`, by way of a person.

    `bar_close`: of the newest bar seen since it was decided, where a person took their time.
    """

    trail: Trail
    snapshot: Snapshot
    wish: Wish
    score: float
    decided_price: float
    expires_at: Ms
    asking: Asking | None = None
    bar_close: Ms | None = None

    @property
    def symbol(self) -> Symbol:
        return self.snapshot.symbol


class EntryLane:
    """Offers that wait for the desk, in the order in which they came."""

    def __init__(self) -> None:
        self._offers: list[Offer] = []

    def __len__(self) -> int:
        return len(self._offers)

    def put(self, offer: Offer) -> tuple[tuple[Offer, Reason], ...]:
        """Let one wait; those that go for it: the older one of its symbol, the least of too many.

        That least one may be `offer` itself; of equals the older one goes.
        """
        gone = [(o, Reason.REPLACED) for o in self._offers if o.symbol == offer.symbol]
        self._offers = [o for o in self._offers if o.symbol != offer.symbol]
        self._offers.append(offer)
        if len(self._offers) > ENTRY_LANE:
            least = min(self._offers, key=lambda o: o.score)  # the first of equals
            self._offers.remove(least)
            gone.append((least, Reason.QUEUE_FULL))
        return tuple(gone)

    def best(self) -> Offer:
        """Take the offer with the best score. Raises ValueError when none waits."""
        best = max(self._offers, key=lambda o: o.score)
        self._offers.remove(best)
        return best

    def empty(self) -> tuple[Offer, ...]:
        """Take all that wait."""
        offers, self._offers = tuple(self._offers), []
        return offers

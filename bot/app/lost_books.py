"""Whether the venue remembers more of us than our books do: they were lost, or replaced.

Owns that look at start and its words; restores nothing, and stops nothing: what our books do
not know is quarantined as foreign (`bot.pipeline.compare`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from bot.adapters.store import Backups, Place
from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.orders import is_ours
from bot.domain.types import Account, Ms, Symbol
from bot.pipeline.books import Books
from bot.pipeline.recover import lives
from bot.ports import Recovered, Venue

log = structlog.get_logger(__name__)

STATE = "books_from"  # in bot_state: market time at which these books were begun
WEEK_MS = 7 * 86_400_000  # how far the venue is asked back, and for how long after


def begun_at(recovered: Recovered, now: Ms) -> Ms | None:
    """When these books were begun; None for those of before this was noted."""
    noted = recovered.state.get(STATE)
    if noted is not None:
        return Ms(int(str(noted)))
    return None if lives(recovered) else now


@dataclass(frozen=True, slots=True)
class Lost:
    """What the venue knows of us that is older than our books."""

    begun: Ms
    fills: int
    guarded: tuple[Symbol, ...]  # positions that are not in our books, with orders of ours beside
    symbols: tuple[Symbol, ...]

    def told(self, place: Place, backups: Backups) -> str:
        """One line for the operator: what is missing, and what to do. Blocking, one directory."""
        since = datetime.fromtimestamp(self.begun / 1000, UTC)
        remedy = (
            f"stop Keel, put the newest copy of before that from {backups.folder} in its place, "
            "run python setup_database.py and start again"
        )
        if backups.newest() is None:
            remedy = f"there is no copy in {backups.folder}: close by hand what is still open"
        return (
            f"the database {place} was begun at {since:%Y-%m-%d %H:%M} UTC, but the venue knows "
            f"{self.fills} fills and {len(self.guarded)} guarded positions of ours that are not "
            f"in it ({', '.join(self.symbols)}): it was removed or replaced, and what is open of "
            f"that counts as foreign; {remedy}"
        )


async def find_lost(
    begun: Ms | None, now: Ms, venue: Venue, account: Account | None, books: Books
) -> Lost | None:
    """Compare the venue's memory of us with the age of our books; None where nothing is missing.

    `account`: the venue's last answer. Asked within a week of the books' first start only; a
    venue that does not answer is no reason to wait.
    """
    if begun is None or now - begun > WEEK_MS:
        return None
    try:
        fills = await venue.fills_since(Ms(max(0, begun - WEEK_MS)))
    except (TransientError, VenueRejected, AmbiguousOutcome) as error:
        log.warning("lost_books_not_looked_for", error=str(error))
        return None
    older = [fill for fill in fills if fill.at < begun and is_ours(fill.cloid)]
    guarded = _guarded(account, books)
    if not older and not guarded:
        return None
    symbols = tuple(sorted({*guarded, *(fill.symbol for fill in older)}))
    return Lost(begun, len(older), guarded, symbols)


def _guarded(account: Account | None, books: Books) -> tuple[Symbol, ...]:
    if account is None:
        return ()
    strange = account.positions.keys() - books.positions.keys()
    beside = (o for o in account.orders if o.symbol in strange and o.cloid not in books.orders)
    return tuple(sorted({order.symbol for order in beside if is_ours(order.cloid)}))

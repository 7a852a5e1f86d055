"""Which funding payments are in, and from when on the venue is asked for the others.

Owns what a start must know of both; books nothing and asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.types import Funding, Ms, Symbol
from bot.pipeline.recent import RecentKeys


class Paid:
    """Payments by coin and time. Only a complete answer moves `since`, never a live event."""

    def __init__(self) -> None:
        self.since = Ms(0)
        self._keys: RecentKeys[tuple[Symbol, Ms]] = RecentKeys()

    def __contains__(self, funding: Funding) -> bool:
        return (funding.symbol, funding.at) in self._keys

    def add(self, funding: Funding) -> None:
        self._keys.add((funding.symbol, funding.at))

    def complete(self, until: Ms) -> bool:
        """Ask for nothing older than `until` any more; whether that is news."""
        news = until > self.since
        self.since = max(self.since, until)
        return news

    def state(self) -> Mapping[str, object]:
        """The rows by which the next life asks from the same time on and books nothing twice.

        Not from the newest payment on: one of another coin may still wait for its fill.
        """
        known = [[symbol, int(at)] for symbol, at in self._keys if at >= self.since]
        return {"funding_from": int(self.since), "funded": known}

    def recover(self, state: Mapping[str, object], last_at: Ms, began: Ms) -> None:
        """Take up those rows; before the first of them all since `began` is asked for.

        A row of an older Keel names the coins that paid at `last_at`, and nothing else is known.
        """
        self.since = Ms(int(str(state.get("funding_from", last_at or began))))
        listed = state.get("funded")
        for each in listed if isinstance(listed, list) else ():
            symbol, at = each if isinstance(each, list) else (each, last_at)
            self._keys.add((Symbol(str(symbol)), Ms(int(str(at)))))

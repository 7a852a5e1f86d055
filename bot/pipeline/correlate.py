"""How alike the symbols move, from the decision bars that were last seen.

Owns the last bars by symbol; knows no position.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.domain.statistics import return_correlation
from bot.domain.types import Bars, Symbol


class Correlations:
    """Pairwise correlation of returns, computed when the desk asks."""

    def __init__(self) -> None:
        self._bars: dict[Symbol, Bars] = {}

    def saw(self, symbol: Symbol, bars: Bars) -> None:
        self._bars[symbol] = bars

    def with_held(
        self, symbol: Symbol, held: Iterable[Symbol]
    ) -> tuple[tuple[Symbol, Symbol, float], ...]:
        """Each symbol held or reserved against `symbol`, by name; unknown pairs are left out."""
        ours = self._bars.get(symbol)
        if ours is None:
            return ()
        found: list[tuple[Symbol, Symbol, float]] = []
        for other in sorted(held):
            theirs = self._bars.get(other)
            value = return_correlation(ours, theirs) if theirs is not None else None
            if value is not None and other != symbol:
                found.append((symbol, other, value))
        return tuple(found)

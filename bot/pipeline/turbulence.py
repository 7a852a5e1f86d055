"""How volatile each symbol is, from the bars that the road last saw.

Owns one ratio a symbol, computed when a 1h bar has closed; knows no limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from bot.domain.types import Bars, Symbol, Timeframe
from bot.domain.volatility import atr_ratio, hourly


class Turbulence:
    """1h ATR % over its median, by symbol."""

    def __init__(self) -> None:
        self._hours: dict[Symbol, int] = {}
        self._ratios: dict[Symbol, float] = {}

    def saw(self, symbol: Symbol, window: Mapping[Timeframe, Bars]) -> None:
        """Take the windows of one decision."""
        newest = max(
            (int(bars.ts[-1]) + f.ms for f, bars in window.items() if len(bars)), default=0
        )
        hour = newest // Timeframe.H1.ms
        if self._hours.get(symbol) == hour:
            return
        self._hours[symbol] = hour
        ratio = atr_ratio(hourly(window))
        if ratio is not None:
            self._ratios[symbol] = round(ratio, 4)

    def of(self, symbol: Symbol) -> float | None:
        """The ratio of one symbol; None while it is not known."""
        return self._ratios.get(symbol)

    def middle(self, symbols: Iterable[Symbol]) -> float | None:
        """The median over those of `symbols` that have one: the market as a whole."""
        known = [self._ratios[symbol] for symbol in symbols if symbol in self._ratios]
        return round(median(known), 4) if known else None

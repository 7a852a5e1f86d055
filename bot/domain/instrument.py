"""Price and size rules of one market, as the venue states them.

Owns rounding to tick and lot; knows no order, no account and no direction of safety:
the caller says which way to round.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from bot.domain.types import Symbol

SIGNIFICANT_FIGURES = 5  # Hyperliquid docs, "Tick and lot size"
MIN_NOTIONAL_USD = Decimal(10)  # Hyperliquid docs, "Error responses"


@dataclass(frozen=True, slots=True)
class MarginTier:
    """From `lower_bound` USD of notional on, leverage is at most `max_leverage`."""

    lower_bound: Decimal
    max_leverage: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """One market: how its prices and sizes are rounded, how far it may be levered.

    `price_decimals` is the venue's cap on decimals before the size decimals are taken
    off (6 for perpetuals, 8 for spot).
    """

    symbol: Symbol
    venue_symbol: str
    asset_id: int
    size_decimals: int
    max_leverage: int
    tiers: tuple[MarginTier, ...]
    delisted: bool = False
    only_isolated: bool = False
    price_decimals: int = 6
    min_notional: Decimal = MIN_NOTIONAL_USD

    def tick(self, price: Decimal) -> Decimal:
        """Smallest step of a price near `price`; whole numbers are always valid."""
        by_figures = price.adjusted() - (SIGNIFICANT_FIGURES - 1)
        by_decimals = self.size_decimals - self.price_decimals
        return Decimal(1).scaleb(min(0, max(by_figures, by_decimals)))

    def round_price(self, price: Decimal, rounding: str) -> Decimal:
        """Round to the tick in the direction `rounding` (a `decimal` constant)."""
        return price.quantize(self.tick(price), rounding=rounding).normalize() + 0

    def round_size(self, size: Decimal) -> Decimal:
        """Round down to the lot."""
        return size.quantize(self.lot, rounding=ROUND_DOWN)

    @property
    def lot(self) -> Decimal:
        return Decimal(1).scaleb(-self.size_decimals)

    def price_is_valid(self, price: Decimal) -> bool:
        return price > 0 and price % self.tick(price) == 0

    def size_is_valid(self, size: Decimal) -> bool:
        return size > 0 and size % self.lot == 0

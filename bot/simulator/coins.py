"""The coins of the simulated venue: names, size decimals, leverage, margin tiers.

Owns the table; knows no price path. Sizes and leverages follow the venue's `meta`, margin
tiers its docs page "Margin tiers" (2026).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from bot.domain.instrument import Instrument, MarginTier
from bot.domain.types import Symbol

MILLION = 1_000_000
UNKNOWN_SIZE_DECIMALS = 2
UNKNOWN_LEVERAGE = 10
COARSEST_TICK = Decimal("0.001")  # of price; a coarser one costs a coin size decimals


@dataclass(frozen=True, slots=True)
class Coin:
    """One row of the table; `price`, `sigma` and `daily_usd` serve invented prices only.

    `sigma` scales the volatility (1 is ETH's), `daily_usd` is the usual volume of a day.
    """

    name: str
    size_decimals: int
    tiers: tuple[tuple[int, int], ...]  # (lower bound in millions of USD, max leverage)
    price: float = 1.0
    sigma: float = 1.0
    daily_usd: float = 50e6


COINS = (
    Coin("BTC", 5, ((0, 40), (150, 20)), 64_000.0, 0.85, 2.2e9),
    Coin("ETH", 4, ((0, 25), (100, 15)), 3_150.0, 1.0, 1.4e9),
    Coin("SOL", 2, ((0, 20), (70, 10)), 148.0, 1.25, 6e8),
    Coin("DOGE", 0, ((0, 10), (20, 5)), 0.1420, 1.35, 1.5e8),
    Coin("AVAX", 2, ((0, 10), (20, 5)), 27.4, 1.3, 8e7),
    Coin("XRP", 0, ((0, 20), (40, 10)), 0.6120, 1.15, 2.2e8),
    Coin("LINK", 1, ((0, 10), (20, 5)), 13.85, 1.25, 9e7),
    Coin("ARB", 1, ((0, 10), (3, 5)), 0.7840, 1.35, 6e7),
    Coin("OP", 1, ((0, 10), (3, 5)), 1.712, 1.35, 5e7),
    Coin("SUI", 1, ((0, 10), (20, 5)), 1.893, 1.45, 1.6e8),
    Coin("LTC", 2, ((0, 10), (3, 5)), 71.5, 1.05, 5e7),
    Coin("BNB", 3, ((0, 10), (3, 5)), 572.0, 0.95, 7e7),
)
_BY_NAME = {coin.name: coin for coin in COINS}


def coin(name: str, price: float) -> Coin:
    """The row of `name` in a world where its prices go down to `price`.

    An unknown coin gets 2 size decimals and 10x. Where the venue's tick would be coarser
    than 0.1 % of the price (a coin quoted in another coin), a coin has fewer size decimals:
    prices have at most 6 less these.
    """
    known = _BY_NAME.get(name)
    decimals = known.size_decimals if known else UNKNOWN_SIZE_DECIMALS
    level = Decimal(repr(price))
    while decimals > 0 and Decimal(1).scaleb(decimals - 6) > level * COARSEST_TICK:
        decimals -= 1
    if known:
        return replace(known, size_decimals=decimals)
    return Coin(name, decimals, ((0, UNKNOWN_LEVERAGE),), price)


def instrument(row: Coin, asset_id: int) -> Instrument:
    """The trading rules of one row, as asset `asset_id`."""
    tiers = tuple(MarginTier(Decimal(bound * MILLION), most) for bound, most in row.tiers)
    return Instrument(
        symbol=Symbol(row.name),
        venue_symbol=row.name,
        asset_id=asset_id,
        size_decimals=row.size_decimals,
        max_leverage=row.tiers[0][1],
        tiers=tiers,
    )

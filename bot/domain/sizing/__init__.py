"""From a wish to an intent: stop, target, leverage and quantity at the venue's tick and lot.

The one place where a float becomes a Decimal and an `Intent` is made; knows no portfolio and
permits nothing (that is `risk`).

Directions of rounding: sizes down; a stop towards the market (never more risk than meant); a
target away from it (never less reward than approved); an entry's limit towards the market
(the slippage bound holds); an exit's limit away from it (getting out comes first).
"""

from bot.domain.sizing.intents import beyond_trigger, protect, reduce, rest, reward_to_risk, size
from bot.domain.sizing.quantity import liquidation_at_entry, tiers_of
from bot.domain.sizing.wish import (
    ENTRY_SLIPPAGE,
    EXIT_SLIPPAGE,
    TAKER_FEE,
    TRIGGER_SLIPPAGE,
    SizingPolicy,
    Wish,
    exact,
)

__all__ = [
    "ENTRY_SLIPPAGE",
    "EXIT_SLIPPAGE",
    "TAKER_FEE",
    "TRIGGER_SLIPPAGE",
    "SizingPolicy",
    "Wish",
    "beyond_trigger",
    "exact",
    "liquidation_at_entry",
    "protect",
    "reduce",
    "rest",
    "reward_to_risk",
    "size",
    "tiers_of",
]

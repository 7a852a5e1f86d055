"""What is left of a position and is less than a lot: the venue takes no order for it.

Owns the verdict and what is said of it; sends nothing. Each try would be refused, and a refusal
costs the account's budget of actions as an order does.
"""

from __future__ import annotations

from decimal import Decimal

import structlog

from bot.domain.types import Symbol
from bot.pipeline.blocks import BlockKind
from bot.pipeline.books import Books

log = structlog.get_logger(__name__)


def is_dust(books: Books, symbol: Symbol, lot: Decimal) -> bool:
    """Whether what we hold is less than a lot; parks it, once, or takes it up again.

    Parked, its symbol is blocked and nothing is sent for it: what rests at the venue stays.
    """
    position = books.positions.get(symbol)
    if position is None or position.quantity >= lot:
        if symbol in books.dust:
            books.dust.discard(symbol)
            books.safety.blocks.lift_kind(symbol, BlockKind.DUST)
        return False
    if symbol not in books.dust:
        books.dust.add(symbol)
        held = position.signed
        why = f"we hold {held}, less than a lot of {lot}: the venue takes no order for it"
        log.error("position_is_dust", symbol=symbol, held=str(held), lot=str(lot), action="parked")
        books.safety.block(symbol, why, BlockKind.DUST)
    return True

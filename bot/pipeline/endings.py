"""Why a position ended, told by the order whose fill took from it.

Owns that one question; knows no books and no venue.
"""

from __future__ import annotations

from bot.domain.errors import InvariantBroken
from bot.domain.protection import Guard, stop_reason
from bot.domain.types import ExitReason, Fill, Leg, Order


def why_closed(fill: Fill, order: Order | None, guard: Guard | None) -> ExitReason:
    """The reason in a fill; `order` None: it was not ours, or took nothing.

    A liquidation is told by the fill itself, and put over this by `portfolio.apply_fill`.
    Raises InvariantBroken for an entry that took from a position: Keel never flips.
    """
    if order is None:
        return ExitReason.VENUE
    match order.leg:
        case Leg.STOP:
            return stop_reason(guard) if guard is not None else ExitReason.STOP
        case Leg.TARGET:
            return ExitReason.TARGET
        case Leg.EXIT:
            return ExitReason(order.reason) if order.reason else ExitReason.MANUAL
        case Leg.ENTRY:
            raise InvariantBroken(f"entry {order.cloid} reduced the {fill.symbol} position")

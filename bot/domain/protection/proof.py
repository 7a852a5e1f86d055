"""The stop proof: does a resting stop cover the position, short of liquidation?

Knows no guard and places nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from bot.domain.types import ZERO, OrderStatus, Position, Side, VenueOrder


class Proof(StrEnum):
    """Verdict of the stop proof."""

    PROTECTED = "protected"
    NO_STOP = "no_stop"
    TOO_SMALL = "too_small"
    BEYOND_LIQUIDATION = "beyond_liquidation"


@dataclass(frozen=True, slots=True)
class StopProof:
    """Whether a position is covered by resting stops; `covered` in base units."""

    verdict: Proof
    covered: Decimal
    needed: Decimal

    @property
    def ok(self) -> bool:
        return self.verdict is Proof.PROTECTED


def protected(
    position: Position,
    venue_orders: Iterable[VenueOrder],
    liquidation_price: Decimal | None,
) -> StopProof:
    """Prove that reduce-only stops of the right side cover the position short of liquidation.

    A stop that follows the position covers all of it; fixed ones add up. Stops at or beyond
    the liquidation price cover nothing.
    """
    stops = [order for order in venue_orders if _is_stop_of(position, order)]
    if not stops:
        return StopProof(Proof.NO_STOP, ZERO, position.quantity)
    in_time = [stop for stop in stops if _before(position.side, stop, liquidation_price)]
    if not in_time:
        return StopProof(Proof.BEYOND_LIQUIDATION, ZERO, position.quantity)
    covered = sum((stop.remaining for stop in in_time), ZERO)
    if any(stop.whole_position for stop in in_time):
        covered = max(covered, position.quantity)
    verdict = Proof.PROTECTED if covered >= position.quantity else Proof.TOO_SMALL
    return StopProof(verdict, covered, position.quantity)


def _is_stop_of(position: Position, order: VenueOrder) -> bool:
    return (
        order.symbol == position.symbol
        and order.is_stop
        and order.reduce_only
        and order.trigger is not None
        and order.is_buy == (position.side is Side.SHORT)
        and order.status in (OrderStatus.OPEN, OrderStatus.PARTIAL)
    )


def _before(side: Side, stop: VenueOrder, liquidation: Decimal | None) -> bool:
    """Whether the stop triggers before the price reaches liquidation."""
    if liquidation is None or stop.trigger is None:
        return stop.trigger is not None
    return (stop.trigger - liquidation) * side.sign > 0

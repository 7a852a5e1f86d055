"""What the venue says of the account: positions, orders, answers, its stream.

Knows no wire format; adapters translate into these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from bot.domain.types.done import Fill, Funding
from bot.domain.types.names import ZERO, Cloid, Ms, OrderStatus, Symbol


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A position as the venue reports it."""

    symbol: Symbol
    signed_size: Decimal
    entry_price: Decimal
    liquidation_price: Decimal | None
    margin_used: Decimal
    leverage: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue reports it."""

    symbol: Symbol
    venue_id: int
    cloid: Cloid | None
    is_buy: bool
    limit: Decimal
    remaining: Decimal
    original: Decimal
    reduce_only: bool
    trigger: Decimal | None
    is_stop: bool  # a stop-loss trigger
    whole_position: bool  # follows the size of the position
    status: OrderStatus
    at: Ms
    raw_status: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """Positions, orders and balance of one moment."""

    equity: Decimal
    free_margin: Decimal
    positions: Mapping[Symbol, VenuePosition]
    orders: tuple[VenueOrder, ...]
    at: Ms


@dataclass(frozen=True, slots=True)
class LegAck:
    """What the venue answered for one order of a submission.

    `status` OPEN (resting, or a trigger that waits), PARTIAL, FILLED or REJECTED.
    """

    cloid: Cloid
    status: OrderStatus
    venue_id: int | None = None
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """A change of an order, told by the venue's stream."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The stream was away; what happened meanwhile must be asked for."""

    at: Ms
    gap_s: float = field(default=0.0)


VenueEvent = OrderUpdate | Fill | Funding | Reconnected

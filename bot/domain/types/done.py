"""What is done: intent, order, fill, position, trade. Decimal, at the venue's lot and tick.

Knows neither how an intent is made (`sizing`) nor who permits it (`risk`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.reasons import Check
from bot.domain.types.names import (
    ZERO,
    Cloid,
    ExitReason,
    Leg,
    Ms,
    OrderStatus,
    Side,
    Symbol,
    TraceId,
)


@dataclass(frozen=True, slots=True)
class Intent:
    """A sized wish, at the venue's lot and tick. Made in `sizing` only.

    `leg` ENTRY opens and brings `stop` and `target` along; EXIT, STOP and TARGET only
    reduce. `side` is the side of the position concerned, on every leg.
    """

    trace_id: TraceId
    symbol: Symbol
    leg: Leg
    side: Side
    quantity: Decimal  # base units, > 0
    limit: Decimal  # worst price accepted; for STOP and TARGET the price beyond the trigger
    reference: Decimal  # mark or mid from which limit was derived
    attempt: int
    cloid: Cloid
    leverage: int = 1
    trigger: Decimal | None = None  # STOP and TARGET
    stop: Decimal | None = None  # ENTRY: trigger of the stop leg
    target: Decimal | None = None  # ENTRY: trigger of the target leg
    stop_cloid: Cloid | None = None
    target_cloid: Cloid | None = None
    reason: ExitReason | None = None  # EXIT
    stop_limit: Decimal | None = None  # ENTRY: worst price of the stop leg, beyond its trigger
    target_limit: Decimal | None = None  # ENTRY: the same for the target leg
    fixed: bool = False  # STOP and TARGET: of its own size; else it follows the position
    post_only: bool = False  # EXIT: rests in the book or is refused; else immediate-or-cancel

    def __post_init__(self) -> None:
        if not (self.quantity.is_finite() and self.quantity > 0):
            raise ValueError(f"intent: quantity must be positive, is {self.quantity}")
        if not (self.limit.is_finite() and self.limit > 0):
            raise ValueError(f"intent: limit must be positive, is {self.limit}")
        if self.leg in (Leg.STOP, Leg.TARGET) and self.trigger is None:
            raise ValueError(f"intent: a {self.leg} needs a trigger")
        if self.leg is Leg.ENTRY and (self.stop is None or self.stop_cloid is None):
            raise ValueError("intent: an entry needs its stop")

    @property
    def is_buy(self) -> bool:
        opens = self.leg is Leg.ENTRY
        return (self.side is Side.LONG) == opens

    @property
    def reduce_only(self) -> bool:
        return self.leg is not Leg.ENTRY

    @property
    def notional(self) -> Decimal:
        return self.quantity * self.reference


@dataclass(frozen=True, slots=True)
class Cleared:
    """A permitted intent: the only thing a venue's `submit` takes. Made in `risk` only."""

    intent: Intent
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A wish that the account cannot bear; every failed check is in it."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)


@dataclass(frozen=True, slots=True)
class Order:
    """One order of ours, as far as we know its life."""

    cloid: Cloid
    trace_id: TraceId
    symbol: Symbol
    leg: Leg
    side: Side  # of the position
    is_buy: bool
    quantity: Decimal
    limit: Decimal
    status: OrderStatus
    created_at: Ms
    updated_at: Ms
    attempt: int = 0
    trigger: Decimal | None = None
    reduce_only: bool = False
    venue_id: int | None = None
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    expires_at: int | None = None  # signing time, ms
    reason: str | None = None  # exit reason, or the venue's words
    executions: tuple[tuple[int, int, Decimal, Decimal], ...] = ()  # at, fill id, size, price


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution at the venue. Key: (symbol, at, fill_id)."""

    fill_id: int
    symbol: Symbol
    is_buy: bool
    quantity: Decimal
    price: Decimal
    fee: Decimal  # quote currency; negative is a rebate
    closed_pnl: Decimal  # the venue's, gross of fees
    start_position: Decimal  # signed, before this fill
    at: Ms
    venue_id: int
    cloid: Cloid | None = None
    liquidation: bool = False


@dataclass(frozen=True, slots=True)
class Funding:
    """One funding payment; negative `usd` was paid."""

    symbol: Symbol
    usd: Decimal
    rate: Decimal
    size: Decimal  # signed position at the payment
    at: Ms


@dataclass(frozen=True, slots=True)
class Transfer:
    """Collateral that came in (positive) or went out, by no trade of ours; fees of it included."""

    at: Ms
    usd: Decimal
    kind: str  # the venue's word for it


@dataclass(frozen=True, slots=True)
class Position:
    """What we hold in one symbol, as a fold over our fills."""

    symbol: Symbol
    side: Side
    quantity: Decimal  # > 0
    entry_price: Decimal  # average
    opened_at: Ms
    trace_id: TraceId
    strategy: str
    entry_fees: Decimal = ZERO
    realised: Decimal = ZERO  # gross, of the parts already closed
    exit_fees: Decimal = ZERO
    funding: Decimal = ZERO
    max_quantity: Decimal = ZERO
    exit_quantity: Decimal = ZERO
    exit_value: Decimal = ZERO  # sum of price x quantity of the closing fills

    @property
    def signed(self) -> Decimal:
        return self.quantity * self.side.sign


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed position, flat to flat."""

    trace_id: TraceId
    symbol: Symbol
    side: Side
    strategy: str
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_at: Ms
    closed_at: Ms
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    exit_reason: ExitReason

    @property
    def net_pnl(self) -> Decimal:
        return self.gross_pnl - self.fees + self.funding

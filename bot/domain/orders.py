"""Life of an order of ours: its client id, its legs, and which update may change what.

Knows no venue, no clock and no position; every function gives a new `Order`.

Allowed moves (anything else leaves the status as it is):

    from      to
    NEW       SENT OPEN PARTIAL FILLED CANCELLED REJECTED EXPIRED UNKNOWN
    SENT      OPEN PARTIAL FILLED CANCELLED REJECTED EXPIRED UNKNOWN
    UNKNOWN   OPEN PARTIAL FILLED CANCELLED REJECTED EXPIRED
    OPEN      PARTIAL FILLED CANCELLED REJECTED
    PARTIAL   FILLED CANCELLED
    FILLED CANCELLED REJECTED EXPIRED   (nothing; only `filled` may still grow)

NEW leads everywhere because the venue's stream may overtake our own answer. EXPIRED means
"proved never to have existed", so nothing that was seen resting can expire.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal

from bot.domain.types import (
    ZERO,
    Cloid,
    Fill,
    Intent,
    Leg,
    LegAck,
    Ms,
    Order,
    OrderStatus,
    TraceId,
    VenueOrder,
)

CLOID_PREFIX = "0x4b45454c"  # "KEEL" in ASCII; spec 05, "Signals and numbers"
_HASH_DIGITS = 24  # 96 bits, what the 128-bit client id leaves beside the prefix
_IMMEDIATE = (Leg.ENTRY, Leg.EXIT)  # sent immediate-or-cancel: the rest never lives on

_S = OrderStatus
ALLOWED: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    _S.NEW: (
        _S.SENT,
        _S.OPEN,
        _S.PARTIAL,
        _S.FILLED,
        _S.CANCELLED,
        _S.REJECTED,
        _S.EXPIRED,
        _S.UNKNOWN,
    ),
    _S.SENT: (
        _S.OPEN,
        _S.PARTIAL,
        _S.FILLED,
        _S.CANCELLED,
        _S.REJECTED,
        _S.EXPIRED,
        _S.UNKNOWN,
    ),
    _S.UNKNOWN: (_S.OPEN, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED),
    _S.OPEN: (_S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.REJECTED),
    _S.PARTIAL: (_S.FILLED, _S.CANCELLED),
    _S.FILLED: (),
    _S.CANCELLED: (),
    _S.REJECTED: (),
    _S.EXPIRED: (),
}


def client_id(trace_id: TraceId, leg: Leg, attempt: int) -> Cloid:
    """Name an order by what it is for: same decision, leg and attempt, same id."""
    digest = hashlib.sha256(f"{trace_id}|{leg.value}|{attempt}".encode()).hexdigest()
    return Cloid(CLOID_PREFIX + digest[:_HASH_DIGITS])


def is_ours(cloid: str | None) -> bool:
    """Whether a client id carries our prefix (case as the venue gives it does not matter)."""
    return cloid is not None and cloid.lower().startswith(CLOID_PREFIX)


def new_orders(intent: Intent, at: Ms) -> tuple[Order, ...]:
    """Write an intent down as orders: an entry with its stop and target, or the one order."""
    own = Order(
        cloid=intent.cloid,
        trace_id=intent.trace_id,
        symbol=intent.symbol,
        leg=intent.leg,
        side=intent.side,
        is_buy=intent.is_buy,
        quantity=intent.quantity,
        limit=intent.limit,
        status=OrderStatus.NEW,
        created_at=at,
        updated_at=at,
        attempt=intent.attempt,
        trigger=intent.trigger,
        reduce_only=intent.reduce_only,
        reason=intent.reason.value if intent.reason is not None else None,
    )
    if intent.leg is not Leg.ENTRY:
        return (own,)
    children = (
        (Leg.STOP, intent.stop, intent.stop_limit, intent.stop_cloid),
        (Leg.TARGET, intent.target, intent.target_limit, intent.target_cloid),
    )
    return (
        own,
        *(
            replace(
                own,
                cloid=cloid,
                leg=leg,
                is_buy=not own.is_buy,
                limit=trigger if limit is None else limit,
                trigger=trigger,
                reduce_only=True,
            )
            for leg, trigger, limit, cloid in children
            if trigger is not None and cloid is not None
        ),
    )


def sent(order: Order, at: Ms) -> Order:
    """Note that the request left this machine."""
    return _move(order, OrderStatus.SENT, at)


def unknown(order: Order, at: Ms) -> Order:
    """Note that no answer came: the order may exist."""
    return _move(order, OrderStatus.UNKNOWN, at)


def expired(order: Order, at: Ms, why: str = "never reached the venue") -> Order:
    """Note the proof that the order never existed; one already seen is left alone."""
    return _move(order, OrderStatus.EXPIRED, at, why)


def rejected(order: Order, why: str, at: Ms) -> Order:
    """Note the venue's refusal in its own words."""
    return _move(order, OrderStatus.REJECTED, at, why)


def cancelled(order: Order, at: Ms, why: str = "") -> Order:
    """Note that the order (or what was left of it) is gone from the venue."""
    return _move(order, OrderStatus.CANCELLED, at, why)


def acked(order: Order, ack: LegAck, at: Ms) -> Order:
    """Take the answer to a submission.

    A part-filled entry or exit ends here as CANCELLED with `filled` > 0: both are sent
    immediate-or-cancel, and the venue drops the rest without a word (hyperliquid.md 2.2).
    """
    known = _identified(order, ack.venue_id)
    if ack.filled > known.filled:  # an average from fills is the truer one
        known = _grown(known, ack.filled, ack.average_price)
    match ack.status:
        case OrderStatus.REJECTED:
            return _move(known, OrderStatus.REJECTED, at, ack.error)
        case OrderStatus.PARTIAL if order.leg in _IMMEDIATE:
            return _move(known, OrderStatus.CANCELLED, at, "rest not filled at once")
        case OrderStatus.FILLED if order.leg in _IMMEDIATE and known.filled < order.quantity:
            return _move(known, OrderStatus.CANCELLED, at, "rest not filled at once")
        case _:
            return _move(known, ack.status, at, ack.error)


def seen(order: Order, told: VenueOrder, at: Ms) -> Order:
    """Take the order as the venue reports it, now or late.

    What is filled is read off `original - remaining` for entries alone: the venue shrinks
    `remaining` of a reduce-only order together with the position (hyperliquid.md 2.2).
    """
    known = _identified(order, told.venue_id)
    if not order.reduce_only:
        known = _grown(known, told.original - told.remaining, None)
    status = told.status
    if status is OrderStatus.OPEN and ZERO < known.filled < known.quantity:
        status = OrderStatus.PARTIAL
    return _move(known, status, at, told.raw_status if status.terminal else "")


def filled(order: Order, fill: Fill, at: Ms) -> Order:
    """Count one execution once; the order is FILLED when its whole quantity is."""
    key = (int(fill.at), fill.fill_id)
    if any(key == (when, number) for when, number, _, _ in order.executions):
        return order
    executions = (*order.executions, (*key, fill.quantity, fill.price))
    total = sum((size for _, _, size, _ in executions), ZERO)
    value = sum((size * price for _, _, size, price in executions), ZERO)
    counted = replace(_identified(order, fill.venue_id), executions=executions)
    counted = _grown(counted, total, value / total)
    whole = counted.filled >= counted.quantity
    return _move(counted, OrderStatus.FILLED if whole else OrderStatus.PARTIAL, at)


def counted(order: Order) -> bool:
    """Whether every execution that the venue has owned up to was told to us one by one."""
    total = sum((size for _, _, size, _ in order.executions), ZERO)
    whole = order.status is OrderStatus.FILLED
    return total >= (order.quantity if whole else order.filled)


def _identified(order: Order, venue_id: int | None) -> Order:
    if venue_id is None or order.venue_id is not None:
        return order
    return replace(order, venue_id=venue_id)


def _grown(order: Order, total: Decimal, average: Decimal | None) -> Order:
    """Raise `filled` to `total` (never above the quantity, never down)."""
    total = min(total, order.quantity)
    if total < order.filled or total <= 0:
        return order
    if average is None and total == order.filled:
        return order
    return replace(order, filled=total, average_price=average or order.average_price)


def _move(order: Order, to: OrderStatus, at: Ms, why: str = "") -> Order:
    if to is OrderStatus.REJECTED and order.filled > 0:
        to = OrderStatus.CANCELLED  # what has traded was not refused
    if order.filled >= order.quantity and OrderStatus.FILLED in ALLOWED[order.status]:
        to = OrderStatus.FILLED
    if to not in ALLOWED[order.status]:
        return order
    reason = order.reason if order.reason is not None or not why else why
    return replace(order, status=to, updated_at=Ms(max(order.updated_at, at)), reason=reason)

"""Answers to our actions as domain values: one acknowledgement a leg.

Owns what `statuses` mean for an order and its children; knows no socket and no signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bot.adapters.venues.hyperliquid.shapes import Row, unreadable
from bot.domain.errors import VenueRejected
from bot.domain.types import Cloid, LegAck, OrderStatus

# Substring of the venue's words for "there is nothing to cancel" (facts 2.3).
_ALREADY_GONE = "already canceled, or filled"
_WAITING = ("waitingForFill", "waitingForTrigger")


def leg_acks(response: Row, legs: Sequence[Cloid], quantity: Decimal) -> tuple[LegAck, ...]:
    """One LegAck for each of `legs`, the parent (or only order) first.

    One error for a whole batch counts for each leg. A child that waits for a parent which
    did not fill completely is REJECTED: the venue drops it with the parent (facts 0.11).
    Raises UnreadableAnswer when the answer does not tell what became of a leg.
    """
    statuses = response.row("data").items("statuses")
    if len(statuses) == 1 and len(legs) > 1 and _error(statuses[0]) is not None:
        statuses = statuses * len(legs)
    if len(statuses) != len(legs):
        raise unreadable(response.what, "statuses", f"{len(legs)} elements", statuses)
    parent = _ack(response.what, statuses[0], legs[0], quantity)
    children = [
        _child(response.what, status, cloid, parent, quantity)
        for status, cloid in zip(statuses[1:], legs[1:], strict=True)
    ]
    return (parent, *children)


def cancelled(response: Row) -> bool:
    """True when the order is gone, by us or before. Raises VenueRejected otherwise."""
    statuses = response.row("data").items("statuses")
    if len(statuses) != 1:
        raise unreadable(response.what, "statuses", "one element", statuses)
    if statuses[0] == "success":
        return True
    error = _error(statuses[0])
    if error is None:
        raise unreadable(response.what, "statuses[0]", "success or an error", statuses[0])
    if _ALREADY_GONE in error:
        return True
    raise VenueRejected(error)


def _child(what: str, status: object, cloid: Cloid, parent: LegAck, quantity: Decimal) -> LegAck:
    orphaned = parent.status is not OrderStatus.FILLED
    if status == "waitingForFill" and orphaned:
        text = f"parent {parent.status}: the venue places no child"
        return LegAck(cloid, OrderStatus.REJECTED, error=text)
    return _ack(what, status, cloid, quantity)


def _ack(what: str, status: object, cloid: Cloid, quantity: Decimal) -> LegAck:
    if status in _WAITING:
        return LegAck(cloid, OrderStatus.OPEN)
    error = _error(status)
    if error is not None:
        return LegAck(cloid, OrderStatus.REJECTED, error=error)
    row = Row.of(f"{what}.statuses", status)
    if row.has("resting"):
        return LegAck(cloid, OrderStatus.OPEN, venue_id=row.row("resting").integer("oid"))
    if row.has("filled"):
        return _filled(row.row("filled"), cloid, quantity)
    raise unreadable(what, "statuses", "resting, filled or error", status)


def _filled(row: Row, cloid: Cloid, quantity: Decimal) -> LegAck:
    size = row.decimal("totalSz")
    return LegAck(
        cloid,
        # The rest of an IOC order is cancelled without a word (facts 2.2).
        OrderStatus.FILLED if size >= quantity else OrderStatus.PARTIAL,
        venue_id=row.integer("oid"),
        filled=size,
        average_price=row.decimal("avgPx"),
    )


def _error(status: object) -> str | None:
    if isinstance(status, dict) and isinstance(status.get("error"), str):
        return str(status["error"])
    return None

"""The account's side of the venue as domain values: positions, orders, fills, funding.

Owns what the private answers mean; knows no request and no clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from bot.adapters.venues.hyperliquid.parse_market import is_perpetual
from bot.adapters.venues.hyperliquid.shapes import Row, rows_of, unreadable
from bot.domain.types import (
    ZERO,
    Cloid,
    Fill,
    Funding,
    Ms,
    OrderStatus,
    Symbol,
    VenueOrder,
    VenuePosition,
)


class AccountMode(StrEnum):
    """Where the collateral lies (facts 1.4)."""

    CLASSIC = "classic"  # perpetuals have a balance of their own
    UNIFIED = "unified"  # spot USDC is the collateral
    PORTFOLIO = "portfolio"


@dataclass(frozen=True, slots=True)
class Clearinghouse:
    """`clearinghouseState`: positions, and the balance of a classic account."""

    equity: Decimal
    free_margin: Decimal
    unrealised: Decimal
    positions: dict[Symbol, VenuePosition]
    at: Ms | None  # None in answers from before the field existed


def account_mode(answer: object) -> AccountMode:
    """The mode of `userAbstraction`; null is an account that never chose."""
    match answer:
        case None | "default" | "disabled":
            return AccountMode.CLASSIC
        case "unifiedAccount":
            return AccountMode.UNIFIED
        case "portfolioMargin":
            return AccountMode.PORTFOLIO
    raise unreadable("userAbstraction", "answer", "a known account mode", answer)


def clearinghouse(answer: object) -> Clearinghouse:
    """Positions and balance; free margin is what cross margin has left, never negative."""
    row = Row.of("clearinghouseState", answer)
    cross = row.row("crossMarginSummary")
    entries = [entry.row("position") for entry in row.rows("assetPositions")]
    positions = {}
    for entry in entries:
        position = _position(entry)
        if position.signed_size != 0:
            positions[position.symbol] = position
    free = cross.decimal("accountValue") - cross.decimal("totalMarginUsed")
    return Clearinghouse(
        equity=row.row("marginSummary").decimal("accountValue"),
        free_margin=max(ZERO, free),
        unrealised=sum((entry.decimal("unrealizedPnl") for entry in entries), ZERO),
        positions=positions,
        at=Ms(row.integer("time")) if row.has("time") else None,
    )


def spot_usdc(answer: object) -> tuple[Decimal, Decimal]:
    """(total, hold) of USDC in `spotClearinghouseState`; zeros when there is none."""
    for balance in Row.of("spotClearinghouseState", answer).rows("balances"):
        if balance.text("coin") == "USDC":
            return balance.decimal("total"), balance.decimal("hold")
    return ZERO, ZERO


def open_orders(answer: object) -> tuple[VenueOrder, ...]:
    """Resting orders and waiting triggers of `frontendOpenOrders`, by venue id.

    Children are listed beside their parent as well (recorded answer of 2023), so only the
    top level counts: a child that stands nowhere else is not in force.
    """
    found = [
        order(row, OrderStatus.OPEN, "open", Ms(row.integer("timestamp")))
        for row in rows_of("frontendOpenOrders", answer)
        if is_perpetual(row.text("coin"))
    ]
    return tuple(sorted(found, key=lambda each: each.venue_id))


def order_status(answer: object) -> VenueOrder | None:
    """The order of `orderStatus`; None for `unknownOid`."""
    row = Row.of("orderStatus", answer)
    match row.text("status"):
        case "unknownOid":
            return None
        case "order":
            return order_event(row.row("order"))
        case other:
            raise unreadable("orderStatus", "status", "order or unknownOid", other)


def order_event(row: Row) -> VenueOrder:
    """An order with its status: an `orderUpdates` element or a historical order."""
    raw = row.text("status")
    return order(row.row("order"), status_of(raw), raw, Ms(row.integer("statusTimestamp")))


def status_of(raw: str) -> OrderStatus:
    """Class of a venue status, by its ending: the list of them grows (facts 1.3)."""
    match raw:
        case "open" | "triggered":  # a triggered order works on until it is filled
            return OrderStatus.OPEN
        case "filled":
            return OrderStatus.FILLED
    lowered = raw.lower()
    if lowered.endswith("rejected"):
        return OrderStatus.REJECTED
    if lowered.endswith(("canceled", "cancel")):
        return OrderStatus.CANCELLED
    return OrderStatus.UNKNOWN


def order(row: Row, status: OrderStatus, raw: str, at: Ms) -> VenueOrder:
    """One order, plain or as the venue's page shows it (with trigger fields)."""
    cloid = row.text_or_none("cloid")
    kind = row.text_or_none("orderType") or ""
    remaining = row.decimal("sz")
    return VenueOrder(
        symbol=Symbol(row.text("coin")),
        venue_id=row.integer("oid"),
        cloid=Cloid(cloid.lower()) if cloid is not None else None,
        is_buy=_is_buy(row),
        limit=row.decimal("limitPx"),
        remaining=remaining,
        original=row.decimal_or("origSz", remaining),
        reduce_only=row.flag("reduceOnly"),
        trigger=row.decimal("triggerPx") if row.flag("isTrigger") else None,
        is_stop=row.flag("isTrigger") and kind.startswith("Stop"),
        whole_position=row.flag("isPositionTpsl"),
        status=status,
        at=at,
        raw_status=raw,
    )


def fills(answer: object, account: str) -> tuple[Fill, ...]:
    """Fills of perpetuals, oldest first; the same fill once."""
    found: dict[tuple[Symbol, Ms, int], Fill] = {}
    for row in rows_of("fills", answer):
        if is_perpetual(row.text("coin")):
            each = fill(row, account)
            found[each.symbol, each.at, each.fill_id] = each
    return tuple(sorted(found.values(), key=fill_order))


def fill_order(each: Fill) -> tuple[Ms, int]:
    """Sort key: the venue promises no order (facts 1.3)."""
    return each.at, each.fill_id


def fill(row: Row, account: str) -> Fill:
    """One fill. `account` tells our liquidation from one that we were the other side of."""
    cloid = row.text_or_none("cloid")
    return Fill(
        fill_id=row.integer("tid") if row.has("tid") else _derived_id(row),
        symbol=Symbol(row.text("coin")),
        is_buy=_is_buy(row),
        quantity=row.decimal("sz"),
        price=row.decimal("px"),
        fee=row.decimal_or("fee", ZERO),
        closed_pnl=row.decimal("closedPnl"),
        start_position=row.decimal("startPosition"),
        at=Ms(row.integer("time")),
        venue_id=row.integer("oid"),
        cloid=Cloid(cloid.lower()) if cloid is not None else None,
        liquidation=_is_own_liquidation(row, account),
    )


def fundings(answer: object) -> tuple[Funding, ...]:
    """Funding payments of `userFunding`, oldest first."""
    found = []
    for row in rows_of("userFunding", answer):
        delta = row.row("delta")
        if delta.text("type") == "funding" and is_perpetual(delta.text("coin")):
            found.append(funding(delta, Ms(row.integer("time"))))
    return tuple(sorted(found, key=lambda each: (each.at, each.symbol)))


def funding(row: Row, at: Ms) -> Funding:
    """One payment; both the REST delta and the stream's element have these fields."""
    return Funding(
        symbol=Symbol(row.text("coin")),
        usd=row.decimal("usdc"),
        rate=row.decimal("fundingRate"),
        size=row.decimal("szi"),
        at=at,
    )


def leverage_of(answer: object) -> tuple[int, bool]:
    """(leverage, isolated) of `activeAssetData`."""
    return _leverage(Row.of("activeAssetData", answer).row("leverage"))


def _position(row: Row) -> VenuePosition:
    leverage, isolated = _leverage(row.row("leverage"))
    return VenuePosition(
        symbol=Symbol(row.text("coin")),
        signed_size=row.decimal("szi"),
        entry_price=row.decimal_or("entryPx", ZERO),
        liquidation_price=row.decimal("liquidationPx") if row.has("liquidationPx") else None,
        margin_used=row.decimal("marginUsed"),
        leverage=leverage,
        isolated=isolated,
    )


def _leverage(row: Row) -> tuple[int, bool]:
    kind = row.text("type")
    if kind not in ("cross", "isolated"):
        raise unreadable(row.what, "type", "cross or isolated", kind)
    return row.integer("value"), kind == "isolated"


def _is_buy(row: Row) -> bool:
    side = row.text("side")
    if side not in ("A", "B"):
        raise unreadable(row.what, "side", "A or B", side)
    return side == "B"


def _is_own_liquidation(row: Row, account: str) -> bool:
    if not row.has("liquidation"):
        return False
    who = row.row("liquidation").text_or_none("liquidatedUser")
    return who is None or who.lower() == account.lower()


def _derived_id(row: Row) -> int:
    """A stable id for fills from before the venue numbered them (recorded 2023)."""
    keys = ("hash", "oid", "px", "sz", "side", "startPosition")
    text = "|".join(str(row.fields.get(key)) for key in keys)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")

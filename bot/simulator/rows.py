"""Orders and fills as rows of the venue's messages.

Owns their keys; changes nothing. Shapes: facts 1.3, held to the recorded answers.
"""

from __future__ import annotations

from decimal import Decimal

from bot.simulator.accounts import AccountState, Row, SimOrder
from bot.simulator.wire import number

NO_TRIGGER = "0.0"


def side(is_buy: bool) -> str:
    return "B" if is_buy else "A"


def basic(account: AccountState, order: SimOrder) -> Row:
    """An order of `openOrders` and of the `orderUpdates` stream."""
    row: Row = {
        "coin": order.coin,
        "side": side(order.is_buy),
        "limitPx": number(order.limit),
        "sz": number(remaining(account, order)),
        "oid": order.oid,
        "timestamp": order.at,
        "origSz": number(original(account, order)),
    }
    if order.cloid is not None:
        row["cloid"] = order.cloid
    if order.reduce_only:
        row["reduceOnly"] = True
    return row


def full(account: AccountState, order: SimOrder, *, nested: bool = True) -> Row:
    """An order of `frontendOpenOrders`, `orderStatus` and `historicalOrders`."""
    children = [
        full(account, account.orders[oid], nested=False)
        for oid in order.children
        if nested and oid in account.live
    ]
    return {
        "coin": order.coin,
        "side": side(order.is_buy),
        "limitPx": number(order.limit),
        "sz": number(remaining(account, order)),
        "oid": order.oid,
        "timestamp": order.at,
        "triggerCondition": condition(order),
        "isTrigger": order.trigger is not None,
        "triggerPx": NO_TRIGGER if order.trigger is None else number(order.trigger),
        "children": children,
        "isPositionTpsl": order.whole,
        "reduceOnly": order.reduce_only,
        "orderType": kind(order),
        "origSz": number(original(account, order)),
        "tif": order.tif,
        "cloid": order.cloid,
    }


def status(account: AccountState, order: SimOrder) -> Row:
    """An order with what became of it."""
    return {
        "order": full(account, order),
        "status": order.status,
        "statusTimestamp": order.status_at,
    }


def update(account: AccountState, order: SimOrder, state: str) -> Row:
    """One entry of an `orderUpdates` frame."""
    return {
        "order": basic(account, order),
        "status": state,
        "statusTimestamp": order.status_at,
    }


def remaining(account: AccountState, order: SimOrder) -> Decimal:
    """Size left; a whole-position order shows the position it would close."""
    if order.whole and order.waits_for_mark and order.is_open:
        return abs(account.size(order.coin))
    return order.remaining


def original(account: AccountState, order: SimOrder) -> Decimal:
    if order.whole and order.waits_for_mark and order.is_open:
        return abs(account.size(order.coin))
    return order.original


def condition(order: SimOrder) -> str:
    if order.trigger is None:
        return "N/A"
    word = "above" if order.is_buy == order.is_stop else "below"
    return f"Price {word} {format(order.trigger.normalize(), 'f')}"


def kind(order: SimOrder) -> str:
    if order.trigger is None:
        return "Market" if order.tif in ("FrontendMarket", "LiquidationMarket") else "Limit"
    name = "Stop" if order.is_stop else "Take Profit"
    return f"{name} {'Market' if order.is_market else 'Limit'}"


def direction(before: Decimal, after: Decimal) -> str:
    """The venue's word for what a fill did to a position."""
    if before == 0 or ((before > 0) == (after > 0) and abs(after) > abs(before)):
        return "Open Long" if after > 0 else "Open Short"
    if after == 0 or (before > 0) == (after > 0):
        return "Close Long" if before > 0 else "Close Short"
    return "Long > Short" if before > 0 else "Short > Long"

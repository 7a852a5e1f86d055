"""Intents as the venue's order actions, byte for byte as its own SDK would hash them.

Owns key order and number format of the wire; knows no key, no nonce and no socket.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP, Decimal

from bot.domain.instrument import Instrument
from bot.domain.types import Cloid, Intent, Leg

Action = dict[str, object]

# Docs, "Take profit and stop loss": a market trigger still carries a limit; the venue's own
# page puts it 10 % beyond, so that a gap through the trigger still fills.
TRIGGER_SLIPPAGE = Decimal("0.1")


def number(value: Decimal) -> str:
    """Format for the wire: no exponent, no trailing zeros, "0" and never "-0"."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def submission(intent: Intent, instrument: Instrument) -> Action:
    """The order action of an intent: an entry with its children, or one reducing order."""
    asset = instrument.asset_id
    match intent.leg:
        case Leg.ENTRY:
            orders = [_limit(intent, asset), *_children(intent, instrument)]
            return _action(orders, "normalTpsl")
        case Leg.STOP | Leg.TARGET:
            # Sent with the position's size: right whether the venue fixes it or lets it follow.
            grouping = "na" if intent.fixed else "positionTpsl"
            return _action([_own_trigger(intent, asset)], grouping)
        case Leg.EXIT:
            return _action([_limit(intent, asset)], "na")


def legs(intent: Intent) -> tuple[Cloid, ...]:
    """Client ids in the order in which `submission` lists the orders."""
    children = (intent.stop_cloid, intent.target_cloid) if intent.leg is Leg.ENTRY else ()
    return (intent.cloid, *(cloid for cloid in children if cloid is not None))


def cancellation(asset: int, cloid: Cloid) -> Action:
    """Cancel one order by client id."""
    return {"type": "cancelByCloid", "cancels": [{"asset": asset, "cloid": cloid.lower()}]}


def isolated_leverage(asset: int, leverage: int) -> Action:
    """Set isolated margin and leverage of one asset."""
    return {"type": "updateLeverage", "asset": asset, "isCross": False, "leverage": leverage}


def trigger_limit(trigger: Decimal, *, is_buy: bool, instrument: Instrument) -> Decimal:
    """The worst price of a market trigger: 10 % beyond it, rounded away from the trigger."""
    factor = 1 + TRIGGER_SLIPPAGE if is_buy else 1 - TRIGGER_SLIPPAGE
    return instrument.round_price(trigger * factor, ROUND_UP if is_buy else ROUND_DOWN)


def _action(orders: list[Action], grouping: str) -> Action:
    return {"type": "order", "orders": orders, "grouping": grouping}


def _limit(intent: Intent, asset: int) -> Action:
    kind: Action = {"limit": {"tif": "Alo" if intent.post_only else "Ioc"}}
    return _order(
        asset,
        is_buy=intent.is_buy,
        price=intent.limit,
        size=intent.quantity,
        reduce_only=intent.reduce_only,
        kind=kind,
        cloid=intent.cloid,
    )


def _own_trigger(intent: Intent, asset: int) -> Action:
    assert intent.trigger is not None  # Intent refuses a STOP or TARGET without one
    return _order(
        asset,
        is_buy=intent.is_buy,
        price=intent.limit,
        size=intent.quantity,
        reduce_only=True,
        kind=_trigger(intent.trigger, "sl" if intent.leg is Leg.STOP else "tp"),
        cloid=intent.cloid,
    )


def _children(intent: Intent, instrument: Instrument) -> list[Action]:
    wanted = (
        (intent.stop, intent.stop_cloid, "sl"),
        (intent.target, intent.target_cloid, "tp"),
    )
    closes_by_buying = not intent.is_buy
    return [
        _order(
            instrument.asset_id,
            is_buy=closes_by_buying,
            price=trigger_limit(trigger, is_buy=closes_by_buying, instrument=instrument),
            size=intent.quantity,
            reduce_only=True,
            kind=_trigger(trigger, tpsl),
            cloid=cloid,
        )
        for trigger, cloid, tpsl in wanted
        if trigger is not None and cloid is not None
    ]


def _trigger(price: Decimal, tpsl: str) -> Action:
    return {"trigger": {"isMarket": True, "triggerPx": number(price), "tpsl": tpsl}}


def _order(
    asset: int,
    *,
    is_buy: bool,
    price: Decimal,
    size: Decimal,
    reduce_only: bool,
    kind: Action,
    cloid: Cloid,
) -> Action:
    return {
        "a": asset,
        "b": is_buy,
        "p": number(price),
        "s": number(size),
        "r": reduce_only,
        "t": kind,
        "c": cloid.lower(),
    }

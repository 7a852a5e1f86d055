"""What a request is about, in the words of a fault script.

Owns that reading of a body; judges nothing, and takes any body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ACCOUNT = ("clearinghouseState", "frontendOpenOrders", "openOrders", "spotClearinghouseState")
_FILLS = ("userFills", "userFillsByTime", "userFunding")
_PRICES = ("metaAndAssetCtxs", "allMids", "l2Book", "candleSnapshot")


def names_of(path: str, body: object) -> frozenset[str]:
    """Every name of `kinds.REQUESTS` that fits a request."""
    whole = body if isinstance(body, Mapping) else {}
    if path == "/info":
        return frozenset(("info", *_asked(str(whole.get("type")))))
    action = whole.get("action")
    return frozenset(("exchange", *_acted(action if isinstance(action, Mapping) else {})))


def _asked(kind: str) -> tuple[str, ...]:
    if kind in _ACCOUNT:
        return ("account",)
    if kind in _FILLS:
        return ("fills",)
    if kind in _PRICES:
        return ("prices",)
    return (kind,)


def _acted(action: Mapping[str, Any]) -> tuple[str, ...]:
    match action.get("type"):
        case "order":
            return ("order", *_legs(action))
        case "cancel" | "cancelByCloid":
            return ("cancel",)
        case "updateLeverage":
            return ("leverage",)
        case other:
            return (str(other),)


def _legs(action: Mapping[str, Any]) -> tuple[str, ...]:
    """An entry may bring its stop and target along; alone they are themselves."""
    orders = action.get("orders")
    first = orders[0] if isinstance(orders, list) and orders else {}
    if not isinstance(first, Mapping) or not first.get("r"):
        return ("entry",)
    kind = first.get("t")
    trigger = kind.get("trigger") if isinstance(kind, Mapping) else None
    if not isinstance(trigger, Mapping):
        return ("exit",)
    return ("stop",) if trigger.get("tpsl") == "sl" else ("target",)

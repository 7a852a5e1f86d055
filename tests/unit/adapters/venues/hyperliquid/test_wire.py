"""The wire: numbers, key order and grouping as the venue's own SDK writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hyperliquid.utils.signing import float_to_wire
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.venues.hyperliquid import wire
from bot.domain.instrument import Instrument
from bot.domain.types import Cloid, ExitReason, Intent, Leg, Side, Symbol, TraceId

ENTRY, STOP, TARGET = (Cloid("0x4b45454c" + digit * 24) for digit in "123")
ETH = Instrument(Symbol("ETH"), "ETH", 4, 4, 25, ())


def intent(leg: Leg = Leg.ENTRY, side: Side = Side.LONG, **changes: Any) -> Intent:
    fields: dict[str, Any] = {
        "trace_id": TraceId("ETH-20260101T0000-1"),
        "symbol": Symbol("ETH"),
        "leg": leg,
        "side": side,
        "quantity": Decimal("0.0147"),
        "limit": Decimal("1670.10"),
        "reference": Decimal("1665"),
        "attempt": 0,
        "cloid": ENTRY,
    }
    if leg is Leg.ENTRY:
        fields |= {"stop": Decimal("1600"), "stop_cloid": STOP}
    return Intent(**(fields | changes))


def orders_of(action: wire.Action) -> list[dict[str, Any]]:
    found = action["orders"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("100000.0", "100000"),
        ("1E+5", "100000"),
        ("-0", "0"),
        ("0.0010", "0.001"),
        ("1E-7", "0.0000001"),
    ],
)
def test_numbers_have_no_exponent_and_no_trailing_zero(value: str, text: str) -> None:
    """The venue hashes the text: another spelling of the same number is another signer."""
    assert wire.number(Decimal(value)) == text


@given(st.integers(0, 10**7), st.integers(0, 8))
def test_numbers_are_written_as_the_sdk_writes_them(digits: int, decimals: int) -> None:
    """For every number a float can hold exactly enough, our text is the SDK's."""
    value = Decimal(digits).scaleb(-decimals)
    assert wire.number(value) == float_to_wire(float(value))


def test_entry_goes_out_with_stop_and_target_in_one_action() -> None:
    """Parent first, then the children, in the SDK's key order; triggers are market orders."""
    wish = intent(target=Decimal("1800"), target_cloid=TARGET)
    action = wire.submission(wish, ETH)
    assert list(action) == ["type", "orders", "grouping"]
    assert action["grouping"] == "normalTpsl"
    parent, stop, target = orders_of(action)
    assert list(parent) == ["a", "b", "p", "s", "r", "t", "c"]
    assert parent == {
        "a": 4,
        "b": True,
        "p": "1670.1",
        "s": "0.0147",
        "r": False,
        "t": {"limit": {"tif": "Ioc"}},
        "c": ENTRY,
    }
    assert list(stop["t"]["trigger"]) == ["isMarket", "triggerPx", "tpsl"]
    assert stop == {
        "a": 4,
        "b": False,
        "p": "1440",
        "s": "0.0147",
        "r": True,
        "t": {"trigger": {"isMarket": True, "triggerPx": "1600", "tpsl": "sl"}},
        "c": STOP,
    }
    assert target["t"]["trigger"]["tpsl"] == "tp"
    assert target["p"] == "1620"
    assert wire.legs(wish) == (ENTRY, STOP, TARGET)


def test_a_short_entry_is_closed_by_buying_ten_percent_above() -> None:
    """The limit of a market trigger lies beyond it on the side that closes."""
    action = wire.submission(intent(side=Side.SHORT, stop=Decimal("1700.3")), ETH)
    _, stop = orders_of(action)
    assert (stop["b"], stop["p"]) == (True, "1870.4")  # 1870.33, rounded away from the trigger


def test_an_entry_without_target_has_two_legs() -> None:
    """No target, no third order."""
    assert wire.legs(intent()) == (ENTRY, STOP)
    assert len(orders_of(wire.submission(intent(), ETH))) == 2


@pytest.mark.parametrize(("leg", "tpsl"), [(Leg.STOP, "sl"), (Leg.TARGET, "tp")])
def test_protection_of_a_position_is_a_position_tpsl(leg: Leg, tpsl: str) -> None:
    """Reduce-only, of the intent's size, at the intent's own limit."""
    wish = intent(leg, trigger=Decimal("1600"), limit=Decimal("1440"))
    action = wire.submission(wish, ETH)
    assert action["grouping"] == "positionTpsl"
    (order,) = orders_of(action)
    assert (order["b"], order["r"], order["p"], order["s"]) == (False, True, "1440", "0.0147")
    assert order["t"] == {"trigger": {"isMarket": True, "triggerPx": "1600", "tpsl": tpsl}}


def test_an_exit_is_a_reduce_only_ioc() -> None:
    """It cannot grow or turn a position, and leaves nothing in the book."""
    action = wire.submission(intent(Leg.EXIT, reason=ExitReason.MANUAL), ETH)
    (order,) = orders_of(action)
    assert action["grouping"] == "na"
    assert (order["b"], order["r"]) == (False, True)
    assert order["t"] == {"limit": {"tif": "Ioc"}}


@given(
    st.decimals("0.0001", "150000", allow_nan=False, allow_infinity=False, places=6),
    st.booleans(),
    st.integers(0, 5),
)
def test_trigger_limits_are_valid_prices_beyond_the_trigger(
    price: Decimal, is_buy: bool, size_decimals: int
) -> None:
    """At the trigger itself an order rests in a gap and protects nothing."""
    coin = Instrument(Symbol("X"), "X", 0, size_decimals, 10, ())
    trigger = coin.round_price(price, "ROUND_UP")
    limit = wire.trigger_limit(trigger, is_buy=is_buy, instrument=coin)
    if limit > 0:
        assert coin.price_is_valid(limit)
    ratio = limit / trigger
    assert ratio >= Decimal("1.1") if is_buy else ratio <= Decimal("0.9")


def test_cancel_and_leverage_are_written_in_the_sdks_order() -> None:
    """Key order is part of what is signed; client ids are lower case."""
    cancel = wire.cancellation(4, Cloid(STOP.upper().replace("0X", "0x")))
    assert cancel == {"type": "cancelByCloid", "cancels": [{"asset": 4, "cloid": STOP}]}
    assert list(wire.isolated_leverage(4, 3).items()) == [
        ("type", "updateLeverage"),
        ("asset", 4),
        ("isCross", False),
        ("leverage", 3),
    ]

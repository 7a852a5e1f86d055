"""Canonical JSON: one value, one sequence of bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.canonical import decimal_text, dumps, loads, plain
from bot.domain.reasons import Check, CheckCode
from bot.domain.types import Side, Tier

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
decimals = st.decimals(allow_nan=False, allow_infinity=False)


@given(json_values)
def test_what_is_loaded_dumps_to_the_same_bytes(value: object) -> None:
    """dumps(loads(x)) == x for every canonical x, and the value survives."""
    data = dumps(value)
    assert dumps(loads(data)) == data
    assert loads(data) == value


@given(decimals)
def test_a_decimal_is_exact_as_text(value: Decimal) -> None:
    """No digit of a Decimal is lost, whatever its size and the context's precision."""
    assert Decimal(decimal_text(value)) == value


@given(decimals, st.integers(0, 5))
def test_equal_decimals_have_equal_texts(value: Decimal, zeros: int) -> None:
    """1.5, 1.50 and 15E-1 are spelled the same."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    padded = Decimal((sign, digits + (0,) * zeros, exponent - zeros))
    assert decimal_text(padded) == decimal_text(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0E-9", "0"),
        ("-0.00", "0"),
        ("1.50", "1.5"),
        ("1E+3", "1000"),
        ("-0.00001234", "-0.00001234"),
        ("123456789.123456789123", "123456789.123456789123"),
        ("1E+100", "1E+100"),
        ("-1.25E-100", "-1.25E-100"),
    ],
)
def test_decimals_are_spelled_plainly(value: str, text: str) -> None:
    """Written out between 1E-30 and 1E+40, with an exponent beyond."""
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN")])
def test_a_decimal_that_is_no_number_is_refused(value: Decimal) -> None:
    """Money is finite."""
    with pytest.raises(ValueError, match="finite"):
        decimal_text(value)


def test_our_types_are_spelled_by_what_they_hold() -> None:
    """Enumerations by value, dataclasses by fields, tuples as lists, NumPy numbers as numbers."""
    value = {
        Side.LONG: (Tier.TIER_2_STRONG_BUY, np.float64(0.1), np.int64(3), np.bool_(True)),
        "check": Check(CheckCode.TIER, True, Decimal("1.0"), 2.0),
    }
    assert dumps(value) == (
        b'{"LONG":[2,0.1,3,true],"check":{"code":"tier","limit":2.0,"note":"","ok":true,'
        b'"unit":"","value":"1"}}'
    )


@dataclass
class Nested:
    inner: object


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1.0, math.nan]}, r"\$\.a\[1\]"),
        (Nested({"b": -math.inf}), r"\$\.inner\.b"),
        ({"c": Decimal("NaN")}, r"\$\.c"),
        ({"d": {1, 2}}, r"\$\.d is a set"),
        ({"e": b"raw"}, r"\$\.e is a bytes"),
        ({"f": np.zeros(3)}, r"\$\.f is a ndarray"),
        ({"g": {5: 1}}, r"\$\.g has the key 5"),
        ([Nested], r"\$\[0\] is a type"),
    ],
)
def test_what_has_no_canonical_form_is_refused_by_its_path(value: object, path: str) -> None:
    """NaN, sets, bytes, arrays and keys that are not text are named by their place."""
    with pytest.raises(ValueError, match=path):
        dumps(value)


@pytest.mark.parametrize("text", ["NaN", '{"a":Infinity}', "[-Infinity]", "{", ""])
def test_what_is_not_json_is_not_loaded(text: str) -> None:
    """Python's own extensions of JSON are refused too."""
    with pytest.raises(ValueError, match=r"."):
        loads(text)


def test_plain_gives_what_loads_gives() -> None:
    """A queued value and a stored one look the same to a reader."""
    value = {"side": Side.SHORT, "parts": ({"x": Decimal("2.50")},)}
    assert plain(value) == loads(dumps(value))

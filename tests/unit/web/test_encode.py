"""How values look outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.types import Side
from bot.web.encode import encode, iso, plain


@dataclass(frozen=True, slots=True)
class Row:
    opened_at: int
    price: Decimal
    side: Side


def test_values_are_made_plain() -> None:
    """Money as text without exponent, times as ISO 8601, enums by value, no NaN."""
    assert plain(
        {
            "row": Row(1_700_000_000_123, Decimal("1E+3"), Side.LONG),
            Side.SHORT: [float("nan"), float("inf"), 1.5, None, True],
            "at": datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            "count": 1_700_000_000_123,
            "folder": Path("data"),
        }
    ) == {
        "row": {"opened_at": "2023-11-14T22:13:20.123Z", "price": "1000", "side": "LONG"},
        "SHORT": [None, None, 1.5, None, True],
        "at": "2026-01-01T00:00:00.000Z",
        "count": 1_700_000_000_123,
        "folder": "data",
    }


def test_a_type_without_a_form_is_named() -> None:
    """No `repr` of an inner object leaks out."""
    with pytest.raises(TypeError, match=r"object has no place in an answer \(key 'inner'\)"):
        plain({"inner": object()})


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_money_survives_exactly(amount: Decimal) -> None:
    """Whoever reads the string has the same number."""
    assert Decimal(json.loads(encode({"amount": amount}))["amount"]) == amount


@given(st.integers(0, 4_000_000_000_000))
def test_times_survive_exactly(at_ms: int) -> None:
    """To the millisecond."""
    moment = datetime.fromisoformat(iso(at_ms))
    assert round(moment.timestamp() * 1000) == at_ms

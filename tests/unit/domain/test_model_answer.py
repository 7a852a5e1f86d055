"""One answer of a model: strict on our side, whatever the endpoint promised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.model_answer import (
    ANSWER_SCHEMA,
    MAX_BYTES,
    MAX_EVIDENCE,
    MAX_REASONING,
    SCHEMA_TEXT,
    AnswerError,
    ModelAnswer,
    parse_answer,
)
from bot.domain.types import Action, Cited, Direction, Horizon
from tests.council import FIELDS, answer

FORBIDDEN = ("price", "symbol", "coin", "size", "quantity", "notional", "usd", "amount", "entry")


def refused(text: str) -> tuple[str, str]:
    with pytest.raises(AnswerError) as caught:
        parse_answer(text)
    return caught.value.kind.value, caught.value.detail


def test_a_valid_answer_is_read_field_by_field() -> None:
    """Nothing is added and nothing dropped."""
    assert parse_answer(answer()) == ModelAnswer(
        evidence=(Cited("signal.side", Direction.BULLISH),),
        red_flags=(),
        reasoning="It agrees.",
        action=Action.LONG,
        confidence=0.9,
        horizon=Horizon.H4,
        stop_atr=2.0,
        target_r=2.0,
        leverage_wish=3.0,
    )


def test_evidence_is_asked_for_before_the_verdict() -> None:
    """The order of the fields is the order in which a model writes."""
    properties = ANSWER_SCHEMA["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == list(FIELDS)
    assert list(properties)[:3] == ["evidence", "red_flags", "reasoning"]


def _objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, dict):
        inner = [found for value in schema.values() for found in _objects(value)]
        return [schema, *inner] if schema.get("type") == "object" else inner
    return []


def test_no_price_no_symbol_and_no_size_can_be_expressed() -> None:
    """Every object is closed, and no field of any is named like one."""
    objects = _objects(ANSWER_SCHEMA)
    assert len(objects) == 2
    for found in objects:
        assert found["additionalProperties"] is False
        assert found["required"] == list(found["properties"])
        assert not [name for name in found["properties"] for bad in FORBIDDEN if bad in name]


def test_the_schema_is_the_same_bytes_each_time() -> None:
    """Providers hash it as part of the prefix."""
    assert json.dumps(ANSWER_SCHEMA, separators=(",", ":")) == SCHEMA_TEXT
    assert json.loads(SCHEMA_TEXT) == ANSWER_SCHEMA


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "buy",
        "LONG",
        f"```json\n{answer()}\n```",
        f"Here it is: {answer()}",
        f"{answer()} {answer()}",
        answer()[:-20],
        answer().replace("0.9", "NaN"),
        answer().replace("0.9", "Infinity"),
        answer().replace("0.9", "1e999"),
        "[" * 100_000,
        "\ud800",
        answer(reasoning="x" * MAX_BYTES),
        "1" * 5_000,
    ],
)
def test_what_is_no_answer_is_refused_and_never_mended(text: str) -> None:
    """No regular expression, no fence cut off, no salvage."""
    assert refused(text)[0] in ("not_json", "schema")


def test_an_answer_is_bounded_in_bytes() -> None:
    """Not a byte more is parsed, however well it is formed."""
    padded = answer().ljust(MAX_BYTES)
    assert parse_answer(padded).action is Action.LONG
    assert refused(padded + " ")[0] == "not_json"


@pytest.mark.parametrize("name", list(FIELDS))
def test_a_missing_field_is_refused(name: str) -> None:
    """Each is required."""
    fields = {key: value for key, value in FIELDS.items() if key != name}
    assert refused(json.dumps(fields)) == ("schema", f"the answer: {name!r} is missing")


@pytest.mark.parametrize(
    "extra",
    ["price", "entry_price", "stop_loss", "symbol", "size_usd", "quantity", "coin", "__proto__"],
)
def test_a_field_too_many_is_refused(extra: str) -> None:
    """A price, a symbol or a size that a model names has nowhere to go."""
    assert refused(answer(**{extra: 1})) == ("schema", f"the answer: {extra!r} is no field of it")


def test_a_field_too_many_inside_is_refused_too() -> None:
    """Closed at every depth."""
    row = {"key": "5m.rsi", "direction": "bullish", "price": 1}
    assert refused(answer(evidence=[row]))[1] == "evidence[0]: 'price' is no field of it"


def test_a_key_that_stands_twice_is_refused() -> None:
    """Of two readers one would take the first, the other the last."""
    twice = answer()[:-1] + ', "action": "SHORT"}'
    assert refused(twice) == ("schema", "the key 'action' stands twice in one object")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confidence", 1.01),
        ("confidence", -0.01),
        ("confidence", 85),
        ("confidence", "0.9"),
        ("confidence", True),
        ("confidence", None),
        ("stop_atr", 0),
        ("stop_atr", -2),
        ("stop_atr", 10.5),
        ("target_r", 0.1),
        ("target_r", 1e9),
        ("leverage_wish", 0),
        ("leverage_wish", 125),
        ("leverage_wish", 10**400),
        ("action", "long"),
        ("action", "BUY"),
        ("action", "LONG or SHORT"),
        ("action", ["LONG"]),
        ("horizon", "5m"),
        ("horizon", ""),
        ("reasoning", "x" * (MAX_REASONING + 1)),
        ("reasoning", 1),
        ("red_flags", "none"),
        ("red_flags", ["x"] * 13),
        ("red_flags", [1]),
        ("red_flags", ["x" * 65]),
        ("evidence", {}),
        ("evidence", [{"key": "5m.rsi", "direction": "up"}]),
        ("evidence", [{"key": "x" * 65, "direction": "bullish"}]),
        ("evidence", [{"key": "5m.rsi", "direction": "bullish"}] * (MAX_EVIDENCE + 1)),
        ("evidence", ["5m.rsi"]),
    ],
)
def test_a_value_outside_its_bounds_is_refused(name: str, value: object) -> None:
    """Nothing is clamped here: an answer out of bounds is no answer."""
    assert refused(answer(**{name: value}))[0] == "schema"


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    """A seat turns one error into an abstention; there is no second kind."""
    with pytest.raises(AnswerError):
        parse_answer(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "price", "symbol"]), json_values))
def test_no_json_gets_past_the_bounds(changes: dict[str, object]) -> None:
    """Whatever stands in the fields: within the bounds, or refused."""
    try:
        found = parse_answer(json.dumps({**FIELDS, **changes}))
    except AnswerError:
        return
    assert 0 <= found.confidence <= 1
    assert 0.25 <= found.stop_atr <= 10
    assert 0.5 <= found.target_r <= 10
    assert 1 <= found.leverage_wish <= 50

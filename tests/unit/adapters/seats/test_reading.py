"""What came back: usage under its many names, and whatever stands in an answer's place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.seats.model.failure import ModelFailure
from bot.adapters.seats.model.mask import Mask
from bot.adapters.seats.model.reading import answer_of, envelope_of, usage_of
from bot.domain.types import AbstentionKind, Usage
from tests.unit.adapters.seats.given import chat


def read(reply: str) -> str:
    mask = Mask("")
    return answer_of(envelope_of(reply, mask), mask)


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 40},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(100, 50, cached=40, reasoning=30),
        ),
        (  # DeepSeek
            {
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 60,
                "prompt_cache_miss_tokens": 40,
            },
            Usage(100, 5, cached=60),
        ),
        (  # reasoning that is billed outside of the output
            {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 450},
            Usage(100, 350, reasoning=300),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": None},
            Usage(10, 1),
        ),
        ({"prompt_tokens": 10}, None),
        ({"prompt_tokens": -4, "completion_tokens": 1}, None),
        ({"prompt_tokens": "many", "completion_tokens": 1}, None),
        ({}, None),
    ],
)
def test_usage_has_one_form(said: dict[str, Any], usage: Usage | None) -> None:
    """OpenAI's, DeepSeek's and xAI's counts; what cannot be a count is none."""
    assert usage_of(said) == usage


def test_an_answer_may_come_as_text_parts_or_a_tool() -> None:
    """Three places, one text."""
    call = [{"function": {"name": "council_answer", "arguments": '{"a":1}'}}]
    assert read(chat('{"a":1}')) == '{"a":1}'
    assert read(chat(None, tool_calls=call)) == '{"a":1}'
    parts = chat("x").replace('"x"', '[{"type":"text","text":"{\\"a\\":1}"}]')
    assert read(parts) == '{"a":1}'


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (chat("x", finish_reason="error"), AbstentionKind.TRANSPORT),
        ('{"error": {"message": "overloaded"}}', AbstentionKind.TRANSPORT),
        (chat("x", refusal="no"), AbstentionKind.REFUSAL),
        (chat("{}", finish_reason="max_tokens"), AbstentionKind.CUT_OFF),
        ('{"choices": []}', AbstentionKind.NOT_JSON),
        ("<html>", AbstentionKind.NOT_JSON),
        ('{"choices": 3}', AbstentionKind.NOT_JSON),
        ('{"choices": "\\ud800"}', AbstentionKind.NOT_JSON),
        ("[" * 100_000, AbstentionKind.NOT_JSON),
    ],
)
def test_what_stands_in_its_place_has_a_kind(reply: str, kind: AbstentionKind) -> None:
    """Never an exception of another sort."""
    with pytest.raises(ModelFailure) as caught:
        read(reply)
    assert caught.value.kind is kind


def test_what_a_database_refuses_is_not_kept() -> None:
    """PostgreSQL takes no NUL: one answer would keep every later row out of the books."""
    assert read(chat("a\x00b")) == "a\ufffdb"


_json = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "usage"]), _json))
def test_no_count_of_a_stranger_breaks_the_books(said: dict[str, Any]) -> None:
    """A usage is sound or it is none."""
    found = usage_of(said)
    assert found is None or (0 <= found.cached <= found.input and found.output >= 0)

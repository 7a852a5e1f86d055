"""Strangers' text made harmless: what is stripped, what is bounded, what it can come to."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.types import SoftEffect
from bot.domain.untrusted import FENCE, Caution, caution_of, clean, fenced, lowered
from tests.injections import TEXTS

NEVER = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


def harmless(text: str) -> bool:
    return not any(unicodedata.category(char) in NEVER for char in text)


@pytest.mark.parametrize(("kind", "text"), TEXTS)
def test_nothing_invisible_is_left_of_a_hostile_text(kind: str, text: str) -> None:
    """One line of visible characters, bounded."""
    found = clean(text, 200)
    assert harmless(found), kind
    assert len(found) <= 200
    assert "\n" not in found and "  " not in found


@given(st.text(max_size=500), st.integers(1, 100))
def test_no_text_gets_anything_invisible_through(text: str, most: int) -> None:
    """Whatever Unicode holds; and cleaning what is clean changes nothing."""
    found = clean(text, most)
    assert harmless(found) and len(found) <= most
    assert clean(found, most) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BTC\u202eGNOL\u202c", "BTCGNOL"),
        ("I\u200bG\u200dN\ufeffORE", "IGNORE"),
        ("\uff33\uff39\uff33", "SYS"),
        ("a\n\t b\u2028c", "a b c"),
        ("\U000e0041\U000e0042x\ufe0f", "x"),
        ("\x1b[2Jx", "[2Jx"),
    ],
)
def test_tricks_of_unicode_are_undone(text: str, expected: str) -> None:
    """Bidi marks, zero width, fullwidth letters, line separators, tags, escape sequences."""
    assert clean(text) == expected


def test_marks_cannot_be_piled_up() -> None:
    """They would paint over the lines above."""
    assert sum(map(bool, map(unicodedata.combining, clean("x" + "\u0332" * 50)))) == 2


@given(st.text(alphabet="~ \nab", max_size=60) | st.sampled_from([text for _, text in TEXTS]))
def test_a_text_cannot_leave_its_fence(text: str) -> None:
    """Exactly two fences stand in the block: ours."""
    block = fenced("news", text)
    assert block.count(FENCE) == 2
    assert block.startswith(FENCE) and block.endswith(FENCE)
    assert len(block.split("\n")) == 3


@pytest.mark.parametrize("text", ["", "NONE", "none ", "buy", *(text for _, text in TEXTS)])
def test_what_is_not_one_of_the_words_means_avoid(text: str) -> None:
    """A reader that was talked into something else lowers exposure all the way."""
    assert caution_of(text) is Caution.AVOID


def test_the_three_words_are_read() -> None:
    """And nothing else is."""
    assert [caution_of(caution.value) for caution in Caution] == list(Caution)


@given(
    st.none() | st.integers(1, 10),
    st.floats(0, 1),
    st.lists(st.sampled_from(list(Caution)), max_size=4),
)
def test_text_can_only_lower_exposure(
    most: int | None, factor: float, cautions: list[Caution]
) -> None:
    """Neither leverage nor size is ever more than without it."""
    before = SoftEffect(most, factor)
    after = lowered(before, cautions)
    assert after.size_factor <= before.size_factor
    if before.max_leverage is not None:
        assert after.max_leverage is not None and after.max_leverage <= before.max_leverage
    if Caution.AVOID in cautions:
        assert after.size_factor == 0.0

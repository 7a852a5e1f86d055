"""Strangers' text made harmless: what is stripped, what is bounded, what it can come to."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.untrusted import clean
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

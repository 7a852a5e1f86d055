"""The mask: what counts as a secret, and what is left alone."""

from __future__ import annotations

import pytest

from bot.runtime import mask
from bot.runtime.mask import redact, register_secret


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with none, and leaves none behind."""
    monkeypatch.setattr(mask, "_secrets", set())
    monkeypatch.setattr(mask, "_pattern", None)


def test_a_hex_key_is_masked_in_every_spelling() -> None:
    """With and without 0x, in capitals too."""
    key = "0x" + "ab12" * 16
    register_secret(key)
    for text in (key, key[2:], key.upper()):
        assert redact(f"key {text}.") == "key ***."


def test_short_values_are_not_masked() -> None:
    """A secret of three characters would eat ordinary words."""
    register_secret("abc")
    register_secret("")
    assert redact("abcdef") == "abcdef"

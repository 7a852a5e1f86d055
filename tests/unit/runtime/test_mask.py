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


@pytest.mark.parametrize("shown", ["s3cret/word", "s3cret%2Fword", "user:s3cret%2Fword@host"])
def test_of_a_url_the_password_is_masked_too(shown: str) -> None:
    """A driver's message quotes the password, seldom the whole address."""
    register_secret("postgresql+asyncpg://user:s3cret%2Fword@host:5432/keel")
    assert "s3cret" not in redact(f"cannot connect with {shown}")


def test_an_address_without_a_password_masks_no_other_word() -> None:
    """The file of SQLite has none."""
    register_secret("sqlite+aiosqlite:////srv/keel/keel.db")
    assert redact("keel/keel.db user host") == "keel/keel.db user host"

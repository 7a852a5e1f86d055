""".env.example: complete, up to date, and harmless when copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.example import env_example
from config.fields import Section, describe, setting
from config.settings import known, load

EXAMPLE = Path(__file__).resolve().parents[3] / ".env.example"


def test_the_file_is_what_the_settings_say() -> None:
    """After a change: python -m config --write-env-example."""
    assert EXAMPLE.read_text(encoding="utf-8") == env_example()


def test_every_setting_is_in_it_with_its_meaning() -> None:
    """An operator reads this file instead of the source."""
    text = env_example()
    for one in known().values():
        assert f"\n#{one.name}=" in text
        assert one.meaning in text and one.allowed in text


def test_a_copy_changes_nothing() -> None:
    """All lines are commented out: a default in it would override the profile."""
    assert load({}, {}, EXAMPLE) == load({}, {}, None)


@pytest.mark.parametrize("name", [one.name for one in known().values() if one.default is not None])
def test_each_line_is_valid_once_its_mark_is_taken_off(name: str, tmp_path: Path) -> None:
    """What the file shows as a default can be written into .env as it stands."""
    line = next(row for row in env_example().splitlines() if row.startswith(f"#{name}="))
    copy = tmp_path / ".env"
    copy.write_text(line.removeprefix("#") + "\n")
    others = {"PROFILE": "conservative"} if name != "PROFILE" else {}
    assert load(others, {}, copy).settings is not None


def test_a_setting_that_cannot_say_what_is_allowed_is_refused() -> None:
    """A message without "allowed is ..." helps nobody."""

    class Bad(Section):
        things: tuple[str, ...] = setting((), "Things.")

    with pytest.raises(ValueError, match="say what is allowed"):
        describe("bad", "things", Bad.model_fields["things"])

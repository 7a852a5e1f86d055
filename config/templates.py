"""The prompt templates that ship with Keel: found by name, read as text.

Owns where they lie; knows neither their form nor what is made of them.
"""

from __future__ import annotations

from pathlib import Path

from bot.domain.errors import ConfigError

PROMPTS = Path(__file__).parent / "prompts"
COUNCIL_PROMPT = "council-v1"


def prompt_names() -> tuple[str, ...]:
    """The prompts there are, by name."""
    return tuple(sorted(found.stem for found in PROMPTS.glob("*.md")))


def prompt_text(name: str) -> str:
    """Read `config/prompts/<name>.md`. Raises ConfigError that names those there are."""
    known = prompt_names()
    if name not in known:
        raise ConfigError(f"there is no prompt {name!r} (known: {', '.join(known) or 'none'})")
    return (PROMPTS / f"{name}.md").read_text(encoding="utf-8")

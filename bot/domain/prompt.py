"""From a template and a brief to the messages that a model sees.

Owns the form of a template and of a fact's line; knows no file and no endpoint.

The system message is the same for every question of a version, so that a provider's prefix
cache hits; all that differs stands in the user message, after it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from bot.domain.brief import plain_number
from bot.domain.model_answer import SCHEMA_TEXT
from bot.domain.types import Brief, Messages

SPLIT: Final = "<!-- user -->"  # on a line of its own: stable text above, volatile below
FACTS: Final = "{facts}"
VERSION_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Template:
    """One version of the prompt; `version` is its name and the hash of its text and schema."""

    system: str
    user: str
    version: str
    schema: str = SCHEMA_TEXT


def template_of(name: str, text: str) -> Template:
    """Read a template. Raises ValueError that names what is missing from it.

    The schema is not in the text: a seat hands it over in the way that its endpoint knows.
    """
    system, split, user = text.replace("\r\n", "\n").partition(f"\n{SPLIT}\n")
    problems = [
        f"prompt {name}: {what}"
        for what, missing in (
            (f"has no line {SPLIT!r} between its stable and its volatile part", not split),
            (f"{FACTS} must stand once, in the volatile part", user.count(FACTS) != 1),
            (f"{FACTS} must not stand in the stable part", FACTS in system),
        )
        if missing
    ]
    if problems:
        raise ValueError("; ".join(problems))
    stable, volatile = system.strip() + "\n", user.strip() + "\n"
    return Template(stable, volatile, f"{name}-{_digits(stable, volatile, SCHEMA_TEXT)}")


def as_stored(template: Template) -> Template:
    """The same template, if its version still names its bytes. Raises ValueError if not."""
    named = _digits(template.system, template.user, template.schema)
    if template.version.rpartition("-")[2] != named:
        raise ValueError(f"the stored prompt {template.version} holds other bytes: {named}")
    return template


def render(template: Template, brief: Brief) -> Messages:
    """The two messages of one question: the same brief gives the same bytes."""
    lines = "\n".join(line_of(fact.key, fact.value) for fact in brief.facts)
    return Messages(template.system, template.user.replace(FACTS, lines), template.version)


def line_of(key: str, value: float | str) -> str:
    """One fact as it is shown: `5m.rsi = 28.4`."""
    return f"{key} = {value if isinstance(value, str) else plain_number(value)}"


def answer_key(identity: str, messages: Messages) -> str:
    """The hash of every byte that shapes an answer: model, parameters, messages, schema."""
    return _hash(identity, messages.system, messages.user, SCHEMA_TEXT)


def bytes_hash(messages: Messages) -> str:
    """Names the bytes that the models were shown; the schema is named by the version."""
    return _hash(messages.system, messages.user)


def _digits(stable: str, volatile: str, schema: str) -> str:
    return _hash(stable, volatile, schema)[:VERSION_DIGITS]


def _hash(*parts: str) -> str:
    """SHA-256 over the parts with their lengths, so that no two lists of parts are alike."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()

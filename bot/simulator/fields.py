"""Reading a client's JSON: a field of the right form, or the venue's answer to nonsense.

Owns forms only; knows no action.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.simulator.errors import Malformed

PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def table(value: object) -> dict[str, Any]:
    """A JSON object. Raises Malformed."""
    if not isinstance(value, dict):
        raise Malformed
    return value


def field(source: Mapping[str, Any], key: str, form: type) -> Any:
    """A field of this type; true and false are no numbers. Raises Malformed."""
    value = source.get(key)
    if not isinstance(value, form) or (form is int and isinstance(value, bool)):
        raise Malformed(key)
    return value


def number(source: Mapping[str, Any], key: str) -> Decimal:
    """A number written as text without sign or exponent. Raises Malformed."""
    text = field(source, key, str)
    if not PLAIN_NUMBER.fullmatch(text):
        raise Malformed(key)
    return Decimal(text)


def name_of(source: Mapping[str, Any], key: str) -> int | str:
    """An oid or a client id. Raises Malformed."""
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Malformed(key)
    return value

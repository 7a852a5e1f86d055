"""Owns how our values look outside: money as strings, times as ISO 8601, no NaN.

Refuses to know what the values are for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plain:
    """A value of plain JSON types only, finite: goes out as it is, without being walked again."""

    value: object


@dataclass(frozen=True, slots=True)
class Written:
    """JSON that was written before: an answer that is asked for often is not made again."""

    text: str


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def iso(at_ms: int) -> str:
    """Ms since the epoch as "2026-01-31T12:00:00.000Z"."""
    moment = EPOCH + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: object, key: str = "") -> object:
    """`value` as JSON has it; an int under a key ending in `_at` is ms and becomes ISO 8601.

    Raises TypeError for a type that has no place in an answer.
    """
    match value:
        case Enum():
            return plain(value.value, key)
        case None | bool() | str():
            return value
        case int():
            return iso(value) if key.endswith("_at") else value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case list() | tuple():
            return [plain(item, key) for item in value]
        case PurePath():
            return str(value)
        case Plain():
            return value.value
        case Written():
            return json.loads(value.text)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), f.name) for f in fields(value)}
    if isinstance(value, Mapping):  # last: their subclasses remember each type they are asked about
        return {_name(name): plain(item, _name(name)) for name, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no place in an answer (key {key!r})")


def write(value: object, key: str = "") -> str:
    """`value` as compact JSON; see `plain`."""
    return value.text if isinstance(value, Written) else _JSON.encode(plain(value, key))


def encode(value: object) -> bytes:
    """`value` as compact JSON in UTF-8."""
    return write(value).encode()


def _name(key: object) -> str:
    return str(key.value) if isinstance(key, Enum) else str(key)

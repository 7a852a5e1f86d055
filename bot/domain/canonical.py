"""Canonical JSON: one value, one sequence of bytes, on every machine and in every run.

Owns how numbers, enumerations and dataclasses are spelled; knows no table, file or trace.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import NoReturn

import numpy as np

# Between these powers of ten a Decimal is written out; beyond them with an exponent, so that a
# value like 1E+100000 stays short. Prices and sizes of any venue lie well inside.
_LOWEST_PLAIN_EXPONENT = -30
_HIGHEST_PLAIN_EXPONENT = 40


def decimal_text(value: Decimal) -> str:
    """Spell a Decimal so that equal values have equal texts and no digit is lost.

    No trailing zeros, no negative zero. Raises ValueError for NaN and infinities.
    """
    if not value.is_finite():
        raise ValueError(f"a Decimal must be finite, is {value}")
    if not value:
        return "0"
    if not _LOWEST_PLAIN_EXPONENT <= value.adjusted() <= _HIGHEST_PLAIN_EXPONENT:
        return _with_exponent(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _with_exponent(value: Decimal) -> str:
    sign, digits, _ = value.as_tuple()
    kept = "".join(map(str, digits)).rstrip("0")
    fraction = "." + kept[1:] if len(kept) > 1 else ""
    return f"{'-' if sign else ''}{kept[0]}{fraction}E{value.adjusted():+d}"


class _NoForm(ValueError):
    """What has no canonical form, and where: its place is known when it has come all the way up."""

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(f"canonical JSON: ${path} {what}")
        self._what, self._path = what, path

    def within(self, place: str) -> _NoForm:
        """The same, seen from what holds it."""
        return _NoForm(self._what, place + self._path)


def plain(value: object) -> object:
    """Turn a value into what JSON knows: None, bool, int, float, str, list, dict.

    Enumerations by value, dataclasses by fields, tuples as lists, Decimals as text.
    Raises ValueError that names the path of what has no canonical form (NaN, a set, bytes).
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NoForm(f"must be finite, is {value}")
        return float(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _NoForm(f"must be finite, is {value}")
        return decimal_text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    return _composite(value)


def _composite(value: object) -> object:
    if isinstance(value, list | tuple):
        return _items(value)
    # Before the mappings: each of their subclasses would remember every type it was asked about.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _members((name, getattr(value, name)) for name in _fields(type(value)))
    if isinstance(value, Mapping):
        return _members((_key(key), item) for key, item in value.items())
    raise _NoForm(f"is a {type(value).__name__}, which has no canonical form")


def _items(values: Sequence[object]) -> list[object]:
    made: list[object] = []
    for item in values:
        try:
            made.append(plain(item))
        except _NoForm as error:
            raise error.within(f"[{len(made)}]") from None
    return made


def _members(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for name, item in pairs:
        try:
            made[name] = plain(item)
        except _NoForm as error:
            raise error.within(f".{name}") from None
    return made


@cache
def _fields(kind: type) -> tuple[str, ...]:
    """Names of a dataclass's fields: asking for them takes longer than reading them."""
    return tuple(field.name for field in dataclasses.fields(kind))


def _key(key: object) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise _NoForm(f"has the key {key!r}; keys must be text")
    return key


def dumps(value: object) -> bytes:
    """Encode a value: keys sorted, no spaces, ASCII, floats in their shortest exact form.

    Raises ValueError that names the path of what has no canonical form.
    """
    text = json.dumps(
        plain(value), ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return text.encode("ascii")


def loads(data: bytes | str) -> object:
    """Decode canonical JSON; Decimals come back as the text they were written as.

    Raises ValueError for anything that is not JSON, NaN and Infinity included.
    """
    value: object = json.loads(data, parse_constant=_refuse_constant)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"canonical JSON: {name} is not a number it knows")

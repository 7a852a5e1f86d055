"""Canonical JSON: one value, one sequence of bytes, on every machine and in every run.

Owns how numbers, enumerations and dataclasses are spelled; knows no table, file or trace.
"""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
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
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # finite, so never "F" or "n"
    written = "".join(map(str, digits)).lstrip("0")
    if not written:
        return "0"
    kept = written.rstrip("0")
    exponent += len(written) - len(kept)
    return ("-" if sign else "") + _positional(kept, exponent)


def _positional(digits: str, exponent: int) -> str:
    """Spell digits x 10^exponent, digits without zeros at either end."""
    point = len(digits) + exponent  # digits before the decimal point
    leading = point - 1
    if not _LOWEST_PLAIN_EXPONENT <= leading <= _HIGHEST_PLAIN_EXPONENT:
        fraction = "." + digits[1:] if len(digits) > 1 else ""
        return f"{digits[0]}{fraction}E{leading:+d}"
    if exponent >= 0:
        return digits + "0" * exponent
    if point <= 0:
        return "0." + "0" * -point + digits
    return digits[:point] + "." + digits[point:]


def plain(value: object, path: str = "$") -> object:
    """Turn a value into what JSON knows: None, bool, int, float, str, list, dict.

    Enumerations by value, dataclasses by fields, tuples as lists, Decimals as text.
    Raises ValueError that names the path of what has no canonical form (NaN, a set, bytes).
    """
    if isinstance(value, Enum):
        return plain(value.value, path)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, float):
        return _finite(float(value), path)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"canonical JSON: {path} must be finite, is {value}")
        return decimal_text(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, np.generic):
        return plain(value.item(), path)
    return _composite(value, path)


def _finite(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"canonical JSON: {path} must be finite, is {value}")
    return value


def _composite(value: object, path: str) -> object:
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    # Before the mappings: each of their subclasses would remember every type it was asked about.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name), f"{path}.{field.name}")
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {_key(key, path): plain(item, f"{path}.{key}") for key, item in value.items()}
    raise ValueError(
        f"canonical JSON: {path} is a {type(value).__name__}, which has no canonical form"
    )


def _key(key: object, path: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise ValueError(f"canonical JSON: {path} has the key {key!r}; keys must be text")
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

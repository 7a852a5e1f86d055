"""Strict reading of the venue's JSON: one field at a time, each failure with its name.

Owns type checks on strangers' data; knows no meaning of any field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from bot.domain.errors import TransientError

_SHOWN = 80  # characters of a wrong value that an error may show


class UnreadableAnswer(TransientError):
    """The venue answered in a shape we cannot read: as good as no answer to a question."""


def unreadable(what: str, path: str, expected: str, found: object) -> UnreadableAnswer:
    """The error that names request, field, what was expected and what came."""
    shown = repr(found)[:_SHOWN]
    return UnreadableAnswer(f"hyperliquid {what}: {path}: expected {expected}, found {shown}")


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON object and where it came from. Unknown keys are ignored."""

    what: str
    fields: Mapping[str, object]

    @staticmethod
    def of(what: str, value: object) -> Row:
        if not isinstance(value, dict):
            raise unreadable(what, "answer", "an object", value)
        return Row(what, value)

    def has(self, key: str) -> bool:
        return self.fields.get(key) is not None

    def decimal(self, key: str) -> Decimal:
        """A number, sent as a string or as a JSON number; finite."""
        return to_decimal(self.what, key, self.fields.get(key))

    def decimal_or(self, key: str, default: Decimal) -> Decimal:
        return self.decimal(key) if self.has(key) else default

    def price(self, key: str) -> float:
        """A finite number greater than zero, as a float (market data only)."""
        value = self.number(key)
        if value <= 0:
            raise unreadable(self.what, key, "a number above 0", self.fields.get(key))
        return value

    def number(self, key: str) -> float:
        """As `decimal`, as a float (market data only); text is read without the detour."""
        value = self.fields.get(key)
        try:
            number = float(value) if isinstance(value, str) else float(self.decimal(key))
        except ValueError:
            raise unreadable(self.what, key, "a number", value) from None
        if not math.isfinite(number):
            raise unreadable(self.what, key, "a finite number", value)
        return number

    def integer(self, key: str) -> int:
        value = self.fields.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise unreadable(self.what, key, "an integer", value)
        return value

    def text(self, key: str) -> str:
        value = self.fields.get(key)
        if not isinstance(value, str):
            raise unreadable(self.what, key, "a string", value)
        return value

    def text_or_none(self, key: str) -> str | None:
        return self.text(key) if self.has(key) else None

    def flag(self, key: str) -> bool:
        """A boolean that older answers leave out; absent means false."""
        value = self.fields.get(key, False)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise unreadable(self.what, key, "true or false", value)
        return value

    def row(self, key: str) -> Row:
        value = self.fields.get(key)
        if not isinstance(value, dict):
            raise unreadable(self.what, key, "an object", value)
        return Row(f"{self.what}.{key}", value)

    def items(self, key: str) -> list[object]:
        value = self.fields.get(key)
        if not isinstance(value, list):
            raise unreadable(self.what, key, "a list", value)
        return value

    def rows(self, key: str) -> list[Row]:
        return rows_of(f"{self.what}.{key}", self.items(key))


def rows_of(what: str, value: object) -> list[Row]:
    """A list of objects."""
    if not isinstance(value, list):
        raise unreadable(what, "answer", "a list", value)
    return [Row.of(what, item) for item in value]


def to_decimal(what: str, key: str, value: object) -> Decimal:
    """A finite Decimal from a JSON string, integer or (already exact) number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise unreadable(what, key, "a number", value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise unreadable(what, key, "a number", value) from None
    if not number.is_finite():
        raise unreadable(what, key, "a finite number", value)
    return number

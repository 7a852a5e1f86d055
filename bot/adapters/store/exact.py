"""The column type in which money survives: NUMERIC on PostgreSQL, canonical text on SQLite.

Owns the conversion and refuses comparison in SQL; knows no table.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Dialect, Numeric, Text
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine

from bot.domain.canonical import decimal_text

_ALLOWED = frozenset({operators.is_, operators.is_not})


class _Incomparable(TypeDecorator.Comparator[Decimal]):
    """Text sorts as text: "9" > "10". Whoever wants to compare money does it in Decimal."""

    __slots__ = ()

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
        if op not in _ALLOWED:
            raise TypeError(
                f"an Exact column was used with {op.__name__} in SQL; read it and use Decimal, "
                "or ask the REAL column beside it"
            )
        return super().operate(op, *other, **kwargs)

    def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> Any:
        raise TypeError(f"an Exact column was used with {op.__name__} in SQL; use Decimal")


class Exact(TypeDecorator[Decimal]):
    """A finite Decimal of any size, exact both ways (spec 05: SQLAlchemy's Numeric is not).

    Trailing zeros are not kept on SQLite: 1.50 comes back as 1.5, which is equal.
    Binding NaN, an infinity or a float raises (as StatementError, from SQLAlchemy).
    """

    impl = Text
    cache_ok = True
    comparator_factory = _Incomparable

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(asdecimal=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"an Exact column takes Decimal, got {type(value).__name__}")
        text = decimal_text(value)  # refuses what is not finite on either database
        return value if dialect.name == "postgresql" else text

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)

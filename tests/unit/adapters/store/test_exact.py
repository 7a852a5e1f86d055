"""Money columns: exact both ways, refused where they would lie."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Dialect, MetaData, Table, create_engine, insert, select
from sqlalchemy.dialects import registry
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateTable

from bot.adapters.store.exact import Exact

amounts = Table("amounts", MetaData(), Column("value", Exact))


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False), max_size=20))
def test_every_decimal_comes_back_equal(values: list[Decimal]) -> None:
    """Huge, tiny and long ones alike: SQLAlchemy's own Numeric fails this on SQLite."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as db:
            amounts.create(db)
            for value in values:
                db.execute(insert(amounts), {"value": value})
            assert list(db.execute(select(amounts.c.value)).scalars()) == values
    finally:
        engine.dispose()


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), 1.5, "1.5", 1])
def test_what_is_no_finite_decimal_is_refused(value: object) -> None:
    """A float would bring its error along, NaN would poison every sum."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as db, pytest.raises(StatementError):
            amounts.create(db)
            db.execute(insert(amounts), {"value": value})
    finally:
        engine.dispose()


def test_money_is_not_compared_in_sql() -> None:
    """As text "9" is greater than "10"."""
    with pytest.raises(TypeError, match="use Decimal"):
        select(amounts).where(amounts.c.value > Decimal(9))
    with pytest.raises(TypeError, match="use Decimal"):
        select(Decimal(1) + amounts.c.value)
    assert "IS NULL" in str(select(amounts).where(amounts.c.value.is_(None)))


def _dialect(name: str) -> Dialect:
    dialect: Dialect = registry.load(name)()
    return dialect


def test_each_database_gets_its_own_column_type() -> None:
    """NUMERIC where it is exact, text where it is not."""
    create = CreateTable(amounts)
    assert "NUMERIC" in str(create.compile(dialect=_dialect("postgresql")))
    assert "TEXT" in str(create.compile(dialect=_dialect("sqlite")))
    bound = Exact().bind_processor(_dialect("postgresql"))
    assert bound is None or bound(Decimal("1.50")) == Decimal("1.50")

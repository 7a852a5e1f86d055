"""The price book: exact, dated, and never without a price."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import ConfigError
from bot.domain.prices import Price, PriceBook, SpendingLimits, refusal
from bot.domain.types import Usage

OLD = Price("m", date(2026, 1, 1), Decimal("1"), Decimal("0.1"), Decimal("4"))
NEW = Price("m", date(2026, 6, 1), Decimal("2"), Decimal("0.2"), Decimal("8"))
tokens = st.integers(0, 200_000)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_price_of_the_day_holds() -> None:
    """The last millisecond of a day is the old price's, the next the new one's."""
    book = PriceBook([NEW, OLD])
    assert book.at("m", at("2026-05-31T23:59:59.999")) == OLD
    assert book.at("m", at("2026-06-01T00:00:00")) == NEW


def test_an_edited_price_is_another_version() -> None:
    """What was booked names the very numbers, so an edit never changes history unseen."""
    edited = Price("m", OLD.effective_from, Decimal("1.5"), OLD.cached, OLD.output)
    assert edited.version != OLD.version
    assert Price("m", OLD.effective_from, Decimal("1.00"), OLD.cached, OLD.output).version == (
        OLD.version
    )


@pytest.mark.parametrize(("model", "when"), [("other", "2026-07-01"), ("m", "2025-12-31")])
def test_an_unknown_price_is_refused(model: str, when: str) -> None:
    """A model without a price, or before its first one, is never asked for nothing."""
    with pytest.raises(ConfigError, match="no price of model"):
        PriceBook([OLD, NEW]).at(model, at(when))


def test_one_price_may_stand_for_every_model() -> None:
    """A machine of one's own costs nothing, whatever runs on it; a named price goes first."""
    free = Price("*", date(2020, 1, 1), Decimal(0), Decimal(0), Decimal(0))
    book = PriceBook([free, OLD])
    assert book.at("anything", at("2026-03-01")) == free
    assert book.at("m", at("2026-03-01")) == OLD


def test_cached_tokens_cost_their_own_price() -> None:
    """1,000 in, 400 of them cached, 100 out: (600 x 1 + 400 x 0.1 + 100 x 4) / 1,000,000."""
    assert OLD.cost(Usage(1000, 100, cached=400)) == Decimal("0.00104")


@given(tokens, tokens, tokens)
def test_a_cost_never_passes_its_reserve(used: int, cached: int, output: int) -> None:
    """No token is less than a byte: a call within its limits costs at most what was reserved."""
    assert OLD.cost(Usage(used, output, cached=cached)) <= OLD.most(used, output)


@pytest.mark.parametrize("bad", ["-1", "NaN", "Infinity"])
def test_a_bad_price_cannot_be_built(bad: str) -> None:
    """A price that is no amount would make every call free or endless."""
    with pytest.raises(ValueError, match="price of m"):
        Price("m", date(2026, 1, 1), Decimal(bad), Decimal(1), Decimal(1))


def test_both_budgets_are_kept() -> None:
    """To the last micro-dollar allowed, beyond it refused with what is left."""
    limits = SpendingLimits(Decimal("0.10"), Decimal("1"))
    assert refusal(limits, Decimal("0.04"), Decimal("0.06"), Decimal("0.96")) is None
    decision = refusal(limits, Decimal("0.05"), Decimal("0.06"), Decimal(0))
    assert decision is not None and "a decision" in decision
    day = refusal(limits, Decimal("0.05"), Decimal(0), Decimal("0.96"))
    assert day is not None and "a day" in day

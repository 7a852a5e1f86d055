"""Margin, liquidation, funding and fees of `bot.domain.margin`."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import margin
from bot.domain.instrument import MarginTier

D = Decimal
FLAT = (MarginTier(D(0), 50),)
BTC = (MarginTier(D(0), 40), MarginTier(D(150_000_000), 20))
SIZES = st.decimals("-100", "100", allow_nan=False, places=3).filter(lambda size: size != 0)
PRICES = st.decimals("0.5", "5000", allow_nan=False, places=2)


def test_liquidation_price_of_the_docs_example() -> None:
    """Long 0.0335 ETH, mark 2985.9, isolated margin 4.967826, 50x: 2866.26938."""
    price = margin.liquidation_price(D("0.0335"), D("2985.9"), D("4.967826"), FLAT)
    assert price is not None
    assert abs(price - D("2866.26938")) < D("0.00001")


def test_a_long_with_ample_equity_has_no_liquidation_price() -> None:
    """A formula that gives 0 or less means: no price does it."""
    assert margin.liquidation_price(D(1), D(100), D(1_000), FLAT) is None


def test_a_short_is_liquidated_above_the_mark() -> None:
    """The side turns the formula round."""
    price = margin.liquidation_price(D(-1), D(100), D(10), FLAT)
    assert price is not None and price > 100


def test_liquidation_price_uses_the_tier_that_holds_there() -> None:
    """A short of 149 M USD is liquidated above 150 M, where the second tier rules."""
    size, mark, equity = D(-1_490), D(100_000), D(5_000_000)
    price = margin.liquidation_price(size, mark, equity, BTC)
    assert price is not None
    assert abs(size) * price > 150_000_000
    at_price = equity + size * (price - mark)
    needed = margin.maintenance_margin(abs(size) * price, BTC)
    assert abs(at_price - needed) < D("0.01")


@given(size=SIZES, mark=PRICES, cushion=st.decimals("0.01", "0.5", places=3))
def test_equity_at_the_liquidation_price_is_the_maintenance_margin(
    size: Decimal, mark: Decimal, cushion: Decimal
) -> None:
    """That is what the liquidation price means."""
    equity = abs(size) * mark * (cushion + D("0.01"))
    price = margin.liquidation_price(size, mark, equity, FLAT)
    if price is None:
        return
    left = equity + size * (price - mark)
    assert abs(left - margin.maintenance_margin(abs(size) * price, FLAT)) < D("1e-9")


def test_maintenance_is_half_the_initial_margin_at_most_leverage() -> None:
    """40x: 1.25 %."""
    assert margin.maintenance_margin(D(100_000), BTC) == D(1_250)


def test_maintenance_is_continuous_between_tiers() -> None:
    """The deduction makes the second tier begin where the first ends."""
    edge = D(150_000_000)
    below = margin.maintenance_margin(edge - D("0.01"), BTC)
    above = margin.maintenance_margin(edge + D("0.01"), BTC)
    assert abs(above - below) < D("0.001")
    assert margin.maintenance_margin(2 * edge, BTC) == edge * D("0.0125") + edge * D("0.025")


def test_leverage_falls_with_the_tier() -> None:
    """The tier's bound itself belongs to the higher tier."""
    assert margin.max_leverage_at(D(149_999_999), BTC) == 40
    assert margin.max_leverage_at(D(150_000_000), BTC) == 20


def test_isolated_margin_of_the_docs_example() -> None:
    """rawUsd -95.059824 and a value of 100.02765 leave 4.967826."""
    assert margin.isolated_margin(D("-95.059824"), D("0.0335"), D("2985.9")) == D("4.967826")


def test_initial_margin_ignores_the_side() -> None:
    assert margin.initial_margin(D(-2), D(100), 5) == margin.initial_margin(D(2), D(100), 5) == 40


def test_fees_are_truncated_to_six_decimals() -> None:
    """79.146 * 0.00015 is 0.0118719: the venue charges 0.011871."""
    assert margin.fee(D("79.146"), D("0.00015")) == D("0.011871")


def test_longs_pay_a_positive_rate() -> None:
    assert margin.funding_payment(D(2), D(100), D("0.0001")) == D("-0.02")
    assert margin.funding_payment(D(-2), D(100), D("0.0001")) == D("0.02")


@pytest.mark.parametrize(
    ("premium", "hourly"),
    [
        ("0", "0.0000125"),  # interest alone: the baseline
        ("0.0003", "0.0000125"),  # within the clamp the rate is the interest
        ("0.001", "0.0000625"),  # beyond it the premium less the clamp
        ("-0.001", "-0.0000625"),
        ("1", "0.04"),  # the cap
        ("-1", "-0.04"),
    ],
)
def test_funding_rate_follows_the_clamp_and_the_cap(premium: str, hourly: str) -> None:
    """F = P + clamp(0.0001 - P, -0.0005, 0.0005), an eighth of it each hour, cap 4 %."""
    assert margin.funding_rate(D(premium)) == D(hourly)


def test_adding_averages_the_entry() -> None:
    after = margin.net(D(1), D(100), D(3), D(104))
    assert (after.size, after.entry, after.closed_pnl) == (D(4), D(103), D(0))


def test_reducing_keeps_the_entry_and_realises() -> None:
    after = margin.net(D(-4), D(100), D(1), D(90))
    assert (after.size, after.entry, after.closed, after.closed_pnl) == (D(-3), D(100), D(1), D(10))


def test_flipping_closes_all_and_enters_at_the_fill() -> None:
    after = margin.net(D(2), D(100), D(-3), D(110))
    assert (after.size, after.entry, after.closed, after.closed_pnl) == (D(-1), D(110), D(2), D(20))


@given(st.lists(st.tuples(SIZES, PRICES), min_size=1, max_size=12), PRICES)
def test_realised_and_open_profit_equal_the_cash_flow(
    fills: list[tuple[Decimal, Decimal]], mark: Decimal
) -> None:
    """Whatever the fills: closed profit and open profit are value less what was paid."""
    size = entry = closed = cash = D(0)
    for change, price in fills:
        after = margin.net(size, entry, change, price)
        size, entry = after.size, after.entry
        closed += after.closed_pnl
        cash -= change * price
    total = closed + margin.unrealized(size, entry, mark)
    assert abs(total - (cash + size * mark)) < D("1e-15")

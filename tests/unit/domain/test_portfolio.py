"""Folds over fills and funding: positions, trades, ledger, and the base of size."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import InvariantBroken
from bot.domain.portfolio import (
    Ledger,
    Opening,
    PortfolioView,
    Reservation,
    apply_fill,
    apply_funding,
    booked,
    equity,
    sizing_capital,
    unrealised,
)
from bot.domain.types import (
    ZERO,
    ExitReason,
    Fill,
    Funding,
    Ms,
    Position,
    Side,
    Symbol,
    TraceId,
    Trade,
)

D = Decimal
BTC = Symbol("BTC")
OPENING = Opening(TraceId("t"), "breakout", ExitReason.TARGET)


def fill(
    is_buy: bool, quantity: Decimal, price: Decimal, fee: Decimal = ZERO, number: int = 1
) -> Fill:
    return Fill(number, BTC, is_buy, quantity, price, fee, ZERO, ZERO, Ms(number), 7)


def fold(fills: list[Fill]) -> tuple[Position | None, Trade | None]:
    position: Position | None = None
    trade: Trade | None = None
    for one in fills:
        position, trade = apply_fill(position, one, OPENING)
    return position, trade


prices = st.decimals("0.0001", "99999", places=4).filter(lambda price: price > 0)
parts = st.lists(
    st.tuples(st.integers(1, 10_000), prices, st.decimals(-1, 5, places=6)), min_size=1, max_size=6
)


@given(st.booleans(), parts, parts)
def test_a_closed_position_earns_what_went_out_less_what_went_in(
    buys: bool,
    entries: list[tuple[int, Decimal, Decimal]],
    exits: list[tuple[int, Decimal, Decimal]],
) -> None:
    """Gross equals cash out minus cash in, to 1e-6, however entry and exit were split."""
    opened = [(D(size) / 100, price, fee) for size, price, fee in entries]
    total = sum((size for size, _, _ in opened), ZERO)
    lots, weights = sum(size for size, _, _ in entries), sum(size for size, _, _ in exits)
    sizes = [D(lots * size // weights) / 100 for size, _, _ in exits]
    sizes[-1] += total - sum(sizes, ZERO)
    closing = [(size, row[1], row[2]) for size, row in zip(sizes, exits) if size > 0]
    fills = [fill(buys, *part, number=i) for i, part in enumerate(opened)]
    fills += [fill(not buys, *part, number=50 + i) for i, part in enumerate(closing)]
    position, trade = fold(fills)
    assert position is None
    assert trade is not None
    paid = sum((size * price for size, price, _ in opened), ZERO)
    got = sum((size * price for size, price, _ in closing), ZERO)
    gross = got - paid if buys else paid - got
    fees = sum((fee for _, _, fee in (*opened, *closing)), ZERO)
    assert abs(trade.gross_pnl - gross) < D("1e-6")
    assert trade.fees == fees
    assert abs(trade.net_pnl - (gross - fees)) < D("1e-6")
    assert abs(trade.quantity - total) < D("1e-18")
    assert trade.side is (Side.LONG if buys else Side.SHORT)
    assert trade.exit_reason is ExitReason.TARGET


def test_a_part_close_realises_its_part_and_keeps_the_entry() -> None:
    """Average entry does not move when a part is closed; fees are kept apart."""
    position, _ = fold([fill(True, D(1), D(100), D("0.1")), fill(True, D(1), D(102), D("0.1"))])
    assert position is not None
    assert (position.entry_price, position.quantity) == (D(101), D(2))
    left, trade = apply_fill(position, fill(False, D("0.5"), D(105), D("0.2")), OPENING)
    assert trade is None
    assert left is not None
    assert (left.quantity, left.entry_price, left.realised) == (D("1.5"), D(101), D(2))
    assert (left.entry_fees, left.exit_fees, left.max_quantity) == (D("0.2"), D("0.2"), D(2))


def test_a_fill_that_would_flip_is_refused() -> None:
    """Keel never flips: such a fill means that our books are wrong."""
    position, _ = fold([fill(True, D(1), D(100))])
    with pytest.raises(InvariantBroken, match="turn round"):
        apply_fill(position, fill(False, D("1.1"), D(100)), OPENING)


def test_a_fill_of_another_symbol_is_refused() -> None:
    """A position is of one symbol."""
    position, _ = fold([fill(True, D(1), D(100))])
    with pytest.raises(InvariantBroken, match="ETH"):
        apply_fill(position, replace(fill(False, D(1), D(1)), symbol=Symbol("ETH")), OPENING)


def test_a_liquidation_is_told_as_one() -> None:
    """Whatever exit was meant."""
    position, _ = fold([fill(True, D(1), D(100))])
    _, trade = apply_fill(position, replace(fill(False, D(1), D(90)), liquidation=True), OPENING)
    assert trade is not None
    assert trade.exit_reason is ExitReason.LIQUIDATION


def test_funding_is_part_of_the_net() -> None:
    """Paid funding lowers it; funding of another symbol is refused."""
    position, _ = fold([fill(False, D(1), D(100), D("0.1"))])
    assert position is not None
    paid = Funding(BTC, D("-0.3"), D("0.0001"), D(-1), Ms(5))
    position = apply_funding(position, paid)
    _, trade = apply_fill(position, fill(True, D(1), D(99), D("0.1")), OPENING)
    assert trade is not None
    assert trade.net_pnl == D("0.5")
    with pytest.raises(InvariantBroken):
        apply_funding(position, replace(paid, symbol=Symbol("ETH")))


@pytest.mark.parametrize(("side", "profit"), [(True, "4"), (False, "-4")])
def test_unrealised_is_signed_by_side(side: bool, profit: str) -> None:
    """Longs earn on the way up, shorts on the way down."""
    position, _ = fold([fill(side, D(2), D(100))])
    assert position is not None
    assert unrealised(position, D(102)) == D(profit)


def test_equity_is_cash_and_open_profit() -> None:
    """Realised less fees plus funding plus unrealised; without a mark it is unknown."""
    one = replace(fill(False, D(1), D(110), D("0.5")), closed_pnl=D(10))
    ledger = booked(Ledger(D(1000)), [one], [Funding(BTC, D(-1), ZERO, ZERO, Ms(1))])
    assert ledger == Ledger(D(1000), D(10), D("0.5"), D(-1))
    assert ledger.cash == D("1008.5")
    position, _ = fold([fill(True, D(2), D(100))])
    assert position is not None
    assert equity(ledger, [position], {BTC: D(101)}) == D("1010.5")
    with pytest.raises(InvariantBroken, match="BTC"):
        equity(ledger, [position], {})


@pytest.mark.parametrize(
    ("equity_now", "realised", "trades", "base"),
    [
        ("1000", "0", 0, "1000"),
        ("1500", "500", 19, "1000"),  # no compounding yet
        ("800", "-200", 19, "800"),  # what is there, where it is less
        ("1500", "500", 20, "1500"),
        ("800", "-200", 20, "800"),
        ("900", "500", 20, "900"),  # never more than there is
        ("-5", "-1005", 3, "0"),
    ],
)
def test_size_compounds_only_after_twenty_trades(
    equity_now: str, realised: str, trades: int, base: str
) -> None:
    """INITIAL_CAPITAL or equity, whichever is smaller; plus realised from 20 trades on."""
    assert sizing_capital(D(1000), D(equity_now), D(realised), trades) == D(base)


def test_the_view_counts_what_is_in_flight() -> None:
    """Exposure is held and reserved; a correlation is the same either way round."""
    position, _ = fold([fill(True, D(2), D(100))])
    assert position is not None
    eth = Symbol("ETH")
    view = PortfolioView(
        equity=D(1000),
        capital=D(1000),
        free_margin=D(900),
        positions={BTC: position},
        reservations=(Reservation(eth, Side.LONG, D(50), D(1)),),
        correlations=((BTC, eth, 0.9),),
    )
    assert view.exposure() == D(250)
    assert view.correlation(eth, BTC) == view.correlation(BTC, eth) == 0.9
    assert view.correlation(BTC, BTC) == 1.0
    assert view.correlation(BTC, Symbol("SOL")) is None

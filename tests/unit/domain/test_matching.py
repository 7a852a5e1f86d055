"""Book, matching, triggers and reduce-only rules of `bot.domain.matching`."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.instrument import Instrument
from bot.domain.matching import (
    Book,
    Level,
    Resting,
    Take,
    average_price,
    is_triggered,
    kept_reduce_only,
    ladder,
    match,
    reducible,
    touch,
)
from bot.domain.types import Symbol

D = Decimal
BOOK = Book(
    bids=(Level(D(99), D(1)), Level(D(98), D(2))),
    asks=(Level(D(101), D(1)), Level(D(102), D(2))),
)
ETH = Instrument(Symbol("ETH"), "ETH", 0, 4, 25, ())
EVEN = [(D("0.05"), D("0.05"))] * 20


def test_takes_the_best_price_first_and_leaves_the_rest() -> None:
    met = match(BOOK, (), owner="me", is_buy=True, size=D(2), limit=D(105))
    assert [(take.price, take.size) for take in met.takes] == [(D(101), D(1)), (D(102), D(1))]
    assert met.remaining == 0
    assert met.book.asks == (Level(D(102), D(1)),)
    assert met.book.bids == BOOK.bids


def test_never_trades_beyond_the_limit() -> None:
    met = match(BOOK, (), owner="me", is_buy=False, size=D(5), limit=D(99))
    assert (met.filled, met.remaining) == (D(1), D(4))


def test_orders_come_before_the_ladder_and_older_before_newer() -> None:
    """At one price: time first, the seeded liquidity last."""
    resting = [
        Resting(8, "b", False, D(101), D(1)),
        Resting(7, "a", False, D(101), D(1)),
        Resting(9, "c", True, D(101), D(1)),
    ]
    met = match(BOOK, resting, owner="me", is_buy=True, size=D(3), limit=D(101))
    assert [take.maker for take in met.takes] == [7, 8, None]


def test_own_orders_are_named_instead_of_traded_with() -> None:
    resting = [Resting(7, "me", False, D(100), D(1))]
    met = match(BOOK, resting, owner="me", is_buy=True, size=D(1), limit=D(101))
    assert met.own == (7,)
    assert [take.maker for take in met.takes] == [None]


LEVELS = st.lists(
    st.tuples(st.integers(1, 400), st.integers(1, 50)), max_size=8, unique_by=lambda row: row[0]
)
ORDERS = st.lists(
    st.tuples(st.integers(1, 900), st.integers(1, 50), st.sampled_from("abc"), st.booleans()),
    max_size=6,
)


@given(LEVELS, LEVELS, ORDERS, st.booleans(), st.integers(1, 300), st.integers(1, 900))
def test_quantity_is_conserved_and_the_limit_holds(
    below: list[tuple[int, int]],
    above: list[tuple[int, int]],
    orders: list[tuple[int, int, str, bool]],
    is_buy: bool,
    size: int,
    limit: int,
) -> None:
    """What is taken plus what is left is what was asked; the book loses what was taken."""
    bids = tuple(Level(D(500 - p), D(s)) for p, s in sorted(below))
    asks = tuple(Level(D(500 + p), D(s)) for p, s in sorted(above))
    resting = [
        Resting(number, owner, buys, D(price), D(quantity))
        for number, (price, quantity, owner, buys) in enumerate(orders)
    ]
    book = Book(bids, asks)
    met = match(book, resting, owner="a", is_buy=is_buy, size=D(size), limit=D(limit))
    assert met.filled + met.remaining == size
    assert all(take.size > 0 for take in met.takes)
    sign = 1 if is_buy else -1
    assert all(take.price * sign <= limit * sign for take in met.takes)
    prices = [take.price * sign for take in met.takes]
    assert prices == sorted(prices)
    from_ladder = sum((take.size for take in met.takes if take.maker is None), D(0))
    before = sum((level.size for level in book.bids + book.asks), D(0))
    after = sum((level.size for level in met.book.bids + met.book.asks), D(0))
    assert before - after == from_ladder
    makers = {order.id: order for order in resting}
    for take in met.takes:
        if take.maker is not None:
            assert makers[take.maker].owner != "a"
            assert take.size <= makers[take.maker].size
    if met.remaining > 0:  # then nothing of others' within the limit is left
        assert not any(level.price * sign <= limit * sign for level in met.book.facing(is_buy))


@given(
    st.decimals("0.001", "90000", allow_nan=False, places=3).map(
        lambda mid: ETH.round_price(mid, "ROUND_HALF_EVEN")
    ),
    st.sampled_from([D("0.01"), D(1), D(7)]),
)
def test_a_ladder_is_valid_ordered_and_as_deep_as_asked(mid: Decimal, half: Decimal) -> None:
    """Every price is on the tick, also across a power of ten; bid < mid < ask."""
    if mid <= ETH.tick(mid) * 30:
        return
    book = ladder(ETH, mid, half, D(100_000), EVEN)
    bids, asks = [x.price for x in book.bids], [x.price for x in book.asks]
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < mid < asks[0]
    assert (bids[0], asks[0]) == touch(ETH, mid, half)
    assert all(ETH.price_is_valid(price) for price in bids + asks)
    assert all(ETH.size_is_valid(level.size) for level in book.bids + book.asks)


def test_a_ladder_holds_its_depth() -> None:
    book = ladder(ETH, D(3000), D(1), D(100_000), EVEN)
    for side in (book.bids, book.asks):
        usd = sum((level.price * level.size for level in side), D(0))
        assert abs(usd - 100_000) < 100


def test_a_ladder_near_the_smallest_tick_has_no_price_of_zero() -> None:
    book = ladder(ETH, D("0.03"), D(1), D(1_000), EVEN)
    assert [level.price for level in book.bids] == [D("0.02"), D("0.01")]


@pytest.mark.parametrize(
    ("is_buy", "is_stop", "mark", "fires"),
    [
        (False, True, 99, True),  # a long's stop waits for a fall
        (False, True, 100, True),
        (False, True, 101, False),
        (False, False, 101, True),  # a long's target waits for a rise
        (False, False, 99, False),
        (True, True, 101, True),  # a short's stop waits for a rise
        (True, True, 99, False),
        (True, False, 99, True),  # a short's target waits for a fall
        (True, False, 101, False),
    ],
)
def test_triggers_fire_on_their_side(is_buy: bool, is_stop: bool, mark: int, fires: bool) -> None:
    """A trigger at 100."""
    found = is_triggered(is_buy=is_buy, is_stop=is_stop, trigger=D(100), mark=D(mark))
    assert found is fires


@pytest.mark.parametrize(
    ("position", "is_buy", "size", "left"),
    [(3, False, 2, 2), (3, False, 5, 3), (3, True, 1, 0), (0, True, 1, 0), (-3, True, 4, 3)],
)
def test_reduce_only_shrinks_to_the_position_or_is_refused(
    position: int, is_buy: bool, size: int, left: int
) -> None:
    assert reducible(D(position), is_buy, D(size)) == left


def test_older_reduce_only_orders_give_way() -> None:
    """Together they never exceed the position; the newest is served first."""
    orders = [Resting(n, "me", False, D(110), D(2)) for n in (1, 2, 3)]
    assert kept_reduce_only(D(3), orders) == {3: D(2), 2: D(1), 1: D(0)}


def test_average_price_weighs_by_size() -> None:
    assert average_price([Take(D(100), D(1)), Take(D(103), D(2))]) == D(102)
    with pytest.raises(ValueError, match="no executions"):
        average_price([])

"""Folding what is true into what is known, once, in whatever order it is told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given as prove
from hypothesis import strategies as st

from bot.domain import orders as life
from bot.domain.portfolio import Reservation
from bot.domain.types import (
    ZERO,
    Cleared,
    Cloid,
    ExitReason,
    Fill,
    Funding,
    Leg,
    LegAck,
    Ms,
    OrderStatus,
    Side,
    Symbol,
    TradingState,
)
from bot.pipeline.account_view import account_view
from tests.unit.pipeline.given import BTC, START, Kit, entry, kit, plan


def sent(made: Kit, cleared: Cleared) -> Cloid:
    """An entry on its way: written, reserved, not answered."""
    intent = cleared.intent
    orders = life.new_orders(intent, made.clock.now())
    made.books.remember(orders, plan(cleared))
    made.books.reserve(
        intent.cloid, Reservation(intent.symbol, intent.side, intent.notional, Decimal(1)), START
    )
    return intent.cloid


def fill(
    number: int,
    quantity: str,
    price: str = "100",
    *,
    cloid: Cloid | None = None,
    buys: bool = True,
    pnl: str = "0",
    liquidation: bool = False,
) -> Fill:
    return Fill(
        fill_id=number,
        symbol=BTC,
        is_buy=buys,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal("0.01"),
        closed_pnl=Decimal(pnl),
        start_position=ZERO,
        at=Ms(START + number),
        venue_id=7 if cloid is not None else 100 + number,
        cloid=cloid,
        liquidation=liquidation,
    )


def held(made: Kit) -> Cloid:
    """A whole position of an entry."""
    cleared = entry()
    cloid = sent(made, cleared)
    made.books.filled(fill(1, str(cleared.intent.quantity), cloid=cloid))
    return cloid


def test_fills_of_an_entry_fold_to_the_same_position_in_any_order() -> None:
    """Quantity, average price and fees do not depend on the order of the channels."""
    parts = ("0.2", "100.0"), ("0.1", "100.2"), ("0.05", "99.9")
    seen = set()
    for order in permutations(range(3)):
        made = kit()
        cloid = sent(made, entry())
        for number in order:
            made.books.filled(fill(number, *parts[number], cloid=cloid))
        position = made.books.positions[BTC]
        price = round(position.entry_price, 12)
        seen.add((position.quantity, price, position.entry_fees, made.books.ledger.net))
    assert len(seen) == 1


@prove(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_a_fill_told_twice_counts_once(numbers: list[int]) -> None:
    """Stream, snapshot and REST tell the same fill; its key decides."""
    made = kit()
    cloid = sent(made, entry())
    for number in numbers:
        made.books.filled(fill(number, "0.01", cloid=cloid))
    distinct = len(set(numbers))
    assert made.books.positions[BTC].quantity == Decimal("0.01") * distinct
    assert made.books.ledger.fees == Decimal("0.01") * distinct


def test_funding_counts_once_and_reaches_position_and_ledger() -> None:
    """Paid funding lowers both; the same payment again changes nothing."""
    made = kit()
    held(made)
    payment = Funding(BTC, Decimal("-0.3"), Decimal("0.0001"), Decimal(1), Ms(START + 9))
    assert made.books.funded(payment)
    assert not made.books.funded(payment)
    assert made.books.positions[BTC].funding == Decimal("-0.3")
    assert made.books.ledger.funding == Decimal("-0.3")


def test_a_fill_of_somebody_else_blocks_the_symbol_and_is_not_folded() -> None:
    """A foreign position is shown, never counted as ours."""
    made = kit()
    assert not made.books.filled(fill(1, "0.5"))
    assert made.books.positions == {}
    assert made.books.ledger.fees == 0
    assert BTC in made.books.safety.blocked


def test_somebody_elses_fill_that_takes_from_our_position_is_folded_as_the_venues() -> None:
    """A person sold part, then the rest: the trade ends with the reason VENUE."""
    made = kit()
    held(made)
    whole = made.books.positions[BTC].quantity
    made.books.filled(fill(2, "0.1", buys=False))
    assert made.books.positions[BTC].quantity == whole - Decimal("0.1")
    made.books.filled(fill(3, str(whole - Decimal("0.1")), buys=False))
    assert made.books.trades[-1].exit_reason is ExitReason.VENUE
    assert not made.books.safety.blocked


def test_a_liquidation_ends_the_trade_as_such() -> None:
    """The venue's own order took it: LIQUIDATION, and the loss is in the ledger."""
    made = kit()
    held(made)
    whole = str(made.books.positions[BTC].quantity)
    made.books.filled(fill(2, whole, "90", buys=False, pnl="-5", liquidation=True))
    assert made.books.trades[-1].exit_reason is ExitReason.LIQUIDATION
    assert made.books.ledger.realised == Decimal(-5)


def test_somebody_elses_fill_that_adds_blocks() -> None:
    """More than our fills: our quantity stays as it is, the symbol is closed to entries."""
    made = kit()
    held(made)
    before = made.books.positions[BTC]
    made.books.filled(fill(2, "50", buys=True))
    assert made.books.positions[BTC] == before
    assert BTC in made.books.safety.blocked
    assert made.books.safety.state is TradingState.ACTIVE


def test_a_fill_of_more_than_we_hold_takes_all_of_ours_and_blocks() -> None:
    """A position stop covers what a stranger added too: our share is folded."""
    made = kit()
    cleared = entry()
    sent(made, cleared)
    made.books.filled(fill(1, "0.1", cloid=cleared.intent.cloid))
    stop = cleared.intent.stop_cloid
    assert made.books.filled(fill(2, "0.2", cloid=stop, buys=False, pnl="-4"))
    assert BTC not in made.books.positions
    assert made.books.ledger.realised == Decimal(-2)
    assert made.books.trades[-1].quantity == Decimal("0.1")
    assert BTC in made.books.safety.blocked
    assert made.books.safety.state is TradingState.ACTIVE


async def test_a_fill_that_cannot_be_halts_entries_and_stops_nothing_else() -> None:
    """An entry of ours that reduces: entries halt, the process and its care live on."""
    made = kit()
    cleared = entry()
    sent(made, cleared)
    made.books.filled(fill(1, "0.1", cloid=cleared.intent.cloid))
    assert not made.books.filled(fill(2, "0.1", cloid=cleared.intent.cloid, buys=False))
    assert made.books.safety.state is TradingState.HALTED
    assert BTC in made.books.safety.blocked
    assert made.books.positions[BTC].quantity == Decimal("0.1")
    await made.rows.step()
    rows = [row.fill_id for changes in made.journal.written for row in changes.fills]
    assert rows == [1, 2]


# --- reservations ------------------------------------------------------------------------


def test_exposure_is_set_aside_until_every_fill_is_in_the_position() -> None:
    """Answered as filled: kept until the fills came, then given back."""
    made = kit()
    cleared = entry()
    cloid, whole = sent(made, cleared), cleared.intent.quantity
    ack = LegAck(cloid, OrderStatus.FILLED, 7, whole, Decimal(100))
    made.books.follow_up((life.acked(made.books.orders[cloid], ack, START),))
    assert cloid in made.books.reservations
    made.books.filled(fill(1, str(whole - Decimal("0.01")), cloid=cloid))
    assert cloid in made.books.reservations
    made.books.filled(fill(2, "0.01", cloid=cloid))
    assert made.books.reservations == {}


def test_a_part_fill_before_the_answer_keeps_the_exposure() -> None:
    """The rest may fill in the same block."""
    made = kit()
    cloid = sent(made, entry())
    made.books.filled(fill(1, "0.01", cloid=cloid))
    assert cloid in made.books.reservations


@pytest.mark.parametrize("end", ["rejected", "cancelled", "expired"])
def test_an_entry_that_never_filled_gives_its_exposure_and_its_plan_back(end: str) -> None:
    """Nothing of it is left, in memory or in the journal."""
    made = kit()
    cloid = sent(made, entry())
    order = made.books.orders[cloid]
    after = {
        "rejected": life.rejected(order, "no", START),
        "cancelled": life.cancelled(order, START),
        "expired": life.expired(order, START),
    }[end]
    made.books.follow_up((after,))
    assert (made.books.reservations, made.books.plans) == ({}, {})


def test_an_unknown_entry_keeps_exposure_and_plan() -> None:
    """It may exist."""
    made = kit()
    cloid = sent(made, entry())
    made.books.follow_up((life.unknown(made.books.orders[cloid], START),))
    assert cloid in made.books.reservations
    assert BTC in made.books.plans


# --- guard and plan ------------------------------------------------------------------------


async def test_a_guard_lives_from_the_first_fill_to_the_last() -> None:
    """Made of the plan when the position opens; gone, with the plan, when it is flat."""
    made = kit()
    cloid = held(made)
    guard = made.books.guards[BTC]
    assert guard.stop == float(made.books.plans[BTC].stop)
    exit_all = replace(
        made.books.orders[cloid],
        cloid=Cloid(cloid[:-1] + "x"),
        leg=Leg.EXIT,
        status=OrderStatus.NEW,
        filled=ZERO,
        executions=(),
        reason="manual",
    )
    made.books.remember((exit_all,))
    quantity = str(made.books.positions[BTC].quantity)
    made.books.filled(fill(5, quantity, "101", cloid=exit_all.cloid, buys=False, pnl="1"))
    assert (made.books.guards, made.books.plans, made.books.positions) == ({}, {}, {})
    assert made.books.trades[-1].exit_reason is ExitReason.MANUAL
    await made.rows.step()
    state = (await made.journal.recover()).state
    assert state[f"guard:{BTC}"] is None
    assert state[f"plan:{BTC}"] is None


async def test_a_guard_is_written_when_it_changed_and_only_then() -> None:
    """Care hands the same guard over at every price."""
    made = kit()
    held(made)
    await made.rows.step()
    rows = len(made.journal.written)
    guard = made.books.guards[BTC]
    made.books.guard(guard)
    made.books.guard(replace(guard, stop_through_since=1.0))
    assert made.rows.backlog == 0
    made.books.guard(replace(guard, stop=99.9))
    assert made.rows.backlog == 1
    assert len(made.journal.written) == rows


def test_a_resting_stop_is_one_that_the_venue_named() -> None:
    """Waiting for its parent is not resting."""
    made = kit()
    cleared = entry()
    sent(made, cleared)
    stop = cleared.intent.stop_cloid
    assert stop is not None
    waiting = life.acked(made.books.orders[stop], LegAck(stop, OrderStatus.OPEN), START)
    made.books.follow_up((waiting,))
    assert made.books.resting_stops(BTC) == ()
    named = life.acked(waiting, LegAck(stop, OrderStatus.OPEN, 9), START)
    made.books.follow_up((named,))
    assert made.books.resting_stops(BTC) == (named,)


def test_the_account_is_valued_at_the_mark_and_without_one_at_the_entry() -> None:
    """Equity is cash and what the positions are worth now."""
    made = kit()
    held(made)
    quantity = made.books.positions[BTC].quantity
    made.price(BTC, 102.0)
    assert made.books.equity() == Decimal(1_000) - Decimal("0.01") + 2 * quantity
    del made.feed.prices[BTC]
    assert made.books.equity() == Decimal(1_000) - Decimal("0.01")


def test_the_view_counts_entries_of_the_last_hour_alone() -> None:
    """What was sent earlier is no longer one of this hour."""
    made = kit()
    sent(made, entry())
    assert len(account_view(made.books, made.clock.now()).entry_times) == 1
    made.clock.advance(3_600_000)
    assert account_view(made.books, made.clock.now()).entry_times == ()


def test_what_is_long_over_is_forgotten_and_what_lives_is_not() -> None:
    """2,000 orders are kept, as the venue does."""
    made = kit()
    first = entry().intent
    old = life.rejected(life.new_orders(first, START)[0], "no", START)
    for number in range(2_001):
        order = replace(old, cloid=Cloid(f"0x{number:032x}"), symbol=Symbol("X"), side=Side.LONG)
        made.books.remember((order,))
    assert len(made.books.orders) == 2_000
    assert Cloid(f"0x{0:032x}") not in made.books.orders

"""Life of an order: stable names, its legs, and updates that may come late, twice or shuffled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import orders
from bot.domain.types import (
    ZERO,
    Cloid,
    ExitReason,
    Fill,
    Intent,
    Leg,
    LegAck,
    Ms,
    Order,
    OrderStatus,
    Side,
    Symbol,
    TraceId,
    VenueOrder,
)

D = Decimal
S = OrderStatus
TRACE = TraceId("BTC-20260101T0000-1")
AT = Ms(1_000)


def entry(side: Side = Side.LONG) -> Intent:
    return Intent(
        TRACE,
        Symbol("BTC"),
        Leg.ENTRY,
        side,
        quantity=D(1),
        limit=D(101),
        reference=D(100),
        attempt=0,
        cloid=orders.client_id(TRACE, Leg.ENTRY, 0),
        stop=D(98),
        target=D(104),
        stop_cloid=orders.client_id(TRACE, Leg.STOP, 0),
        target_cloid=orders.client_id(TRACE, Leg.TARGET, 0),
        stop_limit=D("88.2"),
        target_limit=D("93.6"),
    )


ENTRY = orders.new_orders(entry(), AT)[0]
STOP = orders.new_orders(entry(), AT)[1]


def fill(number: int, quantity: str, price: str = "100") -> Fill:
    return Fill(
        number, Symbol("BTC"), True, D(quantity), D(price), ZERO, ZERO, ZERO, AT, 7, ENTRY.cloid
    )


def told(status: OrderStatus, remaining: str = "1", order: Order = ENTRY) -> VenueOrder:
    return VenueOrder(
        order.symbol,
        7,
        order.cloid,
        order.is_buy,
        order.limit,
        D(remaining),
        D(1),
        order.reduce_only,
        order.trigger,
        False,
        False,
        status,
        AT,
        status.value,
    )


def ack(status: OrderStatus, filled: str = "0", average: str | None = None) -> LegAck:
    price = None if average is None else D(average)
    return LegAck(ENTRY.cloid, status, 7, D(filled), price, "said the venue")


# --- names ---------------------------------------------------------------------------


def test_a_client_id_is_the_same_for_the_same_thing_and_ours() -> None:
    """Prefix and 96 bits of a hash of (trace, leg, attempt): a golden value."""
    cloid = orders.client_id(TRACE, Leg.ENTRY, 0)
    assert cloid == "0x4b45454ccfeafaf853dd66ca2f294a0a"
    assert len(cloid) == 34
    assert orders.is_ours(cloid)
    assert orders.is_ours(cloid.upper().replace("0X", "0x"))
    assert not orders.is_ours("0x" + "0" * 32)
    assert not orders.is_ours(None)


def test_leg_attempt_and_trace_each_change_the_name() -> None:
    """No two orders of ours share a client id."""
    names = {
        orders.client_id(TraceId(f"t{trace}"), leg, attempt)
        for trace in range(5)
        for leg in Leg
        for attempt in range(5)
    }
    assert len(names) == 5 * len(Leg) * 5


# --- legs ----------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
def test_an_entry_brings_its_stop_and_target(side: Side) -> None:
    """Children are reduce-only, on the other side, with triggers and limits of the intent."""
    parent, stop, target = orders.new_orders(entry(side), AT)
    assert (parent.leg, stop.leg, target.leg) == (Leg.ENTRY, Leg.STOP, Leg.TARGET)
    assert parent.is_buy is (side is Side.LONG)
    assert not parent.reduce_only
    for child in (stop, target):
        assert child.reduce_only
        assert child.is_buy is not parent.is_buy
        assert child.quantity == parent.quantity
    assert (stop.trigger, stop.limit) == (D(98), D("88.2"))
    assert (target.trigger, target.limit) == (D(104), D("93.6"))
    assert {order.status for order in (parent, stop, target)} == {S.NEW}


def test_an_exit_is_one_order_that_names_its_reason() -> None:
    """Reduce-only, selling what was bought."""
    intent = replace(entry(), leg=Leg.EXIT, stop=None, target=None, reason=ExitReason.TIME_STOP)
    (order,) = orders.new_orders(intent, AT)
    assert (order.reduce_only, order.is_buy, order.reason) == (True, False, "time_stop")


# --- single steps --------------------------------------------------------------------


def test_a_part_filled_entry_ends_with_what_it_got() -> None:
    """Immediate-or-cancel: the venue drops the rest, so the order is over."""
    order = orders.acked(orders.sent(ENTRY, AT), ack(S.PARTIAL, "0.6", "100.5"), AT)
    assert (order.status, order.filled, order.average_price) == (S.CANCELLED, D("0.6"), D("100.5"))
    short = orders.acked(orders.sent(ENTRY, AT), ack(S.FILLED, "0.6", "100.5"), AT)
    assert short.status is S.CANCELLED


def test_an_answer_and_its_fills_are_counted_once() -> None:
    """The answer's total and the fills tell the same quantity."""
    order = orders.acked(orders.sent(ENTRY, AT), ack(S.FILLED, "1", "100.5"), AT)
    order = orders.filled(order, fill(1, "0.4", "100"), AT)
    assert order.filled == D(1)
    order = orders.filled(order, fill(2, "0.6", "101"), AT)
    assert (order.filled, order.average_price) == (D(1), D("100.6"))
    assert orders.filled(order, fill(2, "0.6", "101"), AT) is order


def test_a_fill_that_overtakes_the_answer_opens_the_order() -> None:
    """The stream may be faster than our own request."""
    order = orders.filled(ENTRY, fill(1, "0.4"), AT)
    assert order.status is S.PARTIAL
    assert orders.acked(order, ack(S.FILLED, "1"), AT).status is S.FILLED


def test_an_unknown_order_is_resolved_by_what_is_seen() -> None:
    """UNKNOWN is left by evidence only."""
    order = orders.unknown(orders.sent(ENTRY, AT), AT)
    assert order.status is S.UNKNOWN
    assert orders.sent(order, AT).status is S.UNKNOWN
    assert orders.expired(order, AT).status is S.EXPIRED
    assert orders.seen(order, told(S.FILLED, "0"), AT).status is S.FILLED
    assert orders.seen(order, told(S.UNKNOWN), AT).status is S.UNKNOWN


def test_what_was_seen_resting_never_becomes_unknown_or_expired() -> None:
    """'Never existed' cannot be true of an order that was seen."""
    order = orders.seen(orders.sent(STOP, AT), told(S.OPEN, order=STOP), AT)
    assert order.status is S.OPEN
    assert orders.expired(order, AT) is order
    assert orders.unknown(order, AT) is order


def test_a_shrunk_reduce_only_order_has_not_traded() -> None:
    """The venue shrinks it with the position; only fills say what traded."""
    order = orders.seen(orders.sent(STOP, AT), told(S.OPEN, "0.3", order=STOP), AT)
    assert (order.filled, order.status) == (ZERO, S.OPEN)


def test_what_has_traded_was_not_refused() -> None:
    """A refusal after a fill ends the order as cancelled."""
    order = orders.filled(orders.sent(ENTRY, AT), fill(1, "0.4"), AT)
    assert orders.rejected(order, "no", AT).status is S.CANCELLED


def test_a_refusal_keeps_the_venues_words() -> None:
    """For the reader of the row."""
    order = orders.rejected(orders.sent(ENTRY, AT), "Insufficient margin", AT)
    assert (order.status, order.reason) == (S.REJECTED, "Insufficient margin")


def test_a_late_fill_of_a_cancelled_order_is_counted_without_reviving_it() -> None:
    """Terminal never leaves terminal; the quantity is true all the same."""
    order = orders.cancelled(orders.sent(ENTRY, AT), AT)
    order = orders.filled(order, fill(1, "1"), AT)
    assert (order.status, order.filled) == (S.CANCELLED, D(1))


# --- any sequence --------------------------------------------------------------------

Step = Callable[[Order], Order]
quantities = st.sampled_from(["0", "0.2", "0.5", "1", "1.5"])
statuses = st.sampled_from(list(OrderStatus))


def _fill(number: int) -> Step:
    return lambda order: orders.filled(order, fill(number, f"0.{number}"), AT)


def _seen(status: OrderStatus, left: str) -> Step:
    return lambda order: orders.seen(order, told(status, left), AT)


def _ack(status: OrderStatus, done: str) -> Step:
    return lambda order: orders.acked(order, ack(status, done, "100"), AT)


SIMPLE: list[Step] = [
    lambda order: orders.sent(order, AT),
    lambda order: orders.unknown(order, AT),
    lambda order: orders.expired(order, AT),
    lambda order: orders.rejected(order, "no", AT),
    lambda order: orders.cancelled(order, AT),
]
steps = st.one_of(
    st.sampled_from(SIMPLE),
    st.builds(_fill, st.integers(1, 4)),
    st.builds(_seen, statuses, quantities),
    st.builds(_ack, statuses, quantities),
)


@given(st.lists(steps, max_size=12), st.sampled_from([ENTRY, STOP]))
def test_no_sequence_of_updates_breaks_the_rules(sequence: list[Step], order: Order) -> None:
    """Only allowed moves; terminal is final; filled grows within the quantity."""
    for step in sequence:
        after = step(order)
        if after.status is not order.status:
            assert after.status in orders.ALLOWED[order.status]
        assert ZERO <= order.filled <= after.filled <= after.quantity
        assert after.updated_at >= order.updated_at
        assert step(after).status is after.status or not after.status.terminal
        order = after


@given(st.permutations([1, 2, 3, 4]), st.lists(st.sampled_from([1, 2, 3, 4]), max_size=4))
def test_fills_in_any_order_and_repeated_end_the_same(order: list[int], again: list[int]) -> None:
    """0.1 + 0.2 + 0.3 + 0.4 fill it, however they arrive."""
    state = orders.sent(ENTRY, AT)
    for number in (*order, *again):
        state = _fill(number)(state)
    assert (state.status, state.filled) == (S.FILLED, D(1))
    assert len(state.executions) == 4


def test_every_status_has_its_row_and_terminals_have_none() -> None:
    """The table is whole."""
    assert set(orders.ALLOWED) == set(OrderStatus)
    assert all(orders.ALLOWED[status] == () for status in OrderStatus if status.terminal)
    assert Cloid(orders.CLOID_PREFIX) == "0x" + b"KEEL".hex()

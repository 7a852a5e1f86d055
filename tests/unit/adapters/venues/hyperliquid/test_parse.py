"""Parsers: the venue's recorded answers, strictness on types, tolerance of keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.venues.hyperliquid import parse_account, parse_exchange, parse_market
from bot.adapters.venues.hyperliquid.parse_account import AccountMode
from bot.adapters.venues.hyperliquid.shapes import Row, UnreadableAnswer
from bot.domain.errors import VenueRejected
from bot.domain.types import Cloid, Ms, OrderStatus, Symbol
from tests.unit.adapters.venues.hyperliquid.fake_venue import (
    META,
    STATE,
    a_fill,
    candle,
    context,
    funding_row,
)

BTC, ETH = Symbol("BTC"), Symbol("ETH")
LEGS = (Cloid("0xa"), Cloid("0xb"), Cloid("0xc"))
ME = "0x5e9ee1089755c3435139848e47e6635505d5a13a"


@pytest.fixture(scope="session")
def recorded(shared_data: Path) -> Any:
    def read(name: str) -> Any:
        text = (shared_data / "hyperliquid" / f"{name}.json").read_text()
        return json.loads(text, parse_float=Decimal)["response"]

    return read


# --- recorded answers ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["info", "candles_snapshot.0", "l2_snapshot.0"])
def test_recorded_meta(recorded: Any, name: str) -> None:
    """A meta of 2023, without margin tables: every coin untiered, ids by place."""
    found = parse_market.instruments(recorded(name))
    assert len(found) >= 25
    assert found[BTC].asset_id == 0 and found[ETH].asset_id == 1
    assert found[BTC].size_decimals == 5
    assert found[BTC].tiers[0].max_leverage == 50


def test_recorded_candles(recorded: Any) -> None:
    """24 candles, the one that contains the start included."""
    found = parse_market.candles(recorded("candles_snapshot.1"))
    assert len(found) == 24
    assert found[0] == (1684699200000, 0.001601, 0.001616, 0.001601, 0.001604, 520665683.0)


def test_recorded_account(recorded: Any) -> None:
    """Twelve cross positions of 2023; the equity is the margin summary's."""
    state = parse_account.clearinghouse(recorded("user_state"))
    assert len(state.positions) == 12
    assert state.equity == Decimal("1182.312496")
    assert state.positions[BTC].signed_size == Decimal("-0.00785")
    assert state.positions[ETH].liquidation_price is None
    assert not state.positions[BTC].isolated
    assert Decimal(0) < state.free_margin < state.equity


def test_recorded_open_orders(recorded: Any) -> None:
    """A parent with its stop and target: three orders, no child counted twice."""
    found = parse_account.open_orders(recorded("frontend_open_orders"))
    assert [order.venue_id for order in found] == [3184595905, 3184595906, 3184595907]
    _, stop, target = found
    assert (stop.is_stop, stop.trigger, stop.reduce_only) == (True, Decimal("9.995"), True)
    assert (target.is_stop, target.trigger) == (False, Decimal("10.004"))
    assert found[0].trigger is None


def test_recorded_historical_orders(recorded: Any) -> None:
    """Statuses are classed by their ending."""
    found = [
        parse_account.order_event(Row("historicalOrders", each))
        for each in recorded("historical_orders")
    ]
    assert len(found) == 5
    assert {order.status for order in found} <= {OrderStatus.REJECTED, OrderStatus.CANCELLED}
    assert found[0].raw_status == "iocCancelRejected"


def test_recorded_fills(recorded: Any) -> None:
    """500 fills newest first come out oldest first; those without tid have stable ids."""
    raw = recorded("user_fills")
    found = parse_account.fills(raw, ME)
    assert found == parse_account.fills(list(reversed(raw)), ME)
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert len(found) == 500
    assert sum(each.closed_pnl for each in found) == sum(Decimal(r["closedPnl"]) for r in raw)


def test_recorded_funding(recorded: Any) -> None:
    """218 payments; what was paid is negative."""
    raw = recorded("user_funding_history_without_end_time")
    found = parse_account.fundings(raw)
    assert len(found) == len(raw) == 218
    assert sum(each.usd for each in found) == sum(Decimal(r["delta"]["usdc"]) for r in raw)


# --- market ----------------------------------------------------------------------------


def test_asset_ids_count_delisted_coins_and_tiers_come_from_the_tables() -> None:
    """A filter before counting would send orders to the wrong coin."""
    found = parse_market.instruments(META)
    assert (found[ETH].asset_id, found[Symbol("OLD")].delisted) == (2, True)
    assert [tier.max_leverage for tier in found[BTC].tiers] == [40, 20]
    assert found[BTC].tiers[1].lower_bound == 150_000_000
    assert [tier.max_leverage for tier in found[ETH].tiers] == [25]


@pytest.mark.parametrize(
    ("extra", "isolated"),
    [({}, False), ({"onlyIsolated": True}, True), ({"marginMode": "strictIsolated"}, True)],
)
def test_only_isolated_coins_are_known(extra: dict[str, object], isolated: bool) -> None:
    """Both spellings of the rule are read."""
    coin = {"name": "X", "szDecimals": 0, "maxLeverage": 3} | extra
    assert parse_market.instruments({"universe": [coin]})[Symbol("X")].only_isolated is isolated


def test_markets_are_positional_and_leave_delisted_coins_out() -> None:
    """The second context belongs to the second coin, listed or not."""
    contexts = [context("100"), context("0.0"), context("200", impactPxs=None, midPx=None)]
    found = parse_market.markets([META, contexts], Ms(5))
    assert list(found) == [BTC, ETH]
    assert (found[BTC].bid, found[BTC].ask, found[BTC].at) == (99.9, 100.2, 5)
    assert (found[ETH].mark, found[ETH].bid, found[ETH].ask) == (200.0, 200.0, 200.0)
    with pytest.raises(UnreadableAnswer, match="3 contexts"):
        parse_market.markets([META, contexts[:2]], Ms(5))


def test_a_coin_without_a_price_hides_no_other() -> None:
    """A coin that was just listed has zeros; the others still trade."""
    contexts = [context("0.0"), context("1"), context("200")]
    assert list(parse_market.markets([META, contexts], Ms(5))) == [ETH]


def test_a_book_with_an_empty_side_is_no_book() -> None:
    """Half a book gives neither bid nor ask."""
    level = {"px": "99.5", "sz": "1", "n": 1}
    assert parse_market.top_of_book(Row("bbo", {"bbo": [level, None]})) is None
    assert parse_market.top_of_book(Row("bbo", {"bbo": [level, level]})) == (99.5, 99.5)


@pytest.mark.parametrize(
    "change",
    [{"h": "0.5"}, {"l": "2.0"}, {"c": "-1"}, {"v": "-1"}, {"o": "NaN"}, {"t": "1"}, {"c": None}],
)
def test_a_candle_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    """A bad bar cannot be built; the error names the field."""
    with pytest.raises(UnreadableAnswer, match="candle"):
        parse_market.candle(Row("candle", candle("BTC", "1m", 0, 60_000) | change))


# --- account ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("open", OrderStatus.OPEN),
        ("triggered", OrderStatus.OPEN),
        ("filled", OrderStatus.FILLED),
        ("canceled", OrderStatus.CANCELLED),
        ("reduceOnlyCanceled", OrderStatus.CANCELLED),
        ("scheduledCancel", OrderStatus.CANCELLED),
        ("internalCancel", OrderStatus.CANCELLED),
        ("rejected", OrderStatus.REJECTED),
        ("perpMarginRejected", OrderStatus.REJECTED),
        ("iocCancelRejected", OrderStatus.REJECTED),
        ("somethingNew", OrderStatus.UNKNOWN),
        ("", OrderStatus.UNKNOWN),
    ],
)
def test_statuses_are_classed_by_their_ending(raw: str, status: OrderStatus) -> None:
    """The list grows; what is not understood is asked again, never taken for filled."""
    assert parse_account.status_of(raw) is status


@given(st.text(max_size=30))
def test_no_unknown_status_is_ever_filled(raw: str) -> None:
    """Only the one word means filled."""
    assert (parse_account.status_of(raw) is OrderStatus.FILLED) == (raw == "filled")


def test_order_status_of_an_unknown_order_is_none() -> None:
    """ "I do not know it" is an answer."""
    assert parse_account.order_status({"status": "unknownOid"}) is None
    with pytest.raises(UnreadableAnswer, match=r"orderStatus: status"):
        parse_account.order_status({"status": "soon"})


def test_our_liquidation_is_told_from_one_we_were_the_other_side_of() -> None:
    """The field is on both sides' fills; only the liquidated one lost its position."""
    row = a_fill(1, 5, liquidation={"liquidatedUser": ME.upper().replace("0X", "0x")})
    assert parse_account.fill(Row("fill", row), ME).liquidation
    other = a_fill(1, 5, liquidation={"liquidatedUser": "0x" + "1" * 40})
    assert not parse_account.fill(Row("fill", other), ME).liquidation
    assert not parse_account.fill(Row("fill", a_fill(1, 5)), ME).liquidation


def test_fills_of_spot_and_of_other_exchanges_are_not_ours_to_book() -> None:
    """The account may hold more than perpetuals of the first exchange."""
    coins = ["BTC", "@107", "PURR/USDC", "xyz:TSLA", "#12"]
    rows = [a_fill(n, 5, coin) for n, coin in enumerate(coins)]
    assert [each.symbol for each in parse_account.fills(rows, ME)] == [BTC]


def test_fills_are_sorted_and_each_is_there_once() -> None:
    """The venue promises neither order nor distinct boundaries."""
    rows = [a_fill(3, 9), a_fill(1, 7), a_fill(2, 7), a_fill(3, 9)]
    assert [each.fill_id for each in parse_account.fills(rows, ME)] == [1, 2, 3]


def test_fill_fields() -> None:
    """Side, signed start position, negative fee, lower-case client id."""
    row = a_fill(1, 5, side="A", startPosition="-2.5", fee="-0.01", cloid="0xABC", closedPnl="3")
    found = parse_account.fill(Row("fill", row), ME)
    assert (found.is_buy, found.start_position) == (False, Decimal("-2.5"))
    assert (found.fee, found.closed_pnl) == (Decimal("-0.01"), Decimal(3))
    assert found.cloid == Cloid("0xabc")


def test_only_funding_of_perpetuals_is_funding() -> None:
    """The list may hold other deltas."""
    other = {"time": 1, "hash": "0x", "delta": {"type": "deposit", "usdc": "5"}}
    found = parse_account.fundings([funding_row(9), other, funding_row(7, "0.25")])
    assert [(each.at, each.usd) for each in found] == [(7, Decimal("0.25")), (9, Decimal("-0.5"))]


@pytest.mark.parametrize(
    ("answer", "mode"),
    [
        ("default", AccountMode.CLASSIC),
        ("disabled", AccountMode.CLASSIC),
        (None, AccountMode.CLASSIC),
        ("unifiedAccount", AccountMode.UNIFIED),
        ("portfolioMargin", AccountMode.PORTFOLIO),
    ],
)
def test_account_modes(answer: object, mode: AccountMode) -> None:
    """Where the collateral lies decides what equity is."""
    assert parse_account.account_mode(answer) is mode


def test_an_unknown_account_mode_is_not_guessed() -> None:
    """A wrong guess would size trades on the wrong balance."""
    with pytest.raises(UnreadableAnswer):
        parse_account.account_mode("somethingNew")


def test_free_margin_is_never_negative() -> None:
    """An account under water has no free margin."""
    summary = {"accountValue": "5", "totalMarginUsed": "8"}
    state = parse_account.clearinghouse(STATE | {"crossMarginSummary": summary})
    assert state.free_margin == 0


# --- strict and tolerant ----------------------------------------------------------------


@given(st.dictionaries(st.text(min_size=15, max_size=20), st.integers() | st.text()))
def test_unknown_keys_change_nothing(extra: dict[str, object]) -> None:
    """The venue adds fields at will."""
    plain = parse_account.fill(Row("fill", a_fill(1, 5)), ME)
    assert parse_account.fill(Row("fill", {**extra, **a_fill(1, 5)}), ME) == plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_other_json_is_an_unreadable_answer(answer: Any) -> None:
    """Whatever shape comes, the parser says so in its own error; it never crashes."""
    readers: list[Callable[[Any], object]] = [
        parse_market.instruments,
        parse_market.candles,
        lambda value: parse_market.markets(value, Ms(0)),
        parse_account.clearinghouse,
        parse_account.open_orders,
        parse_account.order_status,
        lambda value: parse_account.fills(value, ME),
        parse_account.fundings,
        parse_account.leverage_of,
        parse_account.spot_usdc,
        lambda value: parse_exchange.leg_acks(Row.of("/exchange", value), LEGS, Decimal(1)),
    ]
    for read in readers:
        try:
            read(answer)
        except UnreadableAnswer as error:
            assert "expected" in str(error)


@given(st.sampled_from(sorted(a_fill(1, 5))), JSON)
def test_a_wrong_field_is_named_or_read(key: str, value: Any) -> None:
    """One field of a fill replaced by anything: a fill, or an error that names a field."""
    try:
        parse_account.fill(Row("fill", a_fill(1, 5) | {key: value}), ME)
    except UnreadableAnswer as error:
        assert f"fill: {key}:" in str(error)


# --- acknowledgements -------------------------------------------------------------------


def response(*statuses: object) -> Row:
    return Row.of("/exchange.response", {"type": "order", "data": {"statuses": list(statuses)}})


FILLED = {"filled": {"totalSz": "1.0", "avgPx": "99.5", "oid": 7}}
PART = {"filled": {"totalSz": "0.6", "avgPx": "99.5", "oid": 7}}
ERROR = {"error": "Insufficient margin to place order. asset=4"}


def test_a_complete_entry_has_its_children_waiting() -> None:
    """Plain strings without an id are triggers that wait."""
    acks = parse_exchange.leg_acks(
        response(FILLED, "waitingForTrigger", {"resting": {"oid": 9}}), LEGS, Decimal(1)
    )
    assert [ack.status for ack in acks] == [
        OrderStatus.FILLED,
        OrderStatus.OPEN,
        OrderStatus.OPEN,
    ]
    assert (acks[0].filled, acks[0].average_price) == (Decimal(1), Decimal("99.5"))
    assert acks[0].venue_id == 7
    assert [ack.venue_id for ack in acks[1:]] == [None, 9]
    assert [ack.cloid for ack in acks] == list(LEGS)


def test_a_part_filled_entry_has_no_children() -> None:
    """The venue drops the children with the rest of the parent: no stop exists."""
    acks = parse_exchange.leg_acks(
        response(PART, "waitingForFill", "waitingForFill"), LEGS, Decimal(1)
    )
    assert [ack.status for ack in acks] == [
        OrderStatus.PARTIAL,
        OrderStatus.REJECTED,
        OrderStatus.REJECTED,
    ]
    assert acks[0].filled == Decimal("0.6")


def test_one_error_for_the_batch_counts_for_each_leg() -> None:
    """Pre-validation answers once for all."""
    acks = parse_exchange.leg_acks(response(ERROR), LEGS, Decimal(1))
    assert [ack.status for ack in acks] == [OrderStatus.REJECTED] * 3
    assert all("Insufficient margin" in ack.error for ack in acks)


def test_each_leg_has_its_own_error() -> None:
    """A refused child does not refuse its parent."""
    acks = parse_exchange.leg_acks(response(FILLED, ERROR), LEGS[:2], Decimal(1))
    assert [ack.status for ack in acks] == [OrderStatus.FILLED, OrderStatus.REJECTED]


@pytest.mark.parametrize("statuses", [[FILLED], [FILLED] * 4, [{}, {}, {}], [None] * 3])
def test_an_answer_that_does_not_fit_the_legs_is_unreadable(statuses: list[object]) -> None:
    """Guessing which leg was meant could lose a stop."""
    with pytest.raises(UnreadableAnswer):
        parse_exchange.leg_acks(response(*statuses), LEGS, Decimal(1))


def test_cancelling_what_is_gone_is_done() -> None:
    """Success, or already gone: both mean that nothing is left."""
    gone = {"error": "Order was never placed, already canceled, or filled. asset=4"}
    assert parse_exchange.cancelled(response("success"))
    assert parse_exchange.cancelled(response(gone))
    with pytest.raises(VenueRejected, match="Insufficient"):
        parse_exchange.cancelled(response(ERROR))
    with pytest.raises(UnreadableAnswer):
        parse_exchange.cancelled(response("maybe"))

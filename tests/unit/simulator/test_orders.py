"""The life of single orders at the simulated venue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.simulator.given import BTC, ETH, SOL, Venue, cloid, limit, trigger

D = Decimal


def test_an_immediate_order_fills_against_the_book(venue: Venue) -> None:
    """Bought at the ask, taker fee of 0.045 %, the answer names the oid and the client id."""
    [reply] = venue.place(limit(ETH, "1", "3010", "Ioc", cloid=cloid(5)))
    assert reply["filled"]["totalSz"] == "1.0"
    assert D(reply["filled"]["avgPx"]) > 3000
    assert reply["filled"]["cloid"] == cloid(5)
    [fill] = venue.ask("userFills")
    assert fill["oid"] == reply["filled"]["oid"]
    assert (fill["dir"], fill["crossed"], fill["cloid"]) == ("Open Long", True, cloid(5))
    notional = D(fill["px"]) * D(fill["sz"])
    assert D(fill["fee"]) == (notional * D("0.00045")).quantize(D("0.000001"), "ROUND_DOWN")
    assert venue.status(cloid(5)) == "filled"


def test_a_resting_order_fills_as_maker_at_its_own_price(venue: Venue) -> None:
    """The mid comes through the limit: filled there, at the maker's fee of 0.015 %."""
    [reply] = venue.place(limit(ETH, "1", "2990"))
    oid = reply["resting"]["oid"]
    venue.tick(ETH=2995.0)
    assert venue.size("ETH") == 0
    venue.tick(ETH=2980.0)
    [fill] = venue.ask("userFills")
    assert (fill["px"], fill["crossed"], fill["oid"]) == ("2990.0", False, oid)
    assert D(fill["fee"]) == D("0.4485")
    assert venue.status(oid) == "filled"


def test_an_immediate_order_larger_than_the_book_fills_partly(tmp_path: Path) -> None:
    """totalSz below what was asked, the rest cancelled without a word."""
    venue = Venue(tmp_path, depth_usd=10_000.0, balance=D(100_000))
    [reply] = venue.place(limit(ETH, "10", "3050", "Ioc"))
    filled = D(reply["filled"]["totalSz"])
    assert 0 < filled < 10
    assert venue.size("ETH") == filled
    assert venue.ask("openOrders") == []
    assert venue.status(reply["filled"]["oid"]) == "canceled"
    venue.world.ledger.close()


def test_a_resting_order_larger_than_the_book_fills_tick_by_tick(tmp_path: Path) -> None:
    venue = Venue(tmp_path, depth_usd=10_000.0, balance=D(100_000))
    [reply] = venue.place(limit(ETH, "10", "2990"))
    oid = reply["resting"]["oid"]
    venue.tick(ETH=2950.0)
    [order] = venue.ask("openOrders")
    assert 0 < D(order["sz"]) < 10
    assert (order["origSz"], order["oid"]) == ("10.0", oid)
    for _ in range(4):
        venue.tick(ETH=2950.0)
    assert venue.status(oid) == "filled"
    assert venue.size("ETH") == 10
    venue.world.ledger.close()


def test_a_partly_filled_gtc_rests_with_the_remainder(tmp_path: Path) -> None:
    """Answered as filled with less, the rest stands under the same oid (facts 2.2)."""
    venue = Venue(tmp_path, depth_usd=10_000.0, balance=D(100_000))
    [reply] = venue.place(limit(ETH, "10", "3050"))
    [order] = venue.ask("openOrders")
    assert order["oid"] == reply["filled"]["oid"]
    assert D(order["sz"]) == 10 - D(reply["filled"]["totalSz"])
    venue.world.ledger.close()


def test_eaten_liquidity_comes_back_with_the_next_tick(tmp_path: Path) -> None:
    venue = Venue(tmp_path, depth_usd=10_000.0, balance=D(100_000))
    venue.place(limit(ETH, "10", "3050", "Ioc"))
    [second] = venue.place(limit(ETH, "1", "3050", "Ioc"))
    assert "could not immediately match" in second["error"]
    venue.tick(ETH=3000.0)
    [third] = venue.place(limit(ETH, "1", "3050", "Ioc"))
    assert "filled" in third


def test_post_only_through_the_book_is_refused_with_the_touch(venue: Venue) -> None:
    [reply] = venue.place(limit(ETH, "1", "3010", "Alo"))
    bid, ask = venue.engine.best("ETH")
    text = f"Post only order would have immediately matched, bbo was {bid}@{ask}. asset=1"
    assert reply == {"error": text}
    [resting] = venue.place(limit(ETH, "1", "2990", "Alo"))
    assert "resting" in resting


@pytest.mark.parametrize(
    ("order", "text", "status"),
    [
        (limit(ETH, "1", "3000.123"), "Price must be divisible by tick size.", "tickRejected"),
        (limit(ETH, "1", "0"), "Order has invalid price.", "tickRejected"),
        (limit(ETH, "0", "3000"), "Order has zero size.", "rejected"),
        (limit(ETH, "1.00001", "3000"), "Order has invalid size.", "rejected"),
        (
            limit(ETH, "0.003", "3000"),
            "Order must have minimum value of $10.",
            "minTradeNtlRejected",
        ),
        (
            limit(ETH, "100", "3000"),
            "Insufficient margin to place order.",
            "perpMarginRejected",
        ),
        (
            limit(ETH, "-1", "3000", reduce_only=True),
            "Reduce only order would increase position.",
            "reduceOnlyRejected",
        ),
        (
            limit(ETH, "1", "2900", "Ioc"),
            "Order could not immediately match against any resting orders.",
            "iocCancelRejected",
        ),
        (
            limit(ETH, "1", "2900", "FrontendMarket"),
            "No liquidity available for market order.",
            "marketOrderNoLiquidityRejected",
        ),
    ],
)
def test_single_orders_are_refused_in_the_venues_words(
    venue: Venue, order: dict[str, Any], text: str, status: str
) -> None:
    """Each refusal ends with the asset and is kept under its own status; nothing trades."""
    order["c"] = cloid(9)
    [reply] = venue.place(order)
    assert reply == {"error": f"{text} asset={ETH}"}
    assert venue.status(cloid(9)) == status
    assert venue.size("ETH") == 0


@pytest.mark.parametrize(
    ("orders", "grouping", "text"),
    [
        ([], "na", "Order batch is empty."),
        (
            [limit(ETH, "1", "100")],
            "na",
            "Order price cannot be more than 80% away from the reference price asset=1",
        ),
        (
            [limit(ETH, "1", "6000")],
            "na",
            "Order price cannot be more than 80% away from the reference price asset=1",
        ),
        (
            [trigger(ETH, "-1", "2900", "sl", "2610") | {"r": False}],
            "na",
            "TP/SL orders must be reduce only.",
        ),
        (
            [trigger(ETH, "-1", "2900", "sl", "2610")],
            "normalTpsl",
            "Unexpected number of trigger orders",
        ),
        (
            [limit(ETH, "1", "3000")] * 201,
            "na",
            "Signed action over weight limit of 200.",
        ),
    ],
)
def test_whole_batches_are_refused_with_one_text(
    venue: Venue, orders: list[dict[str, Any]], grouping: str, text: str
) -> None:
    answer = venue.act({"type": "order", "orders": orders, "grouping": grouping})
    assert answer == {"status": "err", "response": text}
    assert venue.ask("historicalOrders") == []


def test_leverage_beyond_the_tier_of_the_size_is_refused(tmp_path: Path) -> None:
    """XRP-like tiers: above the bound only the lower leverage may be used."""
    venue = Venue(tmp_path, balance=D(100_000_000), depth_usd=1e9)
    venue.leverage(SOL, 20, cross=True)
    [reply] = venue.place(limit(SOL, "500000", "150"))
    text = "Order would cause position to exceed margin tier limit at current leverage"
    assert reply == {"error": f"{text} asset={SOL}"}
    venue.leverage(SOL, 10, cross=True)
    [reply] = venue.place(limit(SOL, "500000", "149"))
    assert "resting" in reply
    venue.world.ledger.close()


def test_resting_orders_hold_margin_back(venue: Venue) -> None:
    """10,000 USDC at 20x carry 200,000: the second order no longer fits."""
    assert "resting" in venue.place(limit(ETH, "50", "2990"))[0]
    [reply] = venue.place(limit(BTC, "1", "59000"))
    assert reply == {"error": f"Insufficient margin to place order. asset={BTC}"}


def test_a_resting_order_the_account_can_no_longer_bear_is_margin_cancelled(venue: Venue) -> None:
    """Losses elsewhere ate its margin before it filled."""
    venue.place(limit(ETH, "30", "3010", "Ioc"))
    [reply] = venue.place(limit(BTC, "1.6", "59700"))
    oid = reply["resting"]["oid"]
    venue.tick(ETH=2900.0, BTC=59_000.0)
    assert venue.status(oid) == "marginCanceled"
    assert venue.size("BTC") == 0


def test_reduce_only_shrinks_to_the_position(venue: Venue) -> None:
    """Larger than the position: an immediate one fills the position, never flips."""
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    [reply] = venue.place(limit(ETH, "-5", "2990", "Ioc", reduce_only=True))
    assert reply["filled"]["totalSz"] == "1.0"
    assert venue.size("ETH") == 0


def test_a_resting_reduce_only_order_follows_the_position(venue: Venue) -> None:
    """sz = position, origSz = as requested; it shrinks, and ends as reduceOnlyCanceled."""
    venue.place(limit(ETH, "2", "3010", "Ioc"))
    [reply] = venue.place(limit(ETH, "-5", "3100", reduce_only=True))
    [order] = venue.ask("openOrders")
    assert (order["sz"], order["origSz"], order["reduceOnly"]) == ("2.0", "5.0", True)
    venue.place(limit(ETH, "-1.5", "2990", "Ioc"))
    assert venue.ask("openOrders")[0]["sz"] == "0.5"
    venue.place(limit(ETH, "-0.5", "2990", "Ioc"))
    assert venue.status(reply["resting"]["oid"]) == "reduceOnlyCanceled"


def test_the_older_of_two_reduce_only_orders_gives_way(venue: Venue) -> None:
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    [old] = venue.place(limit(ETH, "-1", "3100", reduce_only=True))
    [new] = venue.place(limit(ETH, "-1", "3090", reduce_only=True))
    assert venue.status(old["resting"]["oid"]) == "reduceOnlyCanceled"
    assert venue.status(new["resting"]["oid"]) == "open"


def test_a_partial_close_below_ten_dollars_is_refused_a_full_one_not(venue: Venue) -> None:
    """The minimum is waived only for an order that closes the whole position."""
    venue.place(limit(ETH, "0.004", "3010", "Ioc"))
    venue.tick(ETH=2000.0)
    text = f"Order must have minimum value of $10. asset={ETH}"
    part = limit(ETH, "-0.003", "1990", "Ioc", reduce_only=True)
    assert venue.place(part) == [{"error": text}]
    assert "filled" in venue.place(limit(ETH, "-0.004", "1990", "Ioc", reduce_only=True))[0]


def test_cancel_by_oid_and_by_client_id(venue: Venue) -> None:
    """Twice, or of another coin, is answered with the venue's words."""
    gone = {"error": f"Order was never placed, already canceled, or filled. asset={ETH}"}
    [first] = venue.place(limit(ETH, "1", "2900"))
    venue.place(limit(ETH, "1", "2900", cloid=cloid(3)))
    assert venue.cancel(ETH, first["resting"]["oid"]) == "success"
    assert venue.cancel(ETH, first["resting"]["oid"]) == gone
    by_cloid = {"type": "cancelByCloid", "cancels": [{"asset": ETH, "cloid": cloid(3)}]}
    assert venue.act(by_cloid)["response"]["data"]["statuses"] == ["success"]
    assert venue.act(by_cloid)["response"]["data"]["statuses"] == [gone]
    [other] = venue.place(limit(ETH, "1", "2900"))
    assert venue.cancel(BTC, other["resting"]["oid"]) == {
        "error": gone["error"].replace("asset=1", "asset=0")
    }
    assert venue.status(other["resting"]["oid"]) == "open"


def test_own_resting_orders_are_cancelled_not_traded_with(venue: Venue) -> None:
    [resting] = venue.place(limit(ETH, "1", "3000", "Alo"))
    venue.place(limit(ETH, "-1", "2990", "Ioc"))
    assert venue.status(resting["resting"]["oid"]) == "selfTradeCanceled"
    assert venue.size("ETH") == -1


def test_a_modified_order_has_a_new_oid_and_the_old_client_id(venue: Venue) -> None:
    [first] = venue.place(limit(ETH, "1", "2900", cloid=cloid(4)))
    oid = first["resting"]["oid"]
    modify = {"oid": oid, "order": limit(ETH, "1", "2910", cloid=cloid(4))}
    answer = venue.act({"type": "batchModify", "modifies": [modify]})
    [reply] = answer["response"]["data"]["statuses"]
    assert reply["resting"]["oid"] != oid
    assert venue.status(oid) == "canceled"
    assert venue.ask("orderStatus", oid=cloid(4))["order"]["order"]["limitPx"] == "2910.0"
    again = venue.act({"type": "modify"} | modify)
    assert again["response"] == f"Cannot modify canceled or filled order asset={ETH}"


def test_a_flip_is_named_and_enters_at_the_fill(venue: Venue) -> None:
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    venue.place(limit(ETH, "-3", "2990", "Ioc"))
    fills = venue.ask("userFills")
    assert fills[0]["dir"] in ("Long > Short", "Open Short")
    assert "Long > Short" in {fill["dir"] for fill in fills}
    assert venue.size("ETH") == -2


def test_only_the_last_two_thousand_orders_are_remembered(venue: Venue) -> None:
    """Then orderStatus answers unknownOid, although the fills remain (facts 1.3)."""
    first = venue.world.oid + 1
    account = venue.world.accounts[venue.user]
    for _ in range(11):
        venue.place(*[limit(ETH, "1", "2900", "Ioc") for _ in range(200)])
        account.requests = 0
    assert len(venue.ask("historicalOrders")) == 2_000
    assert venue.status(first) == "unknownOid"

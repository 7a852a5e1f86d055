"""Modifying orders: cancel and replace under a new oid, alone and in batches."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.simulator.given import BTC, ETH, SOL, Venue, cloid, limit, trigger

D = Decimal


def rest(venue: Venue, order: dict[str, Any]) -> int:
    [reply] = venue.place(order)
    return int(reply["resting"]["oid"])


def modify(venue: Venue, *wishes: tuple[int | str, dict[str, Any]]) -> list[Any]:
    wires = [{"oid": key, "order": order} for key, order in wishes]
    answer = venue.act({"type": "batchModify", "modifies": wires})
    assert answer["status"] == "ok", answer
    found: list[Any] = answer["response"]["data"]["statuses"]
    return found


def test_the_client_id_stays_when_it_is_not_said_again(venue: Venue) -> None:
    """Same cloid, new oid; the old one is canceled."""
    oid = rest(venue, limit(ETH, "1", "2900", cloid=cloid(4)))
    [reply] = modify(venue, (oid, limit(ETH, "2", "2910")))
    assert reply["resting"]["cloid"] == cloid(4)
    assert reply["resting"]["oid"] > oid
    assert venue.status(oid) == "canceled"
    assert venue.ask("orderStatus", oid=cloid(4))["order"]["order"]["sz"] == "2.0"


def test_a_batch_goes_over_several_coins_with_a_status_each(venue: Venue) -> None:
    """One that is gone and one that fails do not hold up the others."""
    eth = rest(venue, limit(ETH, "1", "2900"))
    rest(venue, limit(BTC, "0.01", "59000", cloid=cloid(1)))
    sol = rest(venue, limit(SOL, "1", "140"))
    replies = modify(
        venue,
        (eth, limit(ETH, "1", "3010")),
        (5, limit(ETH, "1", "2900")),
        (cloid(1), limit(BTC, "0.02", "59000")),
        (sol, limit(SOL, "1", "140.12345")),
    )
    assert "filled" in replies[0]
    assert replies[1] == {"error": "Cannot modify canceled or filled order asset=1"}
    assert "resting" in replies[2]
    text = "Error placing new order during modify: Price must be divisible by tick size. asset=2"
    assert replies[3] == {"error": text}
    assert venue.status(sol) == "canceled"


def test_a_failed_replacement_has_cancelled_the_old_order(venue: Venue) -> None:
    """Alone, the answer is of the whole action."""
    oid = rest(venue, limit(ETH, "1", "2900"))
    answer = venue.act({"type": "modify", "oid": oid, "order": limit(ETH, "100", "2900")})
    text = "Error placing new order during modify: Insufficient margin to place order. asset=1"
    assert answer == {"status": "err", "response": text}
    assert venue.status(oid) == "canceled" and venue.ask("openOrders") == []


@pytest.mark.parametrize(
    "order", [limit(ETH, "1", "100"), trigger(ETH, "-1", "2900", "sl", "2610") | {"r": False}]
)
def test_what_fails_before_leaves_the_old_order(venue: Venue, order: dict[str, Any]) -> None:
    """Pre-validation refuses the batch before anything is touched."""
    oid = rest(venue, limit(ETH, "1", "2900"))
    wire = {"oid": oid, "order": order}
    assert venue.act({"type": "batchModify", "modifies": [wire]})["status"] == "err"
    assert venue.status(oid) == "open"


def test_single_modify_is_answered_with_default(venue: Venue) -> None:
    oid = rest(venue, limit(ETH, "1", "2900"))
    answer = venue.act({"type": "modify", "oid": oid, "order": limit(ETH, "1", "2910")})
    assert answer == {"status": "ok", "response": {"type": "default"}}
    [order] = venue.ask("openOrders")
    assert order["limitPx"] == "2910.0"


def test_an_order_is_modified_twice_in_one_batch_by_its_client_id(venue: Venue) -> None:
    """By oid the second finds the old one gone, by client id the new one."""
    oid = rest(venue, limit(ETH, "1", "2900", cloid=cloid(2)))
    first, second, third = modify(
        venue,
        (oid, limit(ETH, "1", "2910")),
        (oid, limit(ETH, "1", "2920")),
        (cloid(2), limit(ETH, "1", "2930")),
    )
    assert "resting" in first and "error" in second and "resting" in third
    assert [order["limitPx"] for order in venue.ask("openOrders")] == ["2930.0"]


def test_a_filled_or_foreign_order_cannot_be_modified(venue: Venue) -> None:
    """Nor can an order become one of another coin."""
    [reply] = venue.place(limit(ETH, "1", "3010", "Ioc"))
    text = "Cannot modify canceled or filled order asset="
    assert modify(venue, (reply["filled"]["oid"], limit(ETH, "1", "2900"))) == [
        {"error": f"{text}1"}
    ]
    oid = rest(venue, limit(ETH, "1", "2900"))
    assert modify(venue, (oid, limit(BTC, "0.01", "59000"))) == [{"error": f"{text}0"}]
    assert venue.status(oid) == "open"


def test_a_stop_that_was_moved_still_cancels_its_sibling(venue: Venue) -> None:
    """The new order takes the old one's place in the bracket."""
    stop = trigger(ETH, "-1", "2940", "sl", "2646", cloid=cloid(11))
    target = trigger(ETH, "-1", "3090", "tp", "2781", cloid=cloid(12))
    venue.place(limit(ETH, "1", "3010", "Ioc"), stop, target, grouping="normalTpsl")
    moved = trigger(ETH, "-1", "2960", "sl", "2664", cloid=cloid(11))
    assert modify(venue, (cloid(11), moved)) == ["waitingForTrigger"]
    venue.tick(ETH=2955.0)
    assert venue.size("ETH") == 0
    assert venue.status(cloid(12)) == "siblingFilledCanceled"


def test_too_many_modifies_or_orders_are_refused_whole(venue: Venue) -> None:
    oid = rest(venue, limit(ETH, "1", "2900"))
    wires = [{"oid": oid, "order": limit(ETH, "1", "2910")}] * 201
    answer = venue.act({"type": "batchModify", "modifies": wires})
    assert answer["response"] == "Signed action over weight limit of 200."
    assert venue.status(oid) == "open"


def test_a_batch_of_orders_over_several_coins_has_a_status_each(venue: Venue) -> None:
    """One that is refused does not hold up the others."""
    replies = venue.place(
        limit(ETH, "1", "3010", "Ioc"), limit(BTC, "0.01", "59000"), limit(SOL, "0", "150")
    )
    assert [next(iter(reply)) for reply in replies] == ["filled", "resting", "error"]


def test_two_hundred_cancels_over_several_coins_are_one_action(venue: Venue) -> None:
    """Each has its own answer, and each counts against the budget."""
    oids = [rest(venue, limit(asset, size, price)) for asset, size, price in
            ((ETH, "1", "2900"), (BTC, "0.01", "59000"))]  # fmt: skip
    before = venue.ask("userRateLimit")["nRequestsUsed"]
    entries = [{"a": ETH, "o": oids[0]}, {"a": BTC, "o": oids[1]}]
    entries += [{"a": ETH, "o": number} for number in range(198)]
    statuses = venue.act({"type": "cancel", "cancels": entries})["response"]["data"]["statuses"]
    assert statuses[:2] == ["success", "success"] and len(statuses) == 200
    assert all("never placed" in status["error"] for status in statuses[2:])
    assert venue.ask("userRateLimit")["nRequestsUsed"] == before + 200


def test_a_fast_cancel_takes_limit_orders(venue: Venue) -> None:
    oid = rest(venue, limit(ETH, "1", "2900"))
    answer = venue.act({"type": "cancel", "cancels": [{"a": ETH, "o": oid}], "f": True})
    assert answer["response"]["data"]["statuses"] == ["success"]

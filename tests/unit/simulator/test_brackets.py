"""Stops and targets: triggers, normalTpsl and positionTpsl."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.simulator.given import BTC, ETH, Venue, cloid, limit, trigger

STOP = trigger(ETH, "-1", "2940", "sl", "2646", cloid=cloid(11))
TARGET = trigger(ETH, "-1", "3090", "tp", "2781", cloid=cloid(12))


def bracket(venue: Venue, entry: dict[str, Any]) -> list[Any]:
    return venue.place(entry, STOP, TARGET, grouping="normalTpsl")


def test_children_stand_once_the_parent_has_filled(venue: Venue) -> None:
    """Answered as waitingForTrigger, and shown with their triggers."""
    replies = bracket(venue, limit(ETH, "1", "3010", "Ioc"))
    assert replies[1:] == ["waitingForTrigger", "waitingForTrigger"]
    orders = {order["orderType"]: order for order in venue.ask("frontendOpenOrders")}
    stop, target = orders["Stop Market"], orders["Take Profit Market"]
    assert (stop["triggerPx"], stop["triggerCondition"]) == ("2940.0", "Price below 2940")
    assert (target["triggerPx"], target["triggerCondition"]) == ("3090.0", "Price above 3090")
    assert stop["isTrigger"] and stop["reduceOnly"] and stop["tif"] is None
    assert stop["cloid"] == cloid(11)


def test_a_stop_fires_on_the_mark_and_cancels_its_sibling(venue: Venue) -> None:
    bracket(venue, limit(ETH, "1", "3010", "Ioc"))
    venue.tick(ETH=2941.0)
    assert venue.size("ETH") == 1
    venue.tick(ETH=2939.0)
    assert venue.size("ETH") == 0
    assert venue.status(cloid(11)) == "filled"
    assert venue.status(cloid(12)) == "siblingFilledCanceled"
    assert venue.ask("userFills")[0]["cloid"] == cloid(11)
    assert venue.ask("userFills")[0]["dir"] == "Close Long"


def test_a_target_fires_on_the_mark_and_cancels_its_sibling(venue: Venue) -> None:
    bracket(venue, limit(ETH, "1", "3010", "Ioc"))
    venue.tick(ETH=3095.0)
    assert venue.status(cloid(12)) == "filled"
    assert venue.status(cloid(11)) == "siblingFilledCanceled"
    assert venue.size("ETH") == 0


def test_children_of_a_resting_parent_wait_for_its_fill(venue: Venue) -> None:
    """They fire only after it has filled, however far the mark goes before."""
    replies = bracket(venue, limit(ETH, "1", "2950"))
    assert replies[1:] == ["waitingForFill", "waitingForFill"]
    [parent] = [o for o in venue.ask("frontendOpenOrders") if o["orderType"] == "Limit"]
    assert {child["cloid"] for child in parent["children"]} == {cloid(11), cloid(12)}
    venue.tick(ETH=3095.0)
    assert venue.status(cloid(12)) == "open"
    venue.tick(ETH=2948.0)
    assert venue.size("ETH") == 1
    venue.tick(ETH=2930.0)
    assert venue.status(cloid(11)) == "filled"


def test_cancelling_the_parent_cancels_its_children(venue: Venue) -> None:
    replies = bracket(venue, limit(ETH, "1", "2950"))
    assert venue.cancel(ETH, replies[0]["resting"]["oid"]) == "success"
    assert venue.status(cloid(11)) == venue.status(cloid(12)) == "canceled"


def test_a_part_filled_parent_never_places_its_children(tmp_path: Path) -> None:
    """An immediate entry that fills 60 % has no stop (facts 0.11)."""
    venue = Venue(tmp_path, depth_usd=2_000.0)
    replies = bracket(venue, limit(ETH, "1", "3010", "Ioc"))
    assert 0 < Decimal(replies[0]["filled"]["totalSz"]) < 1
    assert replies[1:] == ["waitingForFill", "waitingForFill"]
    assert venue.size("ETH") > 0
    assert venue.ask("frontendOpenOrders") == []
    assert venue.status(cloid(11)) == venue.status(cloid(12)) == "canceled"
    venue.world.ledger.close()


def test_a_refused_parent_refuses_its_children(venue: Venue) -> None:
    replies = bracket(venue, limit(ETH, "1", "2900", "Ioc"))
    assert len(replies) == 3 and all("could not immediately" in r["error"] for r in replies)
    assert venue.status(cloid(11)) == "unknownOid"


def test_a_child_with_a_bad_trigger_refuses_the_whole_bracket(venue: Venue) -> None:
    """An entry never goes out without the stop that was sent along."""
    wrong = trigger(ETH, "-1", "3200", "sl", "2900")
    replies = venue.place(limit(ETH, "1", "3010", "Ioc"), wrong, grouping="normalTpsl")
    assert replies == [{"error": f"Invalid TP/SL price. asset={ETH}"}] * 2
    assert venue.size("ETH") == 0


@pytest.mark.parametrize(
    "order",
    [
        trigger(ETH, "-1", "3001", "sl", "2700"),  # a stop the mark has passed
        trigger(ETH, "-1", "2999", "tp", "2700"),  # a target it has passed
        trigger(ETH, "-1", "2940.123", "sl", "2700"),  # off the tick
    ],
)
def test_triggers_must_lie_ahead_of_the_mark(venue: Venue, order: dict[str, Any]) -> None:
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    assert venue.place(order) == [{"error": f"Invalid TP/SL price. asset={ETH}"}]


def test_a_trigger_whose_bound_is_jumped_over_rests(venue: Venue) -> None:
    """At the trigger itself a limit protects nothing in a gap (facts 0.12)."""
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    venue.place(trigger(ETH, "-1", "2940", "sl", "2935", cloid=cloid(20)))
    venue.tick(ETH=2900.0)
    assert venue.size("ETH") == 1
    assert venue.status(cloid(20)) == "open"
    [order] = venue.ask("openOrders")
    assert order["limitPx"] == "2935.0"
    venue.tick(ETH=2940.0)
    assert venue.size("ETH") == 0


def test_a_position_stop_follows_the_size_of_the_position(venue: Venue) -> None:
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    stop = trigger(ETH, "-0", "2940", "sl", "2646", cloid=cloid(30))
    assert venue.place(stop, grouping="positionTpsl") == ["waitingForTrigger"]
    venue.place(limit(ETH, "2", "3010", "Ioc"))
    [order] = venue.ask("frontendOpenOrders")
    assert (order["isPositionTpsl"], order["sz"], order["cloid"]) == (True, "3.0", cloid(30))
    venue.tick(ETH=2930.0)
    assert venue.size("ETH") == 0
    assert venue.status(cloid(30)) == "filled"
    assert sum(Decimal(f["sz"]) for f in venue.ask("userFills") if f["side"] == "A") == 3


def test_a_position_stop_ends_when_the_position_does(venue: Venue) -> None:
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    stop = trigger(ETH, "-0", "2940", "sl", "2646", cloid=cloid(30))
    target = trigger(ETH, "-0", "3090", "tp", "2781", cloid=cloid(31))
    venue.place(stop, target, grouping="positionTpsl")
    venue.told("order")
    venue.place(limit(ETH, "-1", "2990", "Ioc", reduce_only=True))
    assert venue.status(cloid(30)) == venue.status(cloid(31)) == "reduceOnlyCanceled"
    told = [row["status"] for row in venue.told("order") if row["order"].get("cloid") == cloid(30)]
    assert told == ["reduceOnlyCanceled"]


def test_a_position_target_cancels_the_position_stop(venue: Venue) -> None:
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    stop = trigger(ETH, "-0", "2940", "sl", "2646", cloid=cloid(30))
    target = trigger(ETH, "-0", "3090", "tp", "2781", cloid=cloid(31))
    venue.place(stop, target, grouping="positionTpsl")
    venue.tick(ETH=3100.0)
    assert venue.status(cloid(31)) == "filled"
    assert venue.status(cloid(30)) == "siblingFilledCanceled"


def test_a_position_stop_without_a_position_is_refused(venue: Venue) -> None:
    stop = trigger(BTC, "-0", "59000", "sl", "53100")
    text = f"Reduce only order would increase position. asset={BTC}"
    assert venue.place(stop, grouping="positionTpsl") == [{"error": text}]


def test_a_full_size_stop_and_target_stand_together(venue: Venue) -> None:
    """Untriggered orders are not in the book and do not count against the position."""
    bracket(venue, limit(ETH, "1", "3010", "Ioc"))
    assert [order["sz"] for order in venue.ask("openOrders")] == ["1.0", "1.0"]


def test_a_manual_close_ends_stop_and_target(venue: Venue) -> None:
    bracket(venue, limit(ETH, "1", "3010", "Ioc"))
    venue.place(limit(ETH, "-1", "2990", "Ioc", reduce_only=True))
    assert venue.status(cloid(11)) == venue.status(cloid(12)) == "reduceOnlyCanceled"


def test_a_short_is_stopped_by_a_rise(venue: Venue) -> None:
    stop = trigger(ETH, "1", "3060", "sl", "3366", cloid=cloid(40))
    venue.place(limit(ETH, "-1", "2990", "Ioc"), stop, grouping="normalTpsl")
    venue.tick(ETH=3061.0)
    assert venue.size("ETH") == 0
    assert venue.status(cloid(40)) == "filled"

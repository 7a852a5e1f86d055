"""What the venue does by itself: funding, liquidation, margin."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.domain.types import Ms
from bot.simulator.prices import HOUR_MS, funding_due
from tests.unit.simulator.given import BTC, ETH, START, TICK_MS, Venue, cloid, limit, trigger

D = Decimal


def to_hour(venue: Venue, hours: int = 1) -> None:
    """Play ticks until so many fundings have been booked."""
    target = venue.world.next_funding + (hours - 1) * HOUR_MS
    venue.world.index = (funding_due(target, 1) - START) // TICK_MS
    venue.tick()


def test_funding_is_charged_once_an_hour_at_the_oracle(venue: Venue) -> None:
    """szi * oracle * rate; longs pay a positive rate; the row names what was paid."""
    venue.place(limit(ETH, "2", "3010", "Ioc"))
    before = D(venue.ask("clearinghouseState")["marginSummary"]["accountValue"])
    hour = venue.world.next_funding
    to_hour(venue)
    [row] = venue.ask("userFunding", startTime=0)
    rate = venue.world.prices.rate("ETH", hour)
    expected = -(2 * venue.world.prices.oracle("ETH") * rate)
    assert abs(D(row["delta"]["usdc"]) - expected) < D("0.01")
    assert (row["delta"]["coin"], row["delta"]["szi"]) == ("ETH", "2.0")
    assert D(row["delta"]["fundingRate"]) == rate
    assert 0 < row["time"] - hour < 2_000
    after = D(venue.ask("clearinghouseState")["marginSummary"]["accountValue"])
    assert abs(after - before - D(row["delta"]["usdc"])) < D("0.000002")
    assert D(venue.position("ETH")["cumFunding"]["sinceOpen"]) == -D(row["delta"]["usdc"])
    venue.tick()
    assert len(venue.ask("userFunding", startTime=0)) == 1


def test_hours_without_ticks_are_charged_all_the_same(venue: Venue) -> None:
    """A gap in the candles does not save the funding."""
    venue.place(limit(ETH, "2", "3010", "Ioc"))
    to_hour(venue, hours=3)
    assert len(venue.ask("userFunding", startTime=0)) == 3


def test_shorts_receive_what_longs_pay(venue: Venue) -> None:
    venue.place(limit(ETH, "-2", "2990", "Ioc"))
    to_hour(venue)
    [row] = venue.ask("userFunding", startTime=0)
    assert D(row["delta"]["usdc"]) * D(row["delta"]["fundingRate"]) > 0


def test_funding_history_holds_the_charged_rate(venue: Venue) -> None:
    to_hour(venue)
    rows = venue.info.market.funding_history("ETH", 0, venue.world.now)
    assert rows and rows[-1]["time"] <= venue.world.now
    assert all(row["time"] % HOUR_MS < 2_000 for row in rows)


def test_isolated_margin_follows_the_venues_algebra(venue: Venue) -> None:
    """marginUsed = rawUsd + szi * mark; a loss is taken from the margin put apart."""
    venue.leverage(ETH, 5)
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    venue.tick(ETH=2900.0)
    row = venue.position("ETH")
    assert row["leverage"]["type"] == "isolated"
    raw = D(row["leverage"]["rawUsd"])
    assert D(row["marginUsed"]) == raw + 2900
    state = venue.ask("clearinghouseState")
    total = D(state["marginSummary"]["totalRawUsd"]) + 2900
    assert D(state["marginSummary"]["accountValue"]) == total
    assert state["crossMarginSummary"]["totalNtlPos"] == "0.0"


def test_cross_margin_follows_the_venues_algebra(venue: Venue) -> None:
    """marginUsed = value / leverage; account value = raw + signed notionals."""
    venue.leverage(ETH, 10, cross=True)
    venue.place(limit(ETH, "-1", "2990", "Ioc"))
    row = venue.position("ETH")
    assert D(row["marginUsed"]) == D(row["positionValue"]) / 10
    summary = venue.ask("clearinghouseState")["marginSummary"]
    assert D(summary["accountValue"]) == D(summary["totalRawUsd"]) - D(row["positionValue"])


def test_closing_an_isolated_position_brings_its_margin_home(venue: Venue) -> None:
    """Flat again: the balance has changed by profit and fees alone."""
    venue.leverage(ETH, 5)
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    venue.tick(ETH=3100.0)
    venue.place(limit(ETH, "-0.4", "3090", "Ioc"))
    venue.place(limit(ETH, "-0.6", "3090", "Ioc"))
    fills = venue.ask("userFills")
    gain = sum(D(fill["closedPnl"]) - D(fill["fee"]) for fill in fills)
    assert D(venue.ask("clearinghouseState")["withdrawable"]) == 10_000 + gain


def test_an_isolated_position_is_liquidated_at_its_price(venue: Venue) -> None:
    """The mark crosses liquidationPx: closed at market, orders of the coin cancelled."""
    venue.leverage(ETH, 20)
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    venue.place(trigger(ETH, "-1", "3300", "tp", "2970", cloid=cloid(1)))
    venue.place(limit(BTC, "0.01", "55000", cloid=cloid(2)))
    price = float(venue.position("ETH")["liquidationPx"])
    venue.tick(ETH=round(price + 2.5, 1))
    assert venue.size("ETH") == 1
    venue.tick(ETH=round(price - 2.5, 1))
    assert venue.size("ETH") == 0
    fill = venue.ask("userFills")[0]
    assert fill["liquidation"]["method"] == "market"
    assert fill["liquidation"]["liquidatedUser"] == venue.user
    assert venue.status(cloid(1)) == "liquidatedCanceled"
    assert venue.status(cloid(2)) == "open"
    kinds = [row["delta"]["type"] for row in venue.ask("userNonFundingLedgerUpdates", startTime=0)]
    assert kinds == ["deposit", "liquidation"]
    order = venue.ask("historicalOrders")[0]["order"]
    assert order["tif"] == "LiquidationMarket"


def test_a_gap_below_two_thirds_of_maintenance_goes_to_the_backstop(venue: Venue) -> None:
    """Position and margin are gone; nothing beyond the isolated margin is lost."""
    venue.leverage(ETH, 20)
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    apart = D(venue.position("ETH")["marginUsed"])
    venue.tick(ETH=2500.0)
    fill = venue.ask("userFills")[0]
    assert fill["liquidation"]["method"] == "backstop"
    left = D(venue.ask("clearinghouseState")["marginSummary"]["accountValue"])
    assert D(9_990) - apart < left <= 10_000 - apart + 1


def test_an_isolated_loss_ends_with_the_margin_put_apart(tmp_path: Path) -> None:
    """A book 3 % away fills worse than the margin carries; the rest is not touched."""
    venue = Venue(tmp_path, half_spread_bps=300.0)
    venue.leverage(ETH, 5)
    venue.place(limit(ETH, "1", "3200", "Ioc"))
    cash = venue.world.accounts[venue.user].cash
    price = float(venue.position("ETH")["liquidationPx"])
    venue.tick(ETH=round(price - 0.3, 1))
    assert venue.ask("userFills")[0]["liquidation"]["method"] == "market"
    assert venue.size("ETH") == 0
    assert venue.world.accounts[venue.user].cash == cash
    venue.world.ledger.close()


def test_cross_liquidation_closes_every_cross_position(tmp_path: Path) -> None:
    venue = Venue(tmp_path, balance=D(1_000))
    venue.leverage(ETH, 25, cross=True)
    venue.leverage(BTC, 40, cross=True)
    venue.place(limit(ETH, "3", "3010", "Ioc"), limit(BTC, "0.2", "60300", "Ioc"))
    venue.place(limit(ETH, "0.1", "2000", cloid=cloid(7)))
    venue.tick(ETH=2880.0, BTC=57_700.0)
    assert venue.size("ETH") == venue.size("BTC") == 0
    assert D(venue.ask("clearinghouseState")["marginSummary"]["accountValue"]) >= 0
    venue.world.ledger.close()


@pytest.mark.parametrize(
    ("value", "cross", "text"),
    [
        (26, False, "Invalid leverage value"),
        (0, False, "Invalid leverage value"),
    ],
)
def test_leverage_is_bounded_by_the_coin(venue: Venue, value: int, cross: bool, text: str) -> None:
    assert venue.leverage(ETH, value, cross=cross) == {"status": "err", "response": text}


def test_the_margin_mode_stays_while_a_position_is_open(venue: Venue) -> None:
    venue.leverage(ETH, 5)
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    text = "Cannot switch leverage type with open position."
    assert venue.leverage(ETH, 5, cross=True) == {"status": "err", "response": text}
    assert venue.leverage(ETH, 3)["status"] == "ok"
    assert D(venue.position("ETH")["marginUsed"]) >= 1_000


def test_leverage_cannot_fall_below_what_the_cash_carries(tmp_path: Path) -> None:
    """Isolated and cross have texts of their own, and nothing has changed afterwards."""
    venue = Venue(tmp_path, balance=D(1_000))
    venue.leverage(ETH, 10)
    venue.place(limit(ETH, "2", "3010", "Ioc"))
    answer = venue.leverage(ETH, 2)
    assert answer["response"].startswith("Isolated position does not have sufficient margin")
    assert venue.position("ETH")["leverage"]["value"] == 10
    venue.leverage(BTC, 20, cross=True)
    venue.place(limit(BTC, "0.08", "60300", "Ioc"))
    answer = venue.leverage(BTC, 2, cross=True)
    assert answer["response"].startswith("Cross position does not have sufficient margin")
    assert venue.position("BTC")["leverage"]["value"] == 20
    venue.world.ledger.close()


def test_isolated_margin_can_be_added_and_taken_within_the_rule(venue: Venue) -> None:
    """Of the notional, initial margin must stay, or 10 % of it."""
    move = {"type": "updateIsolatedMargin", "asset": ETH, "isBuy": True}
    assert venue.act(move | {"ntli": 5})["response"] == "Cannot update margin for empty position."
    venue.leverage(ETH, 5)
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    before = D(venue.position("ETH")["marginUsed"])
    assert venue.act(move | {"ntli": 100_000_000})["status"] == "ok"
    assert D(venue.position("ETH")["marginUsed"]) == before + 100
    assert venue.act(move | {"ntli": 0})["response"] == "Update to isolated margin cannot be zero."
    text = "Position does not have sufficient margin for reduction."
    assert venue.act(move | {"ntli": -500_000_000})["response"] == text
    text = "Account does not have sufficient margin available for increase."
    assert venue.act(move | {"ntli": 50_000_000_000})["response"] == text
    venue.leverage(BTC, 20, cross=True)
    venue.place(limit(BTC, "0.01", "60300", "Ioc"))
    answer = venue.act(move | {"asset": BTC, "ntli": 5})
    assert answer["response"] == "Position does not use isolated margin."


def test_scheduled_cancel_needs_volume_and_then_cancels_orders_only(venue: Venue) -> None:
    schedule = {"type": "scheduleCancel", "time": venue.world.now + 10_000}
    text = venue.act(schedule)["response"]
    assert text.startswith("Cannot set scheduled cancel time until enough volume traded.")
    venue.world.accounts[venue.user].volume = D(2_000_000)
    early = venue.act({"type": "scheduleCancel", "time": venue.world.now + 4_999})
    assert early["status"] == "err"
    assert venue.act(schedule)["status"] == "ok"
    venue.place(limit(ETH, "1", "3010", "Ioc"), limit(ETH, "1", "2900", cloid=cloid(1)))
    venue.tick()
    assert venue.status(cloid(1)) == "open"
    venue.tick()
    assert venue.status(cloid(1)) == "scheduledCancel"
    assert venue.size("ETH") == 1


def test_ten_scheduled_cancels_fire_a_day_of_market_time(venue: Venue) -> None:
    """The eleventh is refused until 00:00 UTC; taking one back never is."""
    account = venue.world.accounts[venue.user]
    account.volume = D(1_000_000)

    def schedule() -> dict[str, Any]:
        return venue.act({"type": "scheduleCancel", "time": venue.world.now + 5_000})

    for _ in range(10):
        assert schedule()["status"] == "ok"
        venue.tick()
    text = "Too many scheduled cancels triggered for the day. Limit is 10."
    assert schedule() == {"status": "err", "response": text}
    assert venue.act({"type": "scheduleCancel"})["status"] == "ok"
    midnight = venue.world.now - venue.world.now % 86_400_000 + 86_400_000
    venue.world.now = Ms(midnight - 1)
    assert schedule()["status"] == "err"
    venue.world.now = Ms(midnight)
    assert schedule()["status"] == "ok"


def test_a_scheduled_cancel_taken_back_does_not_fire(venue: Venue) -> None:
    venue.world.accounts[venue.user].volume = D(1_000_000)
    venue.place(limit(ETH, "1", "2900", cloid=cloid(1)))
    venue.act({"type": "scheduleCancel", "time": venue.world.now + 5_000})
    venue.act({"type": "scheduleCancel"})
    for _ in range(3):
        venue.tick()
    assert venue.status(cloid(1)) == "open"
    assert venue.world.accounts[venue.user].cancels_fired == (0, 0)


def test_a_million_must_have_been_traded_to_schedule_or_take_back(venue: Venue) -> None:
    """Required and Traded, in dollars and cents."""
    venue.world.accounts[venue.user].volume = D("999999.994")
    text = (
        "Cannot set scheduled cancel time until enough volume traded. "
        "Required: $1000000. Traded: $999999.99."
    )
    for action in ({"type": "scheduleCancel"}, {"type": "scheduleCancel", "time": 2**50}):
        assert venue.act(action) == {"status": "err", "response": text}

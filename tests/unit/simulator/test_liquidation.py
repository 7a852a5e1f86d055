"""Liquidation of large positions and of several, and who bears what is below nothing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.domain.margin import maintenance_margin
from tests.unit.simulator.given import BTC, ETH, Venue, cloid, limit

D = Decimal


def rich(tmp_path: Path, **options: Any) -> Venue:
    return Venue(tmp_path, **({"balance": D(100_000), "depth_usd": 1e9} | options))


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Venue]:
    """An isolated position of 300,000 USD, at 20x, and an order beside it."""
    venue = rich(tmp_path)
    venue.leverage(ETH, 20)
    venue.place(limit(ETH, "100", "3010", "Ioc"))
    venue.place(limit(ETH, "1", "2000", cloid=cloid(1)), limit(BTC, "1", "50000", cloid=cloid(2)))
    yield venue
    venue.world.ledger.close()


def below(venue: Venue, coin: str, by: float = 1.0) -> float:
    return round(float(venue.position(coin)["liquidationPx"]) - by, 1)


def test_of_a_large_position_a_fifth_goes_first(large: Venue) -> None:
    """Over 100,000 USD: 20 % to the book; the margin stays, so the rest may live on."""
    before = D(large.position("ETH")["marginUsed"])
    large.tick(ETH=below(large, "ETH"))
    assert large.size("ETH") == 80
    fill = large.ask("userFills")[0]
    assert fill["liquidation"]["method"] == "market"
    assert {row["sz"] for row in large.ask("userFills") if "liquidation" in row} == {"20.0"}
    left = D(large.position("ETH")["marginUsed"])
    assert left < before
    mark = large.world.prices.mark("ETH")
    tiers = large.world.prices.instruments["ETH"].tiers
    assert left > maintenance_margin(80 * mark, tiers)
    assert large.status(cloid(1)) == "liquidatedCanceled"
    assert large.status(cloid(2)) == "open"


def test_a_mark_apart_from_the_book_liquidates_and_the_book_fills(large: Venue) -> None:
    """Margin goes by the mark; what is sold gets what the book gives, and both are shown."""
    mark = below(large, "ETH")
    large.world.conditions.apart["ETH"] = D(repr(mark)) / 3_000 - 1
    large.tick(ETH=3_000.0)
    assert large.size("ETH") == 80
    (fill,) = [row for row in large.ask("userFills") if "liquidation" in row]
    assert float(fill["liquidation"]["markPx"]) == mark
    assert 2_990 < float(fill["px"]) < 3_000
    shown = large.info.market.context("ETH")
    assert (float(str(shown["markPx"])), float(str(shown["midPx"]))) == (mark, 3_000.0)


def test_in_the_thirty_seconds_after_it_all_of_the_position_goes(large: Venue) -> None:
    large.tick(ETH=below(large, "ETH"))
    large.tick(ETH=below(large, "ETH"))
    assert large.size("ETH") == 0


def test_thirty_seconds_later_a_fifth_goes_again(large: Venue) -> None:
    large.tick(ETH=below(large, "ETH"))
    for _ in range(6):
        large.tick()
    assert large.size("ETH") == 80
    large.tick(ETH=below(large, "ETH"))
    assert large.size("ETH") == 64


def test_the_ledger_row_tells_what_was_sent(large: Venue) -> None:
    """Part of the position, the mode, the account's value before."""
    large.tick(ETH=below(large, "ETH"))
    row = large.ask("userNonFundingLedgerUpdates", startTime=0)[-1]["delta"]
    assert row["liquidatedPositions"] == [{"coin": "ETH", "szi": "20.0"}]
    assert D(row["liquidatedNtlPos"]) == 20 * large.world.prices.mark("ETH")
    assert row["leverageType"] == "Isolated"


def test_the_thirty_seconds_survive_the_process(large: Venue) -> None:
    large.tick(ETH=below(large, "ETH"))
    again = large.reopen()
    assert again.world.accounts[again.user].whole_until == again.world.now + 30_000
    again.world.ledger.close()


def test_a_short_is_liquidated_the_same_way(tmp_path: Path) -> None:
    venue = rich(tmp_path)
    venue.leverage(ETH, 20)
    venue.place(limit(ETH, "-100", "2990", "Ioc"))
    venue.tick(ETH=below(venue, "ETH", by=-1.0))
    assert venue.size("ETH") == -80
    assert venue.ask("userFills")[0]["dir"] == "Close Short"
    venue.world.ledger.close()


def test_cross_positions_go_largest_first_until_margin_is_met(tmp_path: Path) -> None:
    """The collateral that is left, and the smaller position, stay with the trader."""
    venue = rich(tmp_path, balance=D(1_500))
    venue.leverage(ETH, 25, cross=True)
    venue.leverage(BTC, 40, cross=True)
    venue.place(limit(ETH, "8", "3010", "Ioc"), limit(BTC, "0.05", "60300", "Ioc"))
    venue.tick(ETH=below(venue, "ETH", by=5.0))
    assert venue.size("ETH") == 0
    assert venue.size("BTC") == D("0.05")
    assert {row["coin"] for row in venue.ask("userFills") if "liquidation" in row} == {"ETH"}
    assert D(venue.ask("clearinghouseState")["marginSummary"]["accountValue"]) > 0
    venue.world.ledger.close()


def test_tiers_make_a_large_position_need_more(tmp_path: Path) -> None:
    """Beyond 100 M USD ETH needs 1/30 with a deduction: liquidated earlier than by 1/50."""
    venue = rich(tmp_path, balance=D(20_000_000), depth_usd=1e10)
    venue.leverage(ETH, 15)
    venue.place(limit(ETH, "60000", "3010", "Ioc"))
    row = venue.position("ETH")
    price = D(row["liquidationPx"])
    equity = D(row["leverage"]["rawUsd"]) + 60_000 * price
    notional = 60_000 * price
    deduction = 100_000_000 * (D(1) / 30 - D(1) / 50)
    assert abs(equity - (notional / 30 - deduction)) < 1
    venue.tick(ETH=float(price.quantize(D("0.1"))) - 0.5)
    assert venue.size("ETH") == 48_000
    venue.world.ledger.close()


def test_the_backstop_leaves_cross_accounts_nothing_and_no_debt(tmp_path: Path) -> None:
    """Below two thirds of maintenance all cross positions and the margin are gone."""
    venue = rich(tmp_path, balance=D(1_000))
    venue.leverage(ETH, 25, cross=True)
    venue.place(limit(ETH, "5", "3010", "Ioc"))
    venue.tick(ETH=2_812.0)  # some equity is left: less than two thirds of maintenance
    assert venue.ask("userFills")[0]["liquidation"]["method"] == "backstop"
    state = venue.ask("clearinghouseState")
    assert state["assetPositions"] == []
    assert state["marginSummary"]["accountValue"] == "0.0"
    answer = venue.act({"type": "noop"})
    assert answer["response"].startswith("Must deposit before performing actions.")
    venue.world.ledger.close()

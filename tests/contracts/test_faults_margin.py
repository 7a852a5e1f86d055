"""Margin at the venue: by mark, not by the book; a stop it cancels; a fifth of a large position.

The real adapter and the acting half; docs/faults.md in tests.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bot.domain.reasons import Reason
from bot.domain.types import ExitReason, Leg, OrderStatus, TradingState
from tests.acting import ETH, Acting, acting

LARGE = {"balance": Decimal(1_000_000)}  # carries a position of more than 100,000 USDC
SOON_S = 3.0  # a look on doubt a second later, and the way of an order


async def struck(half: Acting, **fault: object) -> None:
    """Let it happen to ETH at the next tick, and what follows at once."""
    half.faults({"coin": "ETH", **fault})
    for _ in range(120):
        await half.play(0.5)
        if half.struck() == [1]:
            break
    await half.play(SOON_S)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_stop_that_the_venue_cancels_for_margin_is_placed_again_at_once(
    tmp_path: Path, times: int
) -> None:
    """Told by the stream: the stop proof does not wait for its turn, and it is reported."""
    async with acting(tmp_path) as half:
        await half.enter()
        await half.play(31)  # a comparison has just been; the next one is far
        for number in range(times):
            (before,) = half.stops()
            await struck(half, kind="margin_cancel")
            assert before.status == "marginCanceled"
            (again,) = half.stops()
            assert (again.trigger, again.whole) == (before.trigger, True)
            assert half.names().count("stop_taken_away") == number + 1
        assert half.books.orders[before.cloid].status is OrderStatus.CANCELLED
        await half.in_order()


async def test_a_target_that_the_venue_cancels_for_margin_is_judged_by_care(tmp_path: Path) -> None:
    """The position keeps its stop, and the target is taken by an exit of ours."""
    async with acting(tmp_path) as half:
        await half.enter()
        await struck(half, kind="margin_cancel", order="target")
        assert [order.status for order in half.orders(Leg.TARGET)] == ["marginCanceled"]
        assert len(half.stops()) == 1
        half.move(ETH=3_400.0)
        await half.play(90)
        assert half.account.holdings == {}
        assert half.books.trades[-1].exit_reason is ExitReason.TARGET
        await half.in_order()


async def test_a_large_position_is_liquidated_by_a_fifth_and_the_rest_gets_its_stop(
    tmp_path: Path,
) -> None:
    """Over 100,000 USDC the venue sells a fifth first, and cancels what rests in the coin.

    Booked with its fee; what is left has a stop of its size at once; nothing is opened any more.
    """
    async with acting(tmp_path, **LARGE) as half:
        assert await half.enter(ETH, usd=150_000) is Reason.EXECUTED
        await half.play(31)
        whole, fees = half.books.positions[ETH].quantity, half.books.ledger.fees
        await struck(half, kind="liquidate")
        left = half.books.positions[ETH].quantity
        assert abs(left - whole * Decimal("0.8")) <= half.instruments[ETH].lot
        assert half.books.ledger.fees > fees
        (stop,) = half.stops()
        assert stop.whole or stop.remaining == left
        assert half.books.orders[stop.cloid].quantity == left
        safety = half.books.safety
        assert safety.state is TradingState.REDUCE_ONLY and "in part" in safety.why
        assert "part_liquidated" in half.names()
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(10)
        assert half.account.holdings == {}
        await half.in_order()


async def test_a_mark_away_from_the_book_fires_the_stop_and_the_book_fills_it(
    tmp_path: Path,
) -> None:
    """Triggers go by mark: 12 % under a book that has not moved. Sold at the book's price."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "mark_apart", "coin": "ETH", "by": -0.12})
        await half.play(20)
        assert half.account.holdings == {}
        (trade,) = half.books.trades
        assert trade.exit_reason is ExitReason.STOP
        assert trade.exit_price > Decimal(2_950), "of the book, not of the mark"
        await half.in_order()


async def test_a_liquidation_by_mark_alone_is_told_as_one(tmp_path: Path) -> None:
    """A gap of the mark with nobody in the book: the stop cannot fill, the backstop takes over."""
    async with acting(tmp_path, {"kind": "thin_book", "coin": "ETH", "at_s": 10}) as half:
        await half.enter()
        half.faults(
            {"kind": "thin_book", "coin": "ETH"},
            {"kind": "mark_apart", "coin": "ETH", "by": -0.4},
        )
        await half.play(120)
        assert half.account.holdings == {}
        (trade,) = half.books.trades
        assert trade.exit_reason is ExitReason.LIQUIDATION
        assert half.books.safety.state is TradingState.REDUCE_ONLY
        await half.in_order()


@pytest.mark.parametrize("by", [-0.08, 0.08])
async def test_an_exit_beside_a_mark_away_from_the_book_fills(tmp_path: Path, by: float) -> None:
    """Its bound is measured from the worse of both."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "mark_apart", "coin": "ETH", "by": by})
        await half.play(5)
        sent = len(half.orders(Leg.EXIT))
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(5)
        assert half.account.holdings == {}
        assert len(half.orders(Leg.EXIT)) == sent + 1, "at the first try"
        await half.in_order()


async def test_the_loss_that_only_the_mark_shows_opens_the_breaker(tmp_path: Path) -> None:
    """Equity is at the mark, as the venue counts margin: entries stop before anything is sold."""
    async with acting(tmp_path) as half:
        await half.enter(ETH, usd=9_000)
        safety = half.books.safety
        safety.begin(half.books.equity())
        safety._limits = replace(safety._limits, daily_loss_frac=0.05)
        await half.play(5)
        assert safety.open_codes() == ()
        half.faults({"kind": "mark_apart", "coin": "ETH", "by": -0.09})
        half.move(ETH=2_999.0)
        await half.play(90)
        assert safety.open_codes() == ("daily_loss",)
        assert ETH in half.books.positions, "its stop is 10 % away"
        assert half.account.holdings["ETH"].size == half.books.positions[ETH].quantity

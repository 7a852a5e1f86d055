"""Orders at a bad time, and what the venue does by itself.

The real adapter and the acting half; docs/faults.md in tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.reasons import Reason
from bot.domain.types import ExitReason, Leg, TradingState
from bot.pipeline.blocks import BlockKind
from tests.acting import ETH, SOL, acting


async def test_a_part_filled_entry_gets_a_stop_of_its_size_at_once(tmp_path: Path) -> None:
    """Its children are dropped by the venue: a position stop goes out."""
    async with acting(tmp_path, {"kind": "partial_entry", "fraction": 0.4}) as half:
        wish = half.wish()
        assert await half.enter() is Reason.EXECUTED
        position = half.books.positions[ETH]
        assert position.quantity < wish.intent.quantity
        (stop,) = half.stops()
        assert stop.whole
        await half.in_order()


async def test_an_exit_that_races_the_stop_ends_flat_with_one_trade(tmp_path: Path) -> None:
    """The stop fires as our exit arrives: refused as reduce-only, and that is an end."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "reduce_race"})
        half.desk.close(ETH, ExitReason.TIME_STOP)
        await half.play(40)
        assert half.struck() == [1]
        assert half.books.positions == {}
        assert half.books.closed_trades == 1
        await half.in_order()


async def test_in_a_post_only_window_the_stop_stays_and_the_exit_waits(tmp_path: Path) -> None:
    """Entries are refused and their market left alone; an exit goes again when it is over."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "post_only", "for_s": 30})
        assert await half.enter(SOL) is Reason.VENUE_REJECTED
        kinds = [block.kind for block in half.books.safety.blocks.of(SOL)]
        assert kinds == [BlockKind.MARKET_SHUT]
        sent = half.hyperliquid.venue.actions_sent
        for _ in range(30):
            half.desk.close(ETH, ExitReason.TIME_STOP)
            await half.play(1)
            assert half.unprotected() == []
        assert half.hyperliquid.venue.actions_sent - sent <= 3 * 7, "no hot loop"
        for _ in range(10):
            half.desk.close(ETH, ExitReason.TIME_STOP)
            await half.play(1)
        assert half.books.positions == {}
        await half.play(90)
        assert not half.books.safety.blocked
        await half.in_order()


async def test_in_a_post_only_window_the_exit_waits_in_the_book_and_follows_it(
    tmp_path: Path,
) -> None:
    """At the best price of its own side; moved with the book; filled there; the stop stays."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "post_only", "for_s": 120})
        half.desk.close(ETH, ExitReason.TIME_STOP)
        await half.play(1)
        (first,) = half.resting()
        assert (first.tif, first.reduce_only) == ("Alo", True)
        assert first.limit == half.exchange._world.prices.touch("ETH")[1]
        half.move(ETH=2_990.0)
        await half.play(20)
        (second,) = half.resting()
        assert second.limit < first.limit and half.unprotected() == []
        sent = half.hyperliquid.venue.actions_sent
        await half.play(30)
        assert half.hyperliquid.venue.actions_sent - sent <= 5, "one question a try, no new order"
        half.move(ETH=3_020.0)
        await half.play(10)
        assert half.books.positions == {}
        assert half.books.trades[-1].exit_reason is ExitReason.TIME_STOP
        await half.in_order()


async def test_an_exit_in_the_book_is_withdrawn_when_the_window_is_over(tmp_path: Path) -> None:
    """Care goes on with it by itself; what a person wished too, and not each second."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "post_only", "for_s": 30})
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(28)
        assert len(half.resting()) == 1
        assert len(half.orders(Leg.EXIT)) == 1
        assert sum(o.leg is Leg.EXIT for o in half.books.orders.values()) <= 7
        await half.play(15)
        assert half.books.positions == {} and half.resting() == []
        assert half.books.trades[-1].exit_reason is ExitReason.MANUAL
        await half.in_order()


async def test_in_a_halted_market_nothing_is_opened_and_what_is_open_stays_known(
    tmp_path: Path,
) -> None:
    """Refused, blocked for a while, tried again after it."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "halt", "coin": "ETH", "for_s": 60})
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(10)
        assert ETH in half.books.positions
        assert half.unprotected() == []
        await half.play(60)
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(20)
        assert half.books.positions == {}
        await half.in_order()


async def test_a_thin_book_is_asked_in_steps_and_again(tmp_path: Path) -> None:
    """The ladder of bounds finds nothing; the stop rests; liquidity comes back."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "thin_book", "coin": "ETH", "for_s": 20})
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(5)
        assert ETH in half.books.positions and half.unprotected() == []
        limits = [o.limit for o in half.books.orders.values() if o.leg is Leg.EXIT]
        assert limits == sorted(limits, reverse=True) and len({*limits}) == 3
        await half.play(20)
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(20)
        assert half.books.positions == {}
        await half.in_order()


async def test_at_the_cap_of_open_interest_nothing_is_opened_and_exits_pass(
    tmp_path: Path,
) -> None:
    """The market is left alone for a while; what is open there closes."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "open_interest_cap", "for_s": 60})
        assert await half.enter(SOL) is Reason.VENUE_REJECTED
        kinds = [block.kind for block in half.books.safety.blocks.of(SOL)]
        assert kinds == [BlockKind.MARKET_SHUT]
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(5)
        assert half.books.positions == {}
        await half.play(120)
        assert not half.books.safety.blocked
        assert await half.enter(SOL) is Reason.EXECUTED
        await half.in_order()


@pytest.mark.parametrize("method", ["market", "backstop"])
async def test_a_liquidation_is_told_as_one_and_leaves_nothing_behind(
    tmp_path: Path, method: str
) -> None:
    """A fill of no order of ours: booked, its reason named, entries stopped."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "liquidate", "coin": "ETH", "method": method})
        await half.play(20)
        assert half.books.positions == {}
        assert half.books.trades[-1].exit_reason is ExitReason.LIQUIDATION
        assert half.books.safety.state is not TradingState.ACTIVE
        await half.in_order()


@pytest.mark.parametrize("fraction", [1.0, 0.5])
async def test_auto_deleveraging_reduces_our_books_too(tmp_path: Path, fraction: float) -> None:
    """Without an order of ours: folded, and what is left stays protected."""
    async with acting(tmp_path) as half:
        await half.enter()
        size = half.books.positions[ETH].quantity
        half.faults({"kind": "deleverage", "coin": "ETH", "fraction": fraction})
        await half.play(40)
        if fraction == 1.0:
            assert half.books.trades[-1].exit_reason is ExitReason.VENUE
        else:
            assert 0 < half.books.positions[ETH].quantity < size
            assert half.names().count("reduced_by_other") == 1
        assert not half.books.safety.blocked
        await half.in_order()


async def test_a_funding_spike_is_booked_to_the_position_that_was_open(tmp_path: Path) -> None:
    """4 % in the hour: paid by what was open at the hour, not by what came after it."""
    async with acting(tmp_path, {"kind": "funding_spike", "coin": "ETH"}) as half:
        await half.enter()
        await half.play(2_710)  # to the full hour
        (row,) = half.account.fundings
        assert float(row["delta"]["fundingRate"]) == 0.04
        assert half.books.positions[ETH].funding < -10
        await half.in_order()


async def test_a_switch_to_one_pot_is_followed_and_equity_does_not_vanish(tmp_path: Path) -> None:
    """The collateral has moved to the spot state: read there from now on."""
    async with acting(tmp_path) as half:
        half.faults({"kind": "account_mode", "mode": "unifiedAccount"})
        await half.play(360)
        account = half.reconcile.account
        assert account is not None and account.equity > 9_000
        assert half.books.safety.state is TradingState.ACTIVE


async def test_a_mode_that_cannot_be_read_halts_and_says_so(tmp_path: Path) -> None:
    """portfolioMargin: no equity as one number, so nothing is sized by it."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "account_mode", "mode": "portfolioMargin"})
        await half.play(400)
        assert half.books.safety.state is TradingState.HALTED
        assert "portfolioMargin" in half.books.safety.why
        assert half.unprotected() == []


async def test_a_delisted_coin_opens_nothing_and_lets_out(tmp_path: Path) -> None:
    """Refused as such; the position closes."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "delist", "coin": "SOL"}, {"kind": "delist", "coin": "ETH"})
        assert await half.enter(SOL) is Reason.VENUE_REJECTED
        half.instruments.update(await half.hyperliquid.feed.instruments())
        await half.play(35)
        kinds = {block.kind for block in half.books.safety.blocks.of(SOL)}
        assert BlockKind.DELISTED in kinds
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(10)
        assert half.books.positions == {}
        await half.in_order()


async def test_a_delisting_settlement_is_folded_as_closed_by_the_venue(tmp_path: Path) -> None:
    """All orders go, the position ends at the oracle under no order of ours."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "delist", "coin": "ETH", "settle": True})
        await half.play(40)
        assert half.stops() == [] and half.account.holdings == {}
        assert half.account.fills[-1]["dir"] == "Settlement"
        assert half.books.positions == {}
        assert half.books.trades[-1].exit_reason is ExitReason.VENUE
        assert half.books.safety.state is TradingState.ACTIVE
        await half.in_order()


async def test_rules_that_drift_are_asked_anew_when_the_venue_refuses_ours(tmp_path: Path) -> None:
    """szDecimals fell: the size we would send is no longer one; the exit comes through."""
    async with acting(tmp_path) as half:
        rules = half.instruments[ETH]
        await half.enter(usd=3_123)
        half.faults({"kind": "meta_drift", "coin": "ETH", "size_decimals": 1, "max_leverage": 2})
        await half.play(6)
        half.instruments[ETH] = rules
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(30)
        assert half.instruments[ETH].size_decimals == 1
        assert half.instruments[ETH].max_leverage == 2
        assert half.books.positions[ETH].quantity < half.instruments[ETH].lot
        assert half.stops(), "what is less than a lot stays guarded"


async def test_less_than_a_lot_is_parked_and_costs_no_more_actions(tmp_path: Path) -> None:
    """szDecimals fell: an hour of market time in which care wants out, without an order."""
    async with acting(tmp_path) as half:
        await half.enter(usd=100)
        half.faults({"kind": "meta_drift", "coin": "ETH", "size_decimals": 0})
        await half.play(6)
        half.desk.close(ETH, ExitReason.TIME_STOP)
        await half.play(30)
        (block,) = half.books.safety.blocks.of(ETH)
        assert block.kind is BlockKind.DUST
        sent = half.hyperliquid.venue.actions_sent
        assert sent <= 5, "the entry with its legs, its leverage, and one exit"
        for _ in range(360):
            half.desk.close(ETH, ExitReason.TIME_STOP)
            half.desk.close(ETH, ExitReason.MANUAL)
            half.desk.move_stop(ETH, 2_950.0)
            half.desk.defend(ETH)
            await half.play(10)
        assert half.hyperliquid.venue.actions_sent == sent
        assert half.names().count("symbol_blocked") == 1
        assert half.stops(), "what rests stays"
        half.faults({"kind": "meta_drift", "coin": "ETH", "size_decimals": 4})
        await half.play(6)
        half.instruments.update(await half.hyperliquid.feed.instruments())  # as each scan does
        await half.play(40)
        assert not half.books.safety.blocked
        assert half.books.positions == {}, "care's time stop comes through"
        await half.in_order()

"""Somebody else on the account: quarantined, shown, never touched.

The real adapter and the acting half; docs/faults.md in tests.
"""

from __future__ import annotations

from pathlib import Path

from bot.domain.types import ExitReason, TradingState
from bot.pipeline.blocks import BlockKind
from bot.pipeline.closing import Closing, Closure
from bot.pipeline.wishes import ExitWishes
from tests.acting import ETH, SOL, acting


async def test_a_foreign_position_is_quarantined_shown_and_never_touched(tmp_path: Path) -> None:
    """Somebody bought SOL by hand: no entry of ours beside it, no order of ours against it."""
    async with acting(tmp_path) as half:
        half.faults({"kind": "foreign_trade", "coin": "SOL", "usd": 500})
        await half.play(20)
        kinds = {block.kind for block in half.books.safety.blocks.of(SOL)}
        assert kinds == {BlockKind.FOREIGN_FILL, BlockKind.FOREIGN_POSITION}
        assert SOL not in half.books.positions
        size = half.account.size("SOL")
        await half.play(60)
        assert half.account.size("SOL") == size
        half.faults({"kind": "foreign_trade", "coin": "SOL", "usd": -500})
        await half.play(60)
        assert half.account.size("SOL") == 0
        assert not half.books.safety.blocked


async def test_a_position_gone_without_a_fill_leaves_the_books_by_hand(tmp_path: Path) -> None:
    """Its row never came: halted; named by a person and confirmed by the venue, it is booked."""
    async with acting(tmp_path) as half:
        await half.enter()
        held = half.books.positions[ETH]
        taken = half.account.holdings.pop("ETH")
        await half.play(60)
        assert half.books.gone == {ETH}
        wishes = ExitWishes(half.books, half.rows, half.clock, lambda: True)
        closing = Closing(
            half.clock, half.hyperliquid.feed, half.books, half.desk, half.execution, wishes
        )
        (one,) = await closing.close((ETH,), ExitReason.FLATTEN)
        assert one.state is Closure.STILL_OPEN and "close ETH" in one.why
        half.account.holdings["ETH"] = taken
        (one,) = await closing.close((ETH,), ExitReason.MANUAL)
        assert one.state is Closure.STILL_OPEN, "the venue holds it after all"
        del half.account.holdings["ETH"]
        sent = half.hyperliquid.venue.actions_sent
        (one,) = await closing.close((ETH,), ExitReason.MANUAL)
        assert one.state is Closure.CLOSED and one.net_pnl is not None
        assert half.hyperliquid.venue.actions_sent == sent, "no order for what is not there"
        trade = half.books.trades[-1]
        assert (trade.exit_reason, trade.quantity) == (ExitReason.VENUE, held.quantity)
        assert "position_written_off" in half.names()
        await half.play(60)
        assert half.books.gone == set() and not half.books.safety.blocked
        assert half.stops() == [], "its orders are cancelled as strays"
        assert half.books.safety.state is TradingState.HALTED, "until a person resumes"


async def test_a_foreign_order_is_counted_and_left_alone(tmp_path: Path) -> None:
    """It has not our client id."""
    async with acting(tmp_path) as half:
        half.faults({"kind": "foreign_order", "coin": "SOL", "usd": 50})
        await half.play(70)
        assert half.reconcile.foreign_orders == 1
        assert [o.is_open for o in half.account.orders.values()] == [True]


async def test_more_than_our_fills_shuts_the_symbol_and_our_share_stays_guarded(
    tmp_path: Path,
) -> None:
    """Somebody adds to our coin: drift, told; our quantity is what we guard."""
    async with acting(tmp_path) as half:
        await half.enter()
        ours = half.books.positions[ETH].quantity
        half.faults({"kind": "foreign_trade", "coin": "ETH", "usd": 300})
        await half.play(20)
        kinds = {block.kind for block in half.books.safety.blocks.of(ETH)}
        assert BlockKind.POSITION_DRIFT in kinds
        assert "position_drift" in half.names()
        assert half.books.positions[ETH].quantity == ours
        assert [stop.remaining for stop in half.stops()] == [ours]
        half.desk.move_stop(ETH, 2_850.0)
        await half.play(10)
        (stop,) = half.stops()
        assert (stop.whole, stop.remaining) == (False, ours), "moved, it is of our size still"


async def test_a_stop_that_follows_the_position_is_laid_anew_when_a_stranger_adds(
    tmp_path: Path,
) -> None:
    """It would sell the stranger's too; of our size, it leaves theirs alone."""
    async with acting(tmp_path, {"kind": "partial_entry", "fraction": 0.4}) as half:
        await half.enter()
        ours = half.books.positions[ETH].quantity
        (before,) = half.stops()
        assert before.whole
        half.move(ETH=3_001.0)  # and a book as usual
        await half.play(6)
        half.faults({"kind": "foreign_trade", "coin": "ETH", "usd": 300})
        await half.play(70)
        (after,) = half.stops()
        assert (after.whole, after.remaining, after.trigger) == (False, ours, before.trigger)
        assert not [o for o in half.account.open_orders("ETH") if o.whole]
        theirs = half.account.size("ETH") - ours
        half.move(ETH=float(before.trigger) - 10)
        await half.play(60)
        assert half.books.positions == {}
        assert half.account.size("ETH") == theirs > 0

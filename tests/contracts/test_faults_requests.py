"""Requests that fail: whatever became of them, once, and in the end the books are the venue's.

The real adapter and the acting half; docs/faults.md in tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.reasons import Reason
from bot.domain.types import ExitReason, Leg, OrderStatus, TradingState
from bot.pipeline.blocks import BlockKind
from tests.acting import ETH, SOL, acting

UNANSWERED: dict[str, dict[str, object]] = {
    "502 after it was done": {"kind": "gateway", "executed": True},
    "reset after it was done": {"kind": "reset", "executed": True},
    "no answer, done": {"kind": "timeout", "lands": "at_once", "hold_s": 0.1},
    "no answer, done 3 s later": {"kind": "timeout", "lands": "later", "later_s": 3, "hold_s": 0.1},
    "502, not done": {"kind": "gateway"},
    "reset, not done": {"kind": "reset"},
    "no answer, never done": {"kind": "timeout", "lands": "never"},
    "no answer, done after its life": {
        "kind": "timeout",
        "lands": "later",
        "later_s": 9,
        "hold_s": 0.1,
    },
}
DONE = tuple(UNANSWERED)[:4]


@pytest.mark.parametrize("name", UNANSWERED)
async def test_an_entry_without_an_answer_is_asked_for_and_never_sent_again(
    tmp_path: Path, name: str
) -> None:
    """Its symbol is shut until the venue tells; done or not done, once."""
    async with acting(tmp_path, {"on": "entry", **UNANSWERED[name]}) as half:
        assert await half.enter() is Reason.UNKNOWN_OUTCOME
        blocks = half.books.safety.blocks.of(ETH)
        assert [block.kind for block in blocks] == [BlockKind.UNKNOWN_ENTRY]
        known = {*half.books.reservations, *half.books.positions}
        assert known, "an unknown entry keeps its exposure until its fill is in the books"
        await half.play(30)
        assert half.struck() == [1]
        assert not half.books.safety.blocked
        assert (ETH in half.books.positions) == (name in DONE)
        (entry,) = [o for o in half.books.orders.values() if o.leg is Leg.ENTRY]
        assert entry.status is (OrderStatus.FILLED if name in DONE else OrderStatus.EXPIRED)
        assert not half.books.reservations
        assert len(half.orders(Leg.ENTRY)) <= 1
        await half.in_order()


async def test_an_entry_that_our_fast_clock_lets_live_for_an_hour_may_land_late(
    tmp_path: Path,
) -> None:
    """The venue's clock says when it can no longer come; until then its symbol stays shut."""
    late = {"kind": "timeout", "on": "entry", "lands": "later", "later_s": 60, "hold_s": 0.1}
    async with acting(tmp_path, {"kind": "clock_skew", "skew_ms": -3_600_000}, late) as half:
        assert await half.enter() is Reason.UNKNOWN_OUTCOME
        await half.play(50)
        assert [block.kind for block in half.books.safety.blocks.of(ETH)] == [
            BlockKind.UNKNOWN_ENTRY
        ]
        assert half.books.reservations
        await half.play(30)
        assert ETH in half.books.positions
        assert not half.books.safety.blocked
        assert len(half.orders(Leg.ENTRY)) == 1
        await half.in_order()


@pytest.mark.parametrize("name", UNANSWERED)
async def test_an_exit_without_an_answer_ends_flat_and_never_turns_round(
    tmp_path: Path, name: str
) -> None:
    """It is asked for, then sent again: it can only reduce."""
    async with acting(tmp_path) as half:
        assert await half.enter() is Reason.EXECUTED
        half.faults({"on": "exit", **UNANSWERED[name]})
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(30)
        assert half.books.positions == {}
        assert half.account.holdings == {}
        await half.in_order()


@pytest.mark.parametrize("name", UNANSWERED)
async def test_a_moved_stop_without_an_answer_leaves_no_moment_naked(
    tmp_path: Path, name: str
) -> None:
    """The old one is cancelled only when the new one was seen."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"on": "stop", **UNANSWERED[name]})
        half.desk.move_stop(ETH, 2_800.0)
        for _ in range(20):
            await half.play(1)
            assert half.unprotected() == []
        await half.in_order()


async def test_429_sheds_questions_and_never_drops_an_exit(tmp_path: Path) -> None:
    """Nothing was executed: the exit goes again by its back-off, at the bound that it had."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults(
            {"kind": "too_many_requests", "on": "exit", "times": 4},
            {"kind": "too_many_requests", "on": "info", "times": 5},
        )
        half.desk.close(ETH, ExitReason.TIME_STOP)
        for _ in range(15):
            await half.play(1)
            half.desk.close(ETH, ExitReason.TIME_STOP)  # as care does each second
        assert half.struck()[0] == 4
        assert half.books.positions == {}
        exits = [o for o in half.books.orders.values() if o.leg is Leg.EXIT]
        assert len(exits) == 5
        assert len({order.limit for order in exits}) == 1
        await half.play(60)
        await half.in_order()


@pytest.mark.parametrize("executed", [True, False], ids=["the first was done", "none was"])
@pytest.mark.parametrize("on", ["entry", "exit", "stop", "cancel"])
async def test_an_order_that_came_twice_is_asked_for_and_not_sent_again(
    tmp_path: Path, on: str, executed: bool
) -> None:
    """No two of our actions share a nonce: "duplicate" says that a gateway passed one on twice."""
    fault = {"kind": "nonce", "on": on, "says": "duplicate", "executed": executed}
    async with acting(tmp_path, fault) as half:
        assert await half.enter() is (Reason.UNKNOWN_OUTCOME if on == "entry" else Reason.EXECUTED)
        await half.play(20)
        assert len(half.orders(Leg.ENTRY)) == (executed or on != "entry")
        assert not half.books.safety.blocked
        if on in ("stop", "cancel"):
            half.desk.move_stop(ETH, 2_800.0)
            await half.play(10)
            moved = executed or on == "cancel"
            assert [stop.trigger for stop in half.stops()] == [2_800 if moved else 2_700]
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(50)
        assert half.struck() == [1]
        assert half.account.holdings == {}
        await half.in_order()


@pytest.mark.parametrize("says", ["low", "high"])
async def test_a_refused_nonce_executes_nothing_and_costs_no_position(
    tmp_path: Path, says: str
) -> None:
    """A fresh nonce is tried once where the venue named the nonce as too low."""
    async with acting(tmp_path, {"kind": "nonce", "on": "entry", "says": says}) as half:
        done = await half.enter()
        assert done is (Reason.VENUE_REJECTED if says == "high" else Reason.EXECUTED)
        assert len(half.orders(Leg.ENTRY)) == (0 if says == "high" else 1)
        await half.in_order()


async def test_a_clock_that_is_days_ahead_keeps_no_exit_back(tmp_path: Path) -> None:
    """The venue takes no nonce of more than a day ahead: a stop and an exit go below its bound."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "clock_skew", "skew_ms": -3 * 86_400_000})
        half.desk.move_stop(ETH, 2_800.0)
        await half.play(10)
        assert [stop.trigger for stop in half.stops()] == [2_800]
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(10)
        assert half.account.holdings == {}
        await half.in_order()


@pytest.mark.parametrize("on", ["info", "orderStatus"])
async def test_a_venue_that_tells_nothing_of_an_exit_does_not_hold_up_the_next_try(
    tmp_path: Path, on: str
) -> None:
    """The exit had no answer and every question is refused: the next one goes all the same."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults(
            {"kind": "timeout", "on": "exit", "lands": "never"},
            {"kind": "too_many_requests", "on": on, "times": 0},
        )
        half.desk.close(ETH, ExitReason.STOP)
        await half.play(8)
        assert half.account.holdings == {}
        half.faults()
        await half.play(90)
        await half.in_order()


async def test_while_the_venue_slows_us_down_a_stop_without_an_answer_is_asked_for_first(
    tmp_path: Path,
) -> None:
    """All other questions wait out the pause; this one steps aside for a moment only."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "timeout", "on": "stop", "lands": "at_once", "hold_s": 0.1})
        half.hyperliquid.venue._queries._transport._limiter.penalise()
        half.desk.move_stop(ETH, 2_800.0)
        await half.play(4)
        assert [stop.trigger for stop in half.stops()] == [2_800]
        await half.play(60)
        await half.in_order()


async def test_a_spent_budget_refuses_entries_and_exits_come_through_later(tmp_path: Path) -> None:
    """Refusals are no orders; the exit is tried again by its back-off."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "budget", "on": "order", "times": 7})
        assert await half.enter(SOL) is Reason.VENUE_REJECTED
        for _ in range(20):
            half.desk.close(ETH, ExitReason.TIME_STOP)
            await half.play(1)
        assert half.books.positions == {}
        await half.in_order()


async def test_a_revoked_key_opens_nothing(tmp_path: Path) -> None:
    """The venue's word for it is a refusal: no order, no doubt, and no other try: halted."""
    async with acting(tmp_path, {"kind": "agent", "times": 0}) as half:
        assert await half.enter() is Reason.VENUE_REJECTED
        assert half.books.safety.state is TradingState.HALTED
        assert "does not exist" in half.books.safety.why
        await half.in_order()


async def test_a_key_revoked_while_something_is_open_halts_and_leaves_the_stop(
    tmp_path: Path,
) -> None:
    """No rung of the ladder helps, so one is sent a try; with a new key the exit comes through."""
    async with acting(tmp_path) as half:
        await half.enter()
        half.faults({"kind": "agent", "on": "exit", "times": 0})
        half.desk.close(ETH, ExitReason.TIME_STOP)
        await half.play(0.5)
        assert half.struck() == [1]
        assert half.books.safety.state is TradingState.HALTED
        assert half.unprotected() == []
        half.faults()
        await half.play(2)
        half.desk.close(ETH, ExitReason.TIME_STOP)
        await half.play(10)
        assert half.books.positions == {}
        await half.in_order()

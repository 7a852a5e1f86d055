"""Every door by which a position could grow, and the one that must stay open: the way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.domain.breakers import Readings
from bot.domain.reasons import Reason
from bot.domain.risk import clear_exit
from bot.domain.sizing import EXIT_SLIPPAGE, reduce
from bot.domain.types import (
    Cleared,
    ExitReason,
    Leg,
    Ms,
    OrderStatus,
    Refused,
    Side,
    TradingState,
)
from tests.unit.pipeline.given import BTC, ETH, Kit, closing, entry, kit, legs, offer, plan, running

SHUT = [TradingState.REDUCE_ONLY, TradingState.HALTED]


def halted(made: Kit) -> None:
    made.books.safety.set_state(TradingState.HALTED, "by hand")


def reduce_only(made: Kit) -> None:
    made.books.safety.tighten(TradingState.REDUCE_ONLY, "as a breaker does")


def broken(made: Kit) -> None:
    made.books.safety.world(Readings(stale_share=1.0))


def blocked(made: Kit) -> None:
    made.books.safety.block(BTC, "something foreign")


CLOSES: list[Callable[[Kit], None]] = [halted, reduce_only, broken, blocked]


@pytest.mark.parametrize("close", CLOSES)
async def test_the_desk_sends_no_entry_through_a_closed_door(close: Callable[[Kit], None]) -> None:
    """State, breaker and block alike: refused at the gate, before anything is written."""
    made = kit()
    async with running(made):
        close(made)
        made.desk.offer(await offer(made))
        await made.play(1_000)
    assert legs(made) == []
    assert made.books.orders == {}


@pytest.mark.parametrize("close", CLOSES)
async def test_execution_keeps_back_an_entry_that_was_cleared_before(
    close: Callable[[Kit], None],
) -> None:
    """What closed entries while the row was written holds at the last door before the venue."""
    made, cleared = kit(), entry()
    made.venue.gates["set_leverage"] = gate = asyncio.Event()
    async with running(made):
        sending = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
        await made.play(100)
        close(made)
        gate.set()
        assert await made.finish(sending) is Reason.CLOSED_MEANWHILE
    assert legs(made) == []
    assert {order.status for order in made.books.orders.values()} == {OrderStatus.REJECTED}
    assert made.books.reservations == {}


@pytest.mark.parametrize(("speed", "late_s"), [(1.0, 9), (300.0, 2_700)])
async def test_execution_keeps_back_an_entry_that_was_cleared_in_another_time(
    speed: float, late_s: int
) -> None:
    """The machine slept while the row was written: the market is elsewhere, whatever our limit."""
    made, cleared = kit(), entry()
    made.books.safety.speed = speed
    made.venue.gates["set_leverage"] = gate = asyncio.Event()
    async with running(made):
        sending = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
        await made.play(100)
        made.clock.advance(late_s * 1_000)
        gate.set()
        assert await made.finish(sending) is Reason.CLOSED_MEANWHILE
    assert legs(made) == []
    assert made.books.reservations == {}


@pytest.mark.parametrize(
    ("late_ms", "ends", "sent"), [(0, Reason.EXECUTED, True), (1, Reason.EXPIRED, False)]
)
async def test_execution_keeps_back_an_entry_whose_signal_ended_on_its_way(
    late_ms: int, ends: Reason, sent: bool
) -> None:
    """It lived when it was cleared; its row and its leverage took longer than the rest."""
    made = kit()
    until = Ms(made.clock.now() + 2_000)
    one = replace(await offer(made), expires_at=until)
    made.venue.gates["set_leverage"] = gate = asyncio.Event()
    async with running(made):
        made.desk.offer(one)
        await made.play(100)
        made.clock.set(Ms(until + late_ms))
        gate.set()
        await made.play(5_000)
        assert (Leg.ENTRY in legs(made)) is sent
    assert made.traces.records[one.trail.id].result == ends
    assert made.books.reservations == {}


@pytest.mark.parametrize("close", [halted, reduce_only, broken])
async def test_every_way_out_stays_open(close: Callable[[Kit], None]) -> None:
    """Exit, moved stop and repaired stop go through in every state and under every breaker."""
    made = kit()
    async with running(made):
        await made.enter()
        close(made)
        assert await made.finish(made.execution.move_stop(BTC, 99.5))
        assert await made.finish(made.execution.protect(BTC))
        assert await made.finish(closing(made, BTC))
    assert made.books.positions == {}
    assert Leg.EXIT in legs(made)


@pytest.mark.parametrize("state", SHUT)
async def test_sizing_reduce_and_clear_exit_never_grow_or_flip(state: TradingState) -> None:
    """Whole position, other side; more than is held is clamped, the wrong side refused."""
    made = kit()
    async with running(made):
        await made.enter()
    made.books.safety.set_state(state, "by hand")
    position = made.books.positions[BTC]
    market = made.feed.market(BTC)
    assert market is not None
    for slippage in EXIT_SLIPPAGE:
        wish = reduce(position, market, made.instruments[BTC], ExitReason.MANUAL, 0, slippage)
        assert (wish.quantity, wish.is_buy) == (position.quantity, position.side is Side.SHORT)
        cleared = clear_exit(wish, position.signed / 2)
        assert isinstance(cleared, Cleared)
        assert cleared.intent.quantity == position.quantity / 2
        assert isinstance(clear_exit(wish, -position.signed), Refused)


@pytest.mark.parametrize("state", SHUT)
async def test_flatten_tries_every_position_in_every_state(state: TradingState) -> None:
    """Also where one of them cannot be closed."""
    made = kit()
    async with running(made):
        for symbol in (BTC, ETH):
            await made.enter(symbol=symbol)
        made.books.safety.set_state(state, "by hand")
        made.desk.flatten(ExitReason.FLATTEN)
        await made.play(10_000)
    assert made.books.positions == {}

"""Books and venue compared: what is concluded, what is repaired, and what is never touched."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.orders import client_id
from bot.domain.types import (
    Cloid,
    ExitReason,
    Fill,
    Leg,
    OrderStatus,
    OrderUpdate,
    Reconnected,
    TraceId,
    TradingState,
)
from bot.pipeline.reconcile import Cadence
from tests.unit.pipeline.given import BTC, ETH, Kit, entry, kit, plan, running, stops

NO_ANSWER = AmbiguousOutcome("no answer within 5 s")
FAILURES = [TransientError("502"), VenueRejected("HTTP 422"), NO_ANSWER]
NAMES = ["away", "refused", "unknown"]
STRANGER = Cloid("0x" + "ab" * 16)
OURS = client_id(TraceId("BTC-20260101T0000-9"), Leg.STOP, 0)


async def unknown_entry(made: Kit, lands: bool) -> Cloid:
    """An entry whose answer never came; whether it took effect is the venue's secret."""
    made.venue.lands = lands
    made.venue.fail("submit:entry", NO_ANSWER)
    cleared = entry()
    await made.finish(made.execution.enter(cleared, plan(cleared)))
    return cleared.intent.cloid


# --- questions that fail -------------------------------------------------------------------


@pytest.mark.parametrize("question", ["fills_since", "funding_since", "account"])
@pytest.mark.parametrize("error", FAILURES, ids=NAMES)
async def test_a_question_that_fails_concludes_nothing(question: str, error: Exception) -> None:
    """A failed query is not an empty account: positions, orders, states stay as they were."""
    made = kit()
    async with running(made):
        await made.enter()
        before = (dict(made.books.positions), dict(made.books.orders), made.reconcile.last_at)
        made.venue.fail(question, *([error] * 5))
        for _ in range(5):
            assert not await made.finish(made.reconcile.step())
        assert (
            dict(made.books.positions),
            dict(made.books.orders),
            made.reconcile.last_at,
        ) == before
        assert not made.books.safety.blocked


@pytest.mark.parametrize("error", FAILURES, ids=NAMES)
async def test_an_order_that_cannot_be_asked_for_does_not_end_the_comparison(
    error: Exception,
) -> None:
    """The stop proof of the others goes on; the order stays in doubt, and is asked again."""
    made = kit()
    async with running(made, made.reconcile.run()):
        cloid = await unknown_entry(made, lands=False)
        await made.enter(entry(ETH))
        for order in made.venue.resting(ETH):
            assert order.cloid is not None
            await made.venue.cancel(ETH, order.cloid)
        made.venue.fail("order_status", *([error] * 3))
        await made.play(1_600)
        assert made.books.orders[cloid].status is OrderStatus.UNKNOWN
        assert len(stops(made, ETH)) == 1
        await made.play(60_000)
        assert made.books.orders[cloid].status is OrderStatus.EXPIRED


async def test_a_start_compares_until_it_worked_once() -> None:
    """Nothing is opened before the venue answered."""
    made = kit()
    async with running(made):
        made.venue.fail("account", *([TransientError("502")] * 3))
        await made.finish(made.reconcile.start())
        assert made.venue.asked.count("account") == 4


# --- orders ----------------------------------------------------------------------------------


async def test_an_unknown_order_is_absent_only_5_s_after_it_could_still_arrive() -> None:
    """8 s of life and 5 s of margin: EXPIRED, symbol open, exposure back, sent once."""
    made = kit(cadence=Cadence(every_s=0.5))
    async with running(made, made.reconcile.run()):
        sent_at = made.clock.now()
        cloid = await unknown_entry(made, lands=False)
        await made.play(sent_at + 12_900 - made.clock.now())
        assert made.books.orders[cloid].status is OrderStatus.UNKNOWN
        assert BTC in made.books.safety.blocked
        await made.play(2_000)
        assert made.books.orders[cloid].status is OrderStatus.EXPIRED
        assert not made.books.safety.blocked
        assert len(made.venue.of_leg(Leg.ENTRY)) == 1


@pytest.mark.parametrize("tells", [True, False], ids=["by the stream", "when asked"])
async def test_an_unknown_entry_that_took_effect_becomes_a_protected_position(tells: bool) -> None:
    """Whoever tells it: folded, proved to be protected, its symbol open again."""
    made = kit()
    async with running(made, made.reconcile.run()):
        made.venue.tells = tells
        cloid = await unknown_entry(made, lands=True)
        await made.play(5_000)
        assert made.books.orders[cloid].status is OrderStatus.FILLED
        assert made.books.positions[BTC].signed == made.venue.positions[BTC][0]
        assert not made.books.safety.blocked
        assert stops(made)
        assert len(made.venue.of_leg(Leg.ENTRY)) == 1


async def test_strays_of_ours_go_and_orders_of_others_are_never_touched() -> None:
    """Nothing is held: our left-over stop is cancelled, the stranger's stays and is counted."""
    made = kit()
    made.venue.rest(BTC, OURS, Decimal(1), Decimal(90))
    made.venue.rest(BTC, STRANGER, Decimal(1), Decimal(90))
    made.venue.rest(ETH, None, Decimal(1), Decimal(90))
    async with running(made):
        assert await made.finish(made.reconcile.step())
        assert made.venue.cancelled == [OURS]
        assert made.reconcile.foreign_orders == 2


@pytest.mark.parametrize("error", FAILURES, ids=NAMES)
async def test_a_stray_that_cannot_be_cancelled_is_tried_again(error: Exception) -> None:
    """The comparison ends well, doubt remains, the next one cancels."""
    made = kit()
    made.venue.rest(BTC, OURS, Decimal(1), Decimal(90))
    made.venue.fail("cancel", error)
    async with running(made, made.reconcile.run()):
        await made.finish(made.reconcile.step())
        assert made.execution.doubt.is_set()
        await made.play(2_000)
        assert made.venue.cancelled == [OURS]


# --- positions -------------------------------------------------------------------------------


async def test_a_drift_is_a_verdict_only_at_the_third_look() -> None:
    """A fill may be on its way: two looks ask again, the third blocks."""
    made = kit()
    async with running(made):
        await made.enter()
        size, price = made.venue.positions[BTC]
        made.venue.positions[BTC] = (size + 1, price)
        for _ in range(2):
            made.execution.doubt.clear()
            await made.finish(made.reconcile.step())
            assert not made.books.safety.blocked
            assert made.execution.doubt.is_set()
        await made.finish(made.reconcile.step())
        assert "position drift" in made.books.safety.blocked[BTC]
        assert [fact.name for fact in made.told].count("position_drift") == 1


async def test_a_drift_that_goes_away_opens_the_symbol_again() -> None:
    """Blocked as long as it lasts."""
    made = kit()
    async with running(made):
        await made.enter()
        size, price = made.venue.positions[BTC]
        made.venue.positions[BTC] = (size + 1, price)
        for _ in range(4):
            await made.finish(made.reconcile.step())
        made.venue.positions[BTC] = (size, price)
        await made.finish(made.reconcile.step())
        assert not made.books.safety.blocked


async def test_a_foreign_position_closes_its_symbol_at_the_first_look_and_is_never_touched() -> (
    None
):
    """After a restart too: no entry may slip in beside it. No stop, no exit, no cancel."""
    made = kit()
    made.venue.positions[BTC] = (Decimal(2), Decimal(100))
    async with running(made):
        await made.finish(made.reconcile.start())
        assert "foreign position" in made.books.safety.blocked[BTC]
        for _ in range(5):
            await made.finish(made.reconcile.step())
            await made.play(3_000)
        assert made.venue.sent == []
        assert made.venue.cancelled == []
        assert made.books.positions == {}


async def test_a_foreign_position_that_is_gone_frees_its_symbol() -> None:
    """The quarantine lasts as long as the position, be it told by a fill or found."""
    made = kit()
    async with running(made):
        made.venue.trade(BTC, Decimal(2))
        await made.play(100)
        assert BTC in made.books.safety.blocked
        await made.finish(made.reconcile.step())
        assert BTC in made.books.safety.blocked
        made.venue.trade(BTC, Decimal(-2))
        await made.play(100)
        await made.finish(made.reconcile.step())
        assert not made.books.safety.blocked
        assert made.venue.sent == []


@pytest.mark.parametrize("before", [False, True], ids=["the first", "another"])
async def test_a_foreign_fill_that_comes_during_the_comparison_is_not_cleared_by_it(
    before: bool,
) -> None:
    """The account was asked before; the block stands until the next comparison."""
    made = kit()
    if before:
        made.books.filled(_foreign(made, 800))
    async with running(made):
        made.venue.gates["account"] = gate = asyncio.Event()
        task = asyncio.ensure_future(made.reconcile.step())
        await made.play(100)
        made.books.filled(_foreign(made, 900))
        gate.set()
        assert await made.finish(task)
        assert BTC in made.books.safety.blocked


def _foreign(made: Kit, number: int) -> Fill:
    return Fill(
        fill_id=number,
        symbol=BTC,
        is_buy=True,
        quantity=Decimal(1),
        price=Decimal(100),
        fee=Decimal(0),
        closed_pnl=Decimal(0),
        start_position=Decimal(0),
        at=made.clock.now(),
        venue_id=number,
    )


# --- the stop proof ----------------------------------------------------------------------------


async def test_a_missing_stop_is_placed_again() -> None:
    """Somebody cancelled it: the next look finds out, the desk puts one there."""
    made = kit()
    async with running(made, made.reconcile.run()):
        intent = await made.enter()
        assert intent.stop_cloid is not None
        await made.venue.cancel(BTC, intent.stop_cloid)
        assert stops(made) == []
        await made.play(31_000)
        assert stops(made) == [intent.stop]
        assert made.books.safety.state is TradingState.ACTIVE
        assert BTC in made.books.positions


async def test_a_stop_still_missing_after_10_s_flattens_and_halts() -> None:
    """Every try to place it looks well and none is ever seen: out, and entries halt."""
    made = kit()
    async with running(made, made.reconcile.run()):
        intent = await made.enter()
        assert intent.stop_cloid is not None
        await made.venue.cancel(BTC, intent.stop_cloid)
        made.execution.protect = placed_on_paper  # type: ignore[method-assign]
        made.execution.doubt.set()
        await made.play(9_000)
        assert not halted(made)
        assert BTC in made.books.positions
        await made.play(5_000)
        assert halted(made)
        assert made.venue.positions == {}
        assert made.books.trades[-1].exit_reason is ExitReason.UNPROTECTED


def halted(made: Kit) -> bool:
    return made.books.safety.state is TradingState.HALTED


async def placed_on_paper(symbol: str) -> bool:
    return True


async def test_a_stop_that_is_too_small_is_no_proof() -> None:
    """It must cover the whole position."""
    made = kit()
    async with running(made, made.reconcile.run()):
        intent = await made.enter()
        assert intent.stop_cloid is not None and intent.stop is not None
        await made.venue.cancel(BTC, intent.stop_cloid)
        made.venue.rest(BTC, STRANGER, intent.quantity / 2, intent.stop)
        made.execution.doubt.set()
        await made.play(3_000)
        assert made.venue.of_leg(Leg.STOP)[-1].quantity == intent.quantity


async def test_the_stop_of_an_earlier_trade_is_no_proof() -> None:
    """It may lie anywhere: the position gets one of its own, and the other one goes."""
    made = kit()
    async with running(made):
        intent = await made.enter()
        assert intent.stop_cloid is not None and intent.stop is not None
        own = made.books.orders[intent.stop_cloid]
        left = made.venue.rest(BTC, OURS, intent.quantity, intent.stop - 5)
        made.books.remember(
            (replace(own, cloid=OURS, trace_id=TraceId("BTC-9"), venue_id=left.venue_id),)
        )
        await made.venue.cancel(BTC, intent.stop_cloid)
        assert await made.finish(made.reconcile.step())
        await made.play(500)
        assert len(made.venue.of_leg(Leg.STOP)) == 1
        assert stops(made) == [intent.stop]


# --- when it compares --------------------------------------------------------------------------


async def test_it_compares_every_30_s_and_1_s_after_doubt() -> None:
    """A gap in the stream is such a doubt."""
    made = kit()
    async with running(made, made.reconcile.run()):
        await made.play(29_000)
        assert made.venue.asked.count("account") == 0
        await made.play(2_000)
        assert made.venue.asked.count("account") == 1
        made.venue.tell(Reconnected(made.clock.now(), 3.0))
        await made.play(1_500)
        assert made.venue.asked.count("account") == 2


async def test_orders_of_strangers_in_the_stream_change_nothing() -> None:
    """Only what we sent is known by its ids."""
    made = kit()
    async with running(made):
        made.venue.tell(OrderUpdate(made.venue.rest(BTC, STRANGER, Decimal(1), Decimal(90))))
        await made.play(100)
        assert not made.books.orders


async def test_a_symbol_with_an_order_on_its_way_is_not_judged() -> None:
    """The desk works on it: no drift, no repair, no stray."""
    made = kit()
    async with running(made):
        gate = made.venue.gates["submit:exit"] = asyncio.Event()
        await made.enter()
        made.desk.close(BTC, ExitReason.MANUAL)
        await made.play(100)
        size, price = made.venue.positions[BTC]
        made.venue.positions[BTC] = (size * 2, price)
        for order in made.venue.resting(BTC):
            assert order.cloid is not None
            await made.venue.cancel(BTC, order.cloid)
        for _ in range(4):
            assert await made.finish(made.reconcile.step())
            await made.play(4_000)
        assert not made.books.safety.blocked
        assert not halted(made)
        assert [i.leg for i in made.venue.sent] == [Leg.ENTRY, Leg.EXIT]
        made.venue.positions[BTC] = (size, price)
        gate.set()
        await made.play(500)


async def test_a_position_that_the_venue_does_not_have_halts_and_is_left_alone() -> None:
    """No fill explains it: said once, halted, and no order is spent on it again."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.positions.clear()
        made.venue.fills.clear()
        for _ in range(4):
            await made.finish(made.reconcile.step())
        assert made.books.gone == {BTC}
        assert made.books.safety.state is TradingState.HALTED
        sent = len(made.venue.sent)
        for _ in range(3):
            await made.play(35_000)
            await made.finish(made.reconcile.step())
        assert len(made.venue.sent) == sent

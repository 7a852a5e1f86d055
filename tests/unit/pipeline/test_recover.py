"""A start after a crash: whatever was written last, books and venue agree again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import given as prove
from hypothesis import settings
from hypothesis import strategies as st

from bot.domain import orders as life
from bot.domain.errors import AmbiguousOutcome
from bot.domain.portfolio import Reservation
from bot.domain.types import (
    ZERO,
    Fill,
    Funding,
    Leg,
    Ms,
    Order,
    OrderStatus,
    Side,
    Symbol,
    TradingState,
    VenueOrder,
)
from bot.pipeline.reconcile import Cadence
from bot.pipeline.recover import FILL_OVERLAP_MS, restore
from bot.ports import Changes
from tests.fakes import MemoryJournal
from tests.unit.pipeline.given import (
    BTC,
    ETH,
    START,
    Kit,
    closing,
    entry,
    kit,
    plan,
    running,
    stops,
)

LIFE_MS = 8_000


@dataclass(frozen=True)
class Course:
    """What happens before the crash, and when that is."""

    part: Decimal = Decimal(1)
    unanswered: bool = False
    lands: bool = True
    moves: bool = False
    ends: str = "open"  # open, exit, or the venue's stop
    dies_after: int = 99
    at_once: bool = True  # else the process goes on for a while without its journal


COURSES = st.builds(
    Course,
    part=st.sampled_from([Decimal(1), Decimal("0.6"), Decimal(0)]),
    unanswered=st.booleans(),
    lands=st.booleans(),
    moves=st.booleans(),
    ends=st.sampled_from(["open", "exit", "stop"]),
    dies_after=st.integers(0, 24),
    at_once=st.booleans(),
)


async def live(made: Kit, course: Course) -> None:
    """One position's life, as far as it comes."""
    cleared = entry()
    if course.unanswered:
        made.venue.lands = course.lands
        made.venue.fail("submit:entry", AmbiguousOutcome("no answer"))
    await made.execution.enter(cleared, plan(cleared))
    await made.clock.pause(3.0)
    if course.moves:
        await made.execution.move_stop(BTC, 99.9)
    if course.ends == "exit":
        await closing(made, BTC)
    elif course.ends == "stop" and BTC in made.venue.positions:
        for order in made.venue.resting(BTC):
            if order.is_stop and BTC in made.venue.positions:
                made.venue.trigger(order)
    await made.clock.pause(3.0)


async def until_the_crash(course: Course) -> Kit:
    made = kit(cadence=Cadence(every_s=2.0))
    made.venue.entry_part = course.part
    made.journal.dies_after = course.dies_after
    async with running(made, made.reconcile.run()):
        task = asyncio.ensure_future(live(made, course))
        for _ in range(600):
            await made.clock.run_for(20)
            if made.journal.died.is_set() or task.done():
                break
        if not course.at_once and not task.done():
            await made.play(4_000, until=task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return made


async def start_again(dead: Kit) -> Kit:
    """A new process on the same venue and the same rows."""
    journal = MemoryJournal()
    journal.written = dead.journal.written
    venue = dead.venue
    venue._stream = asyncio.Queue()
    venue.errors.clear()
    venue.tells = True
    venue.entry_part = Decimal(1)
    made = kit(venue=venue, journal=journal, clock=dead.clock)
    recovered = await journal.recover()
    past = [order for p in recovered.positions for order in await journal.orders_of(p.trace_id)]
    clock = made.clock
    restore(made.books, recovered, clock.now(), clock.wall() + LIFE_MS, past)
    return made


async def survives(course: Course) -> None:
    dead = await until_the_crash(course)
    made = await start_again(dead)
    async with running(made, made.reconcile.run()):
        await made.finish(made.reconcile.start())
        await made.play(40_000)
    books, venue = made.books, made.venue
    held = {symbol: position.signed for symbol, position in books.positions.items()}
    there = {symbol: size for symbol, (size, _) in venue.positions.items()}
    assert held == there
    assert not books.safety.blocked
    assert books.safety.state is TradingState.ACTIVE
    assert books.reservations == {}
    assert [o for o in books.orders.values() if o.status is OrderStatus.UNKNOWN] == []
    assert len(venue.of_leg(Leg.ENTRY)) <= 1
    assert all(stops(made, symbol) for symbol in held)
    if not held:
        assert venue.resting(BTC) == []
    paid = sum((fill.fee for fill in venue.fills), ZERO)
    earned = sum((fill.closed_pnl for fill in venue.fills), ZERO)
    assert books.ledger.net == earned - paid
    cloids = [intent.cloid for intent in venue.sent]
    assert len(cloids) == len(set(cloids))


@settings(max_examples=40)
@prove(COURSES)
def test_after_a_crash_at_any_row_books_and_venue_agree(course: Course) -> None:
    """No second entry, no unknown order, every position protected, every fill counted once."""
    asyncio.run(survives(course))


# --- the single steps of it --------------------------------------------------------------------


async def test_an_entry_in_doubt_keeps_its_symbol_closed_and_its_exposure_aside() -> None:
    """Written, never answered: UNKNOWN, blocked, reserved, absent not before the new limit."""
    made = kit()
    cleared = entry()
    async with running(made):
        await made.books.write_ahead(life.new_orders(cleared.intent, START), plan(cleared))
    again = await start_again(made)
    cloid = cleared.intent.cloid
    order = again.books.orders[cloid]
    assert order.status is OrderStatus.UNKNOWN
    assert order.expires_at == again.clock.wall() + LIFE_MS
    assert again.books.safety.blocked[BTC].endswith(cloid)
    taken = again.books.reservations[cloid]
    assert taken.notional == cleared.intent.quantity * cleared.intent.limit
    assert taken.margin == taken.notional / cleared.intent.leverage
    assert 0 < taken.risk_usd < taken.notional


@pytest.mark.parametrize("filled", [Decimal(0), Decimal("0.1")], ids=["open", "partial"])
async def test_an_entry_seen_at_the_venue_keeps_its_exposure_aside_until_it_is_over(
    filled: Decimal,
) -> None:
    """Not in doubt, and what it may still take is taken; its end gives back what did not fill."""
    made = kit()
    cleared = entry()
    async with running(made):
        orders = life.new_orders(cleared.intent, START)
        await made.books.write_ahead(orders, plan(cleared))
        told = told_of(orders[0], filled, OrderStatus.OPEN)
        assert made.books.told(told) is not None
        await made.play(100)
    again = await start_again(made)
    cloid = cleared.intent.cloid
    assert again.books.orders[cloid].status is (OrderStatus.PARTIAL if filled else OrderStatus.OPEN)
    assert not again.books.safety.blocked
    taken = again.books.reservations[cloid]
    assert taken.notional == cleared.intent.quantity * cleared.intent.limit
    again.books.told(told_of(orders[0], filled, OrderStatus.CANCELLED))
    untold = [cloid] if filled else []  # a fill that is not in the position yet is kept aside
    assert [*again.books.reservations] == untold


def told_of(order: Order, filled: Decimal, status: OrderStatus) -> VenueOrder:
    """The entry as the venue reports it."""
    return VenueOrder(
        symbol=order.symbol,
        venue_id=77,
        cloid=order.cloid,
        is_buy=order.is_buy,
        limit=order.limit,
        remaining=order.quantity - filled,
        original=order.quantity,
        reduce_only=False,
        trigger=None,
        is_stop=False,
        whole_position=False,
        status=status,
        at=START,
    )


async def test_attempt_numbers_go_on_where_they_were() -> None:
    """Orders that are over count too: a client id used twice would be asked for by mistake."""
    made = kit()
    async with running(made):
        await made.enter()
        trace_id = made.books.positions[BTC].trace_id
        made.venue.exit_parts = [Decimal(0)] * 3
        assert not await made.finish(closing(made, BTC))
    again = await start_again(made)
    assert again.books.next_attempt(trace_id, Leg.EXIT) == 3
    assert again.books.next_attempt(trace_id, Leg.ENTRY) == 1


async def test_fills_are_asked_for_from_before_the_last_one() -> None:
    """Channels are not in step: an earlier fill may have come later, and not have been written."""
    made = kit()
    async with running(made):
        await made.enter()
        missed = replace(
            made.venue.fills[0], fill_id=99, at=Ms(START - 10), quantity=Decimal("0.01")
        )
        made.venue.fills.insert(0, missed)
        made.venue.positions[BTC] = (made.venue.positions[BTC][0] + Decimal("0.01"), Decimal(100))
    again = await start_again(made)
    assert again.books.fills_from == made.venue.fills[-1].at - FILL_OVERLAP_MS
    again.books.safety.speed = 300.0  # a minute of the machine is five hours of the market
    recovered = await again.journal.recover()
    restore(again.books, recovered, again.clock.now(), again.clock.wall() + LIFE_MS)
    assert again.books.fills_from == made.venue.fills[-1].at - 300 * FILL_OVERLAP_MS
    async with running(again):
        await again.finish(again.reconcile.step())
        assert again.books.positions[BTC].signed == again.venue.positions[BTC][0]


async def test_funding_is_counted_once_across_a_restart() -> None:
    """Asked for again from the last payment's time on; one of that very time may be missing."""
    made = kit()
    async with running(made):
        await made.enter()
        await made.enter(symbol=ETH)
        paid = [
            Funding(symbol, Decimal("-0.5"), ZERO, ZERO, made.clock.now()) for symbol in (BTC, ETH)
        ]
        made.venue.fundings = paid
        made.books.funded(paid[0])
        await made.play(100)
    again = await start_again(made)
    assert again.books.ledger.funding == Decimal("-0.5")
    async with running(again):
        for _ in range(2):
            await again.finish(again.reconcile.step())
    assert again.books.ledger.funding == Decimal(-1)
    assert again.books.positions[BTC].funding == Decimal("-0.5")


async def test_state_breakers_guards_and_decided_bars_are_as_they_were() -> None:
    """What was halted by hand stays halted; a guard that was moved stays moved."""
    made = kit()
    async with running(made):
        await made.enter()
        await made.finish(made.execution.move_stop(BTC, 99.9))
        made.books.reserve(
            entry(ETH).intent.cloid, Reservation(ETH, Side.LONG, ZERO, ZERO), Ms(START + 1)
        )
        made.books.safety.set_state(TradingState.HALTED, "by hand")
        await made.play(100)
    again = await start_again(made)
    assert again.books.safety.state is TradingState.HALTED
    assert again.books.safety.why == "by hand"
    assert again.books.guards[BTC].stop == 99.9
    assert again.books.decided == {ETH: START + 1}
    assert again.books.entry_times == made.books.entry_times


async def test_a_position_whose_guard_was_not_written_gets_one_from_its_plan() -> None:
    """The plan is durable before the entry is sent."""
    made = kit()
    async with running(made):
        await made.enter()
    for number, changes in enumerate(made.journal.written):
        if changes.state and f"guard:{BTC}" in changes.state:
            kept = {k: v for k, v in changes.state.items() if k != f"guard:{BTC}"}
            made.journal.written[number] = replace(changes, state=kept)
    again = await start_again(made)
    assert again.books.guards[BTC].stop == float(made.books.plans[BTC].stop)


async def test_a_resting_order_is_as_it_was() -> None:
    """Seen resting, it is not in doubt."""
    made = kit()
    async with running(made):
        intent = await made.enter()
    again = await start_again(made)
    assert intent.stop_cloid is not None
    assert again.books.orders[intent.stop_cloid].status is OrderStatus.OPEN
    assert not again.books.safety.blocked


async def test_the_baseline_is_what_was_first_read() -> None:
    """Else the configured capital, and it is still to be read."""
    made = kit()
    fresh = await start_again(made)
    assert (fresh.books.ledger.baseline, fresh.books.baseline_known) == (Decimal(1_000), False)
    made.journal.written.append(Changes(state={"baseline": "777.5"}))
    again = await start_again(made)
    assert (again.books.ledger.baseline, again.books.baseline_known) == (Decimal("777.5"), True)


# --- events between the stream's start and the first comparison -----------------------------


async def died_with_an_entry_unwritten() -> Kit:
    """ETH is held and written; BTC filled at the venue while nobody folded it any more."""
    dead = kit()
    async with running(dead):
        await dead.enter(entry(ETH))
        await dead.play(120_000)
        cleared = entry(BTC)
        orders = life.new_orders(cleared.intent, dead.clock.now())
        await dead.finish(dead.books.write_ahead(orders, plan(cleared)))
        dead.venue.tells = False
        await dead.venue.submit(cleared)
    return dead


def own_stop_fills(made: Kit, symbol: Symbol, number: int) -> Fill:
    """The stop of a symbol sells the whole position, told live."""
    bought = next(f for f in made.venue.fills if f.symbol == symbol)
    stop = next(o for o in made.venue.resting(symbol) if o.is_stop)
    made.venue.positions.pop(symbol)
    told = replace(
        bought,
        fill_id=number,
        at=made.clock.now(),
        is_buy=not bought.is_buy,
        cloid=stop.cloid,
        venue_id=stop.venue_id,
    )
    made.venue.fills.append(told)
    return told


async def test_a_live_fill_before_the_first_comparison_hides_no_earlier_one() -> None:
    """Only a complete answer moves the moment from which the venue is asked."""
    again = await start_again(await died_with_an_entry_unwritten())
    async with running(again):
        await again.play(200_000)
        again.books.filled(own_stop_fills(again, ETH, 1_000))
        await again.finish(again.reconcile.start())
        assert set(again.books.positions) == {BTC}
        assert BTC not in again.books.safety.blocked


async def test_our_stop_told_before_its_entry_opens_nothing() -> None:
    """The stream tells the stop of a position unknown yet: both are asked for."""
    again = await start_again(await died_with_an_entry_unwritten())
    async with running(again):
        await again.play(200_000)
        assert not again.books.filled(own_stop_fills(again, BTC, 1_001))
        assert BTC not in again.books.positions
        assert again.books.in_doubt
        await again.finish(again.reconcile.start())
        assert BTC not in again.books.positions
        assert [trade.symbol for trade in again.books.trades] == [BTC]


async def test_each_life_has_attempt_numbers_of_its_own() -> None:
    """An exit may leave before its row: after a kill its number must not be given again."""
    made = kit()
    async with running(made):
        await made.enter()
        trace_id = made.books.positions[BTC].trace_id
        await made.finish(made.rows.ahead(Changes(state={"lives": 2})))
    again = await start_again(made)
    assert again.books.next_attempt(trace_id, Leg.EXIT) == 2_000
    assert again.books.next_attempt(trace_id, Leg.STOP) == 2_000

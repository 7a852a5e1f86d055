"""The desk: two lanes, one reservation at a time, and nothing that holds up an exit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.reasons import CheckCode, Reason, Stage
from bot.domain.types import ExitReason, Leg, Symbol, TradingState
from bot.pipeline.decide import Verdict
from bot.pipeline.entry_lane import ENTRY_LANE, Offer
from tests.fakes import instrument
from tests.series import walk
from tests.unit.pipeline.given import (
    BTC,
    ETH,
    LIMITS,
    POLICIES,
    SOL,
    Kit,
    entry,
    kit,
    legs,
    offer,
    running,
)
from tests.until import until


def ended(made: Kit, one: Offer) -> tuple[str, str]:
    record = made.traces.records[one.trail.id]
    return record.stage, record.result


def many(made: Kit, count: int) -> list[Symbol]:
    """Coins with a price, beside the usual ones."""
    symbols = [Symbol(f"C{number}") for number in range(count)]
    for symbol in symbols:
        made.instruments[symbol] = instrument(symbol)
        made.price(symbol, 100.0)
    return symbols


async def test_a_full_lane_drops_the_lowest_score() -> None:
    """Eight entries wait; the ninth sends the least away, counted as QUEUE_FULL."""
    made = kit()
    offers = [
        await offer(made, symbol, score=60.0 + number)
        for number, symbol in enumerate(reversed(many(made, ENTRY_LANE + 1)))
    ]
    for one in offers:
        made.desk.offer(one)
    assert made.desk.waiting == (ENTRY_LANE, 0)
    assert ended(made, offers[0]) == (Stage.SIZE, Reason.QUEUE_FULL)
    assert len(made.traces.records) == 1


async def test_among_equals_the_older_entry_goes() -> None:
    """Same score: the one that waited longest is the stalest."""
    made = kit()
    offers = [await offer(made, symbol) for symbol in many(made, ENTRY_LANE + 1)]
    for one in offers:
        made.desk.offer(one)
    assert list(made.traces.records) == [offers[0].trail.id]


async def test_a_weak_newcomer_finds_no_place() -> None:
    """A newcomer under all that wait is itself the least."""
    made = kit()
    offers = [await offer(made, symbol, score=80.0) for symbol in many(made, ENTRY_LANE)]
    weak = await offer(made, BTC, score=60.0)
    for one in (*offers, weak):
        made.desk.offer(one)
    assert list(made.traces.records) == [weak.trail.id]


async def test_a_newer_signal_of_a_symbol_replaces_the_older() -> None:
    """Even a weaker one: it knows the newer bar."""
    made = kit()
    old, new = await offer(made, BTC, score=90.0), await offer(made, BTC, score=60.0)
    made.desk.offer(old)
    made.desk.offer(new)
    assert made.desk.waiting == (1, 0)
    assert ended(made, old) == (Stage.SIZE, Reason.REPLACED)
    assert new.trail.id not in made.traces.records


async def test_the_best_score_enters_first() -> None:
    """The lane is served by score, not by arrival."""
    made = kit(orders_at_once=1)
    for symbol, score in ((BTC, 60.0), (ETH, 90.0), (SOL, 75.0)):
        made.desk.offer(await offer(made, symbol, score))
    async with running(made):
        await made.play(2_000)
    assert [intent.symbol for intent in made.venue.of_leg(Leg.ENTRY)] == [ETH, SOL, BTC]


async def test_exits_go_ahead_of_entries() -> None:
    """Queued later, sent first."""
    made = kit(orders_at_once=1)
    async with running(made):
        await made.enter(symbol=ETH)
        made.desk.offer(await offer(made, BTC))
        made.desk.close(ETH, ExitReason.MANUAL)
        await made.play(1_000)
    assert legs(made) == [Leg.ENTRY, Leg.EXIT, Leg.ENTRY]


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCE_ONLY])
async def test_no_state_keeps_an_exit_back(state: TradingState) -> None:
    """HALTED and REDUCE_ONLY refuse the entry and let the exit through."""
    made = kit()
    async with running(made):
        await made.enter()
        made.books.safety.set_state(state, "by hand")
        one = await offer(made, ETH)
        made.desk.offer(one)
        made.desk.close(BTC, ExitReason.MANUAL)
        await made.play(1_000)
    assert legs(made) == [Leg.ENTRY, Leg.EXIT]
    assert made.books.positions == {}
    assert ended(made, one) == (Stage.CLEAR, Reason.REFUSED)
    assert failed(made, one) == [CheckCode.TRADING_STATE]


def failed(made: Kit, one: Offer) -> list[CheckCode]:
    desk = made.traces.records[one.trail.id].body["desk"]
    assert isinstance(desk, dict)
    verdict = desk["verdict"]
    assert isinstance(verdict, Verdict)
    return [check.code for check in verdict.checks if not check.ok]


async def test_an_exit_asked_for_twice_is_sent_once() -> None:
    """Care asks at every price while the exit is on its way."""
    made = kit()
    async with running(made):
        await made.enter()
        made.venue.gates["submit:exit"] = asyncio.Event()
        for _ in range(3):
            made.desk.close(BTC, ExitReason.STOP)
            await made.play(100)
        made.venue.gates["submit:exit"].set()
        await made.play(500)
    assert legs(made) == [Leg.ENTRY, Leg.EXIT]


async def test_nothing_is_closed_that_is_not_held() -> None:
    """An exit of a flat symbol is no order."""
    made = kit()
    async with running(made):
        made.desk.close(BTC, ExitReason.MANUAL)
        assert made.desk.waiting == (0, 0)
        assert await made.finish(made.desk.drained())
    assert made.venue.sent == []


async def test_two_symbols_of_one_cycle_cannot_both_pass_one_limit() -> None:
    """The first reserves before the second is looked at: one position allowed, one sent."""
    policies = replace(POLICIES, limits=replace(LIMITS, max_positions=1))
    made = kit(policies=policies)
    first, second = await offer(made, BTC, 80.0), await offer(made, ETH, 70.0)
    async with running(made):
        made.desk.offer(first)
        made.desk.offer(second)
        await made.play(2_000)
    assert [intent.symbol for intent in made.venue.sent] == [BTC]
    assert failed(made, second) == [CheckCode.MAX_POSITIONS]


async def test_an_entry_answered_but_not_yet_told_by_the_stream_still_counts() -> None:
    """Between the answer and the fill the exposure is reserved, not forgotten."""
    policies = replace(POLICIES, limits=replace(LIMITS, max_positions=1))
    made = kit(policies=policies)
    made.venue.tells = False
    second = await offer(made, ETH)
    async with running(made):
        made.desk.offer(await offer(made, BTC))
        await made.play(1_000)
        assert made.books.positions == {}
        made.desk.offer(second)
        await made.play(200)
        assert [intent.symbol for intent in made.venue.sent] == [BTC]
        assert failed(made, second) == [CheckCode.MAX_POSITIONS]
        made.venue.let_go()
        await made.play(1_000)
        assert made.books.reservations == {}
        assert list(made.books.positions) == [BTC]


async def test_an_entry_in_flight_is_compared_with_the_next_one_by_its_returns() -> None:
    """Two coins that do not move together may both be on their way at once."""
    policies = replace(POLICIES, limits=replace(LIMITS, max_correlated=1))
    made = kit(policies=policies)
    for symbol, seed in ((BTC, 3), (ETH, 4)):
        made.correlations.saw(symbol, walk(300, seed=seed))
    made.venue.gates["submit"] = asyncio.Event()
    async with running(made):
        made.desk.offer(await offer(made, BTC))
        made.desk.offer(await offer(made, ETH))
        await made.play(500)
        made.venue.gates["submit"].set()
        await made.play(500)
    assert len(made.venue.of_leg(Leg.ENTRY)) == 2


async def test_an_entry_that_hangs_does_not_delay_an_exit() -> None:
    """As many entries as may be in flight hang at the venue; the exit goes out all the same."""
    policies = replace(POLICIES, limits=replace(LIMITS, max_positions=20, max_correlated=20))
    made = kit(policies=policies, orders_at_once=4)
    async with running(made):
        await made.enter(symbol=SOL)
        made.venue.gates["submit:entry"] = asyncio.Event()
        for symbol in many(made, 6):
            made.desk.offer(await offer(made, symbol))
        await made.play(500)
        made.desk.close(SOL, ExitReason.MANUAL)
        await made.play(500)
        assert SOL not in made.books.positions
        made.venue.gates["submit:entry"].set()
        await made.play(2_000)


async def test_a_price_that_ran_away_is_not_followed() -> None:
    """More than half the stop distance since the decision: refused with its check."""
    made = kit()
    one = await offer(made)
    made.price(BTC, 101.0)
    async with running(made):
        made.desk.offer(one)
        await made.play(200)
    assert ended(made, one) == (Stage.SIZE, Reason.PRICE_MOVED)


async def test_a_signal_that_outlived_its_bar_is_not_followed() -> None:
    """It waited past the next decision close."""
    made = kit()
    one = await offer(made)
    made.clock.advance(300_001)
    made.price(BTC, 100.0)
    async with running(made):
        made.desk.offer(one)
        await made.play(200)
    assert ended(made, one) == (Stage.SIZE, Reason.EXPIRED)


async def test_nothing_is_opened_while_something_held_has_no_price() -> None:
    """Size and gate go by equity, which is a guess until then; with the price it may."""
    made = kit()
    async with running(made):
        await made.enter(symbol=ETH)
        made.price(ETH, 100.0)
        held = made.feed.prices.pop(ETH)
        await made.clock.run_for(60_000)
        one = await offer(made)
        made.desk.offer(one)
        await made.play(200)
        assert ended(made, one) == (Stage.SIZE, Reason.STALE_DATA)
        made.feed.prices[ETH] = held
        again = await offer(made, cycle=2)
        made.desk.offer(again)
        await made.play(200)
        assert ended(made, again)[1] is not Reason.STALE_DATA


async def test_an_entry_without_a_price_is_dropped() -> None:
    """The desk looks again, and sees nothing."""
    made = kit()
    one = await offer(made)
    del made.feed.prices[BTC]
    async with running(made):
        made.desk.offer(one)
        await made.play(200)
    assert ended(made, one) == (Stage.SIZE, Reason.STALE_DATA)


async def test_once_entries_are_stopped_none_is_taken_and_none_waits() -> None:
    """Stopping drops what waits and what still comes; exits go on."""
    made = kit()
    waiting, late = await offer(made, BTC), await offer(made, ETH)
    made.desk.offer(waiting)
    made.desk.stop_entries("stopping")
    made.desk.offer(late)
    assert made.desk.waiting == (0, 0)
    assert {ended(made, one) for one in (waiting, late)} == {(Stage.SIZE, Reason.STOPPING)}
    async with running(made):
        await made.enter(symbol=SOL)
        made.desk.close(SOL, ExitReason.FLATTEN)
        assert await made.finish(made.desk.drained())
        assert made.books.positions == {}


async def test_drained_waits_for_the_order_in_flight() -> None:
    """An order in flight is not cut off; drained is true when it has landed."""
    made = kit()
    made.venue.gates["submit"] = asyncio.Event()
    async with running(made):
        made.desk.offer(await offer(made))
        await made.play(200)
        drained = asyncio.ensure_future(made.desk.drained())
        await made.play(200)
        assert not drained.done()
        made.venue.gates["submit"].set()
        await made.play(500)
        await until(drained.done)
        assert drained.result()


async def test_flatten_closes_everything() -> None:
    """Every position gets its exit, with the reason that was given."""
    made = kit()
    async with running(made):
        await made.enter(symbol=BTC)
        await made.enter(symbol=ETH)
        assert made.desk.flatten(ExitReason.END_OF_DATA) == (BTC, ETH)
        await made.play(500)
    assert {trade.exit_reason for trade in made.books.trades} == {ExitReason.END_OF_DATA}
    assert made.books.positions == {}


async def test_the_newest_stop_price_wins() -> None:
    """Two moves queued before the desk comes round are one order."""
    made = kit()
    async with running(made):
        await made.enter()
        made.desk.move_stop(BTC, 99.6)
        made.desk.move_stop(BTC, 99.8)
        await made.play(500)
    assert [intent.trigger for intent in made.venue.of_leg(Leg.STOP)] == [Decimal("99.8")]


async def test_what_is_cut_off_before_its_first_step_is_counted_out() -> None:
    """An exit, a moved stop and an entry: none of them counts as on its way for ever."""
    made = kit()
    async with running(made):
        for symbol in (BTC, ETH):
            await made.enter(entry(symbol))
    made.desk.close(BTC, ExitReason.MANUAL)
    made.desk.move_stop(ETH, 99.5)
    cut = await offer(made, SOL)
    made.desk.offer(cut)
    sent = len(made.venue.sent)

    async def cut_off() -> None:
        async with asyncio.TaskGroup() as orders:
            made.desk.step(orders)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cut_off()
    await until(lambda: not made.desk._in_flight)
    assert len(made.venue.sent) == sent
    assert made.books.reservations == {}
    assert ended(made, cut) == (Stage.EXECUTE, Reason.UNKNOWN_OUTCOME)
    assert not any(made.desk.works_on(symbol) for symbol in (BTC, ETH, SOL))
    async with running(made):
        made.desk.close(BTC, ExitReason.MANUAL)
        made.desk.move_stop(ETH, 99.4)
        made.desk.offer(await offer(made, SOL, cycle=2))
        await made.play(2_000)
    assert made.books.positions.keys() == {ETH, SOL}
    assert made.books.guards[ETH].stop == 99.4

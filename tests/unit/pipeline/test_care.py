"""Care looks at every price of what is held, and at all of it every second."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from bot.domain.types import ExitReason, Leg, Ms, TradingState
from tests.unit.pipeline.given import BTC, ETH, POLICIES, Kit, kit, running, stops

PROTECTION = replace(POLICIES.protection, trail_spacing_s=0.0, break_even_r=1.0)


def looks(made: Kit) -> list[str]:
    """Record which symbols care steps through."""
    seen: list[str] = []
    step = made.care.step

    def watched(symbol: str) -> None:
        seen.append(symbol)
        step(BTC if symbol == BTC else ETH)

    made.care.step = watched  # type: ignore[method-assign]
    return seen


async def test_a_price_of_a_held_symbol_is_looked_at_at_once() -> None:
    """No wait for the second: the look follows the price."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter()
        seen = looks(made)
        await made.clock.run_for(1_000)
        seen.clear()
        before = made.clock.now()
        made.price(BTC, 100.1)
        await made.clock.run_for(1)
        assert made.clock.now() - before < 10
        assert seen == [BTC]


async def test_a_price_of_a_symbol_not_held_wakes_nobody() -> None:
    """Two hundred coins tick; care minds its own."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter()
        seen = looks(made)
        await made.clock.run_for(1_000)
        seen.clear()
        made.price(ETH, 101.0)
        await made.clock.run_for(1)
        assert seen == []


async def test_everything_held_is_looked_at_each_second_however_busy_one_symbol_is() -> None:
    """One coin ticks every 10 ms; the quiet one is looked at once a second all the same."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter(symbol=BTC)
        await made.enter(symbol=ETH)
        seen = looks(made)
        for _ in range(300):
            made.price(BTC, 100.0)
            await made.clock.run_for(10)
        assert seen.count(BTC) >= 290
        assert 3 <= seen.count(ETH) <= 4


async def test_a_start_without_a_price_of_what_is_held_shows_the_breakers_no_equity() -> None:
    """At its entry price a gain of 15 % would be gone: a drawdown that only a person resets."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter()
        made.books.ledger = replace(made.books.ledger, baseline=Decimal(100))
        made.books.safety.begin(Decimal(100))
        made.price(BTC, 200.0)
        await made.clock.run_for(1_500)
        known = made.books.safety.book
        assert known.peak > 140
        del made.feed.prices[BTC]  # as after a restart, until the stream has told it
        await made.clock.run_for(1_500)
        assert made.books.safety.book == known
        assert made.books.safety.state is TradingState.ACTIVE
        made.price(BTC, 200.0)
        await made.clock.run_for(1_500)
        assert made.books.safety.open_codes() == ()


async def test_the_breakers_see_equity_each_second() -> None:
    """Drawdown is watched between heartbeats too."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter()
        made.feed.price(BTC, 110.0, made.clock.now())
        await made.clock.run_for(1_500)
        assert made.books.safety.book.peak > 1_000


async def test_a_time_stop_closes_the_position() -> None:
    """Market time: after an hour the desk gets the exit."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter()
        made.clock.set(Ms(made.clock.now() + 3_600_000))
        await made.play(2_000)
    assert made.books.trades[-1].exit_reason is ExitReason.TIME_STOP


async def test_a_stop_that_does_not_fill_for_2_s_is_sent_by_care() -> None:
    """The mark is through it and the venue says nothing."""
    made = kit()
    async with running(made, made.care.run()):
        intent = await made.enter()
        assert intent.stop is not None
        made.price(BTC, float(intent.stop) - 0.1)
        await made.play(1_500)
        assert made.venue.of_leg(Leg.EXIT) == []
        await made.play(2_000)
        assert len(made.venue.of_leg(Leg.EXIT)) == 1
    assert made.books.trades[-1].exit_reason is ExitReason.STOP


async def test_care_works_while_the_database_is_away() -> None:
    """Break-even moves the stop, the time stop closes; the rows follow when they can."""
    made = kit(policies=replace(POLICIES, protection=replace(PROTECTION, time_stop_ms=60_000)))
    async with running(made, made.care.run()):
        intent = await made.enter()
        made.journal.away = True
        assert intent.stop is not None
        risk = float(intent.reference - intent.stop)
        made.price(BTC, 100.0 + 1.2 * risk)
        for _ in range(20):
            await made.play(50)
            await asyncio.sleep(0.003)  # the 20 ms that an exit waits for its row are real
        assert len(stops(made)) == 1 and stops(made)[0] > intent.reference
        made.clock.set(Ms(made.clock.now() + 60_000))
        for _ in range(20):
            await made.play(100)
            await asyncio.sleep(0.003)
        assert made.venue.positions == {}
        assert made.rows.backlog > 0
        made.journal.away = False
        await made.play(20_000)
        assert made.rows.backlog == 0


async def test_a_position_without_guard_or_price_is_left_to_reconciliation() -> None:
    """Care does nothing it does not know, and does not fall over it."""
    made = kit()
    async with running(made, made.care.run()):
        await made.enter()
        made.books.guards.clear()
        await made.play(1_200)
        del made.feed.prices[BTC]
        await made.play(1_200)
        assert list(made.books.positions) == [BTC]

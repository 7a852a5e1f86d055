"""What stops entries, and the small things beside the road: facts, health, kept candles."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.breakers import BreakerCode
from bot.domain.errors import AmbiguousOutcome, TransientError
from bot.domain.types import Ms, Timeframe, TradingState
from bot.pipeline.account_view import account_view
from bot.pipeline.facts import Fact, Facts
from bot.pipeline.health import Health
from bot.pipeline.keep import CandleKeeper
from bot.pipeline.pulse import Pulse
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryCandles
from tests.series import walk
from tests.unit.pipeline.given import BTC, POLICIES, START, kit

M5 = Timeframe.M5


async def test_a_change_of_state_is_told_once_and_durable() -> None:
    """Said twice, written once."""
    made = kit()
    for _ in range(2):
        made.books.safety.set_state(TradingState.HALTED, "by hand")
    assert [fact.name for fact in made.told] == ["trading_state"]
    await made.rows.step()
    (row,) = made.journal.written
    assert row.state is not None
    causes = [["HALTED", "by hand"]]
    assert row.state["trading"] == {"state": "HALTED", "why": "by hand", "causes": causes}


async def test_a_breaker_stops_entries_and_outlives_the_process() -> None:
    """Half the equity is gone: open, in the view of the gate, found again after a start."""
    made = kit()
    for equity in (1_000, 400):
        made.books.safety.equity(Decimal(equity))
    opened = account_view(made.books, START).breakers_open
    assert set(opened) == {"daily_loss", "drawdown"}
    assert [fact.name for fact in made.told] == ["breaker", "breaker", "trading_state"]
    await made.rows.step()
    again = kit()
    again.books.safety.recover((await made.journal.recover()).state)
    assert again.books.safety.open_codes() == opened
    again.books.safety.reset(BreakerCode.DRAWDOWN)
    assert "drawdown" not in again.books.safety.open_codes()


def test_a_block_is_told_when_its_reason_changes_and_when_it_ends() -> None:
    """Transitions once."""
    made = kit()
    safety = made.books.safety
    for why in ("a", "a", "b"):
        safety.block(BTC, why)
    safety.unblock(BTC)
    safety.unblock(BTC)
    assert [fact.name for fact in made.told] == ["symbol_blocked"] * 2 + ["symbol_unblocked"]


def test_a_listener_that_fails_harms_nobody() -> None:
    """The others hear the fact, the road goes on."""
    facts, heard = Facts(), list[Fact]()

    def broken(fact: Fact) -> None:
        raise RuntimeError("no")

    facts.listen(broken)
    facts.listen(heard.append)
    facts.tell("trade_closed", START, symbol="BTC")
    assert [(fact.name, fact.figures) for fact in heard] == [("trade_closed", {"symbol": "BTC"})]


@pytest.mark.parametrize("error", [TransientError("502"), AmbiguousOutcome("no answer")])
async def test_a_clock_question_without_an_answer_keeps_the_last_value(error: Exception) -> None:
    """And asks nothing where clocks are one."""
    made = kit()
    health = Health(made.feed, made.venue, made.clock, M5, lambda: 7, speed=1.0)
    made.venue.skew_ms = 250
    await health.measure()
    made.venue.skew_ms = 900
    made.venue.fail("clock_skew_ms", error)
    await health.measure()
    facts = health.facts(BTC, Ms(START - 60_000))
    assert facts is not None
    assert (facts.clock_skew_ms, facts.trace_backlog, facts.bar_age_ms) == (250, 7, 60_000)
    quiet = Health(made.feed, made.venue, made.clock, M5, lambda: 0, speed=None)
    await quiet.measure()
    assert quiet.skew_ms is None


def test_without_a_price_there_are_no_facts() -> None:
    """The desk then drops the entry."""
    made = kit()
    made.feed.prices.clear()
    health = Health(made.feed, made.venue, made.clock, M5, lambda: 0, speed=1.0)
    assert health.facts(BTC, START) is None


# --- candles -------------------------------------------------------------------------------------


async def test_windows_that_overlap_are_stored_once() -> None:
    """Only bars newer than the last seen are queued."""
    candles, bars = MemoryCandles(), walk(120)
    keeper = CandleKeeper(candles, "here", ManualClock(START))
    for end in (100, 110, 110, 120):
        keeper.saw(BTC, M5, bars[end - 100 : end])
    await keeper.flush()
    assert list(candles.rows["here", BTC, M5]) == [int(ts) for ts in bars.ts]
    assert candles.put_rows == 120


async def test_candles_wait_while_the_database_is_away() -> None:
    """Nothing is lost, nothing else waits for it."""
    candles, clock = MemoryCandles(), ManualClock(START)
    keeper = CandleKeeper(candles, "here", clock)
    task = asyncio.create_task(keeper.run())
    candles.away = True
    keeper.saw(BTC, M5, walk(10))
    await clock.run_for(30_000)
    candles.away = False
    await clock.run_for(6_000)
    assert len(candles.rows["here", BTC, M5]) == 10
    task.cancel()


# --- waiting -------------------------------------------------------------------------------------


async def test_a_wait_ends_with_the_beat_that_makes_it_true() -> None:
    """Woken by events; false beats change nothing."""
    clock = ManualClock(START)
    pulse, seen = Pulse(clock), list[int]()
    waiting = asyncio.ensure_future(pulse.until(lambda: len(seen) == 2, 2.0))
    for number in (1, 2):
        await clock.run_for(100)
        assert not waiting.done()
        seen.append(number)
        pulse.beat()
    await clock.run_for(1)
    assert waiting.result()
    assert clock.now() == START + 201


async def test_a_wait_that_is_over_says_what_holds() -> None:
    """At most its seconds."""
    clock = ManualClock(START)
    pulse = Pulse(clock)
    waiting = asyncio.ensure_future(pulse.until(lambda: False, 2.0))
    await clock.run_for(1_900)
    assert not waiting.done()
    await clock.run_for(200)
    assert waiting.result() is False
    assert await pulse.until(lambda: True, 0.0)


def test_the_frames_of_a_road_are_finest_first_and_none_is_finer_than_the_decision() -> None:
    """However the profile lists them."""
    frames = (Timeframe.H4, Timeframe.M1, Timeframe.H1, M5)
    assert replace(POLICIES, context=frames).timeframes == (M5, Timeframe.H1, Timeframe.H4)

"""Breakers over kills and restarts: never lost, never doubled, never closed too early."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.breakers import DAY_MS, BreakerCode, BreakerLimits, Readings
from bot.domain.types import ZERO, ExitReason, Ms, Side, Trade, TradingState
from bot.pipeline.recover import restore
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryJournal
from tests.unit.pipeline.given import BTC, POLICIES, START, Kit, closing, kit, running, trace_of

D = Decimal
LIMITS = BreakerLimits(0.05, 0.12, 1, 4 * 3_600_000)


def a_kit(journal: MemoryJournal | None = None, at: int = START) -> Kit:
    policies = replace(POLICIES, breakers=LIMITS)
    return kit(policies=policies, journal=journal, clock=ManualClock(Ms(at)))


async def reborn(journal: MemoryJournal, at: int) -> Kit:
    """The next life of the process: what the journal holds, at a later moment."""
    made = a_kit(journal, at)
    journal.away, journal.dies_after = False, None
    restore(made.books, await journal.recover(), made.clock.now(), made.clock.wall())
    return made


def held(made: Kit) -> tuple[str, ...]:
    return made.books.safety.open_codes()


def lost(at: int) -> Trade:
    made = (trace_of(BTC), BTC, Side.LONG, "s", D(1), D(100), D(99), Ms(at), Ms(at))
    return Trade(*made, D(-1), ZERO, ZERO, ExitReason.STOP)


@pytest.mark.parametrize("killed_after", range(8))
async def test_a_loss_is_counted_once_wherever_the_process_dies(killed_after: int) -> None:
    """Fill, trade, book and event are one transaction: all of them are there, or none."""
    journal = MemoryJournal()
    made = a_kit(journal)
    async with running(made):
        await made.enter()
        made.price(BTC, 99.2)
        before = len(journal.written)
        journal.dies_after = before + killed_after
        dying = asyncio.ensure_future(closing(made, BTC))
        await made.play(8_000, until=dying)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    recovered = await journal.recover()
    rows = [row for row in journal.written if row.breaker_events]
    assert len(rows) == len(recovered.recent_trades) <= 1
    again = await reborn(journal, made.clock.now())
    assert held(again) == ("losses_in_row",) * len(rows)
    for row in rows:
        assert row.trades and row.fills and row.state and "breakers" in row.state


async def test_a_cool_down_goes_on_after_a_restart() -> None:
    """Four hours from the loss, however often the process was started."""
    journal = MemoryJournal()
    made = a_kit(journal)
    made.books.safety.trade_closed(lost(START))
    made.books.safety.save()
    await made.rows.step()
    for hour in (1, 2, 3):
        made = await reborn(journal, START + hour * 3_600_000)
        assert held(made) == ("losses_in_row",)
    made = await reborn(journal, START + 4 * 3_600_000)
    made.books.safety.clock_agreed()
    assert held(made) == ()


async def test_a_time_that_is_over_closes_after_a_restart_only_once_the_venue_agrees() -> None:
    """The machine's clock may have been set while the process was away."""
    journal = MemoryJournal()
    made = a_kit(journal)
    made.books.safety.equity(D(1_000))
    made.books.safety.equity(D(940))
    await made.rows.step()
    made = await reborn(journal, START + 3 * DAY_MS)
    assert held(made) == ("daily_loss",)
    made.books.safety.clock_agreed()
    assert held(made) == ()
    await made.rows.step()
    (event,) = (await journal.recover()).breaker_events
    assert (event.at, event.cleared_at) == (START, START + 3 * DAY_MS)
    assert list(made.books.safety.events) == [event]


async def test_machine_time_of_another_life_does_not_count_as_calm() -> None:
    """The 120 s begin anew: nobody knows what happened in between."""
    journal = MemoryJournal()
    made = a_kit(journal)
    safety = made.books.safety
    safety.world(Readings(api_errors=5))
    await made.clock.run_for(119_000)
    safety.world(Readings())
    await made.rows.step()
    made = await reborn(journal, START + 10_000_000)
    made.books.safety.clock_agreed()
    made.books.safety.world(Readings())
    await made.clock.run_for(119_000)
    made.books.safety.world(Readings())
    assert held(made) == ("api_errors",)
    await made.clock.run_for(1_000)
    made.books.safety.world(Readings())
    assert held(made) == ()


async def test_a_prolonged_cool_down_is_durable_too() -> None:
    """The second sight of it writes a row, though it tells nothing."""
    journal = MemoryJournal()
    made = a_kit(journal)
    safety = made.books.safety
    safety.world(Readings(volatility_x=4.0))
    await made.clock.run_for(1_800_000)
    safety.world(Readings(volatility_x=4.0))
    await made.rows.step()
    assert [event.event_type for event in safety.events] == ["volatility"]
    made = await reborn(journal, START + 3_700_000)
    made.books.safety.clock_agreed()
    assert held(made) == ("volatility",)


async def test_a_higher_peak_is_ledgered_before_the_next_heartbeat() -> None:
    """A kill must not make the drawdown smaller than it was."""
    journal = MemoryJournal()
    made = a_kit(journal)
    for equity in ("1000", "1000.5", "1100"):
        made.books.safety.equity(D(equity))
    await made.rows.step()
    assert len(journal.written) == 2, "the first day, and the step of 10 %; not every cent"
    made = await reborn(journal, START + 1_000)
    made.books.safety.equity(D(960))
    assert "drawdown" in held(made)


async def test_a_drawdown_is_lifted_by_hand_only_and_takes_its_state_along() -> None:
    """REDUCE_ONLY from its opening on, over restarts, until a person resets it."""
    journal = MemoryJournal()
    made = a_kit(journal)
    for equity in (1_000, 870):
        made.books.safety.equity(D(equity))
    await made.rows.step()
    made = await reborn(journal, START + 30 * DAY_MS)
    safety = made.books.safety
    safety.clock_agreed()
    assert held(made) == ("drawdown",)
    assert safety.state is TradingState.REDUCE_ONLY
    safety.reset(BreakerCode.DRAWDOWN)
    assert (held(made), safety.state, safety.why) == ((), TradingState.ACTIVE, "")


async def test_a_reset_of_a_breaker_does_not_lift_a_halt() -> None:
    """HALTED has its own reason and its own hand."""
    made = a_kit()
    safety = made.books.safety
    for equity in (1_000, 870):
        safety.equity(D(equity))
    safety.tighten(TradingState.HALTED, "the books do not agree")
    safety.reset(BreakerCode.DRAWDOWN)
    assert (safety.state, safety.why) == (TradingState.HALTED, "the books do not agree")
    safety.tighten(TradingState.REDUCE_ONLY, "looser")
    assert safety.state is TradingState.HALTED


async def test_a_liquidation_leaves_only_the_way_out() -> None:
    """The stop should have come first: a person looks before anything is opened."""
    made = a_kit()
    trade = replace(lost(START), exit_reason=ExitReason.LIQUIDATION)
    made.books.safety.trade_closed(trade)
    assert made.books.safety.state is TradingState.REDUCE_ONLY
    assert "liquidated" in made.books.safety.why


async def test_the_first_balance_is_no_loss() -> None:
    """An account smaller than INITIAL_CAPITAL has lost nothing."""
    made = a_kit()
    safety = made.books.safety
    safety.equity(D(1_000))
    safety.begin(D(400))
    safety.equity(D(400))
    assert held(made) == ()


async def test_every_cause_of_a_state_stands_until_its_own_end() -> None:
    """Drawdown, then a liquidation: lifting the one leaves the other, also after a restart."""
    made = kit()
    safety = made.books.safety
    for equity in (1_000, 400):
        safety.equity(D(equity))
    safety.trade_closed(replace(lost(START), exit_reason=ExitReason.LIQUIDATION))
    assert "drawdown" in safety.why and "liquidated" in safety.why
    safety.save()
    await made.rows.step()
    again = kit().books.safety
    again.recover((await made.journal.recover()).state)
    for one in (safety, again):
        one.reset(BreakerCode.DRAWDOWN)
        assert one.state is TradingState.REDUCE_ONLY
        assert "drawdown" not in one.why and "liquidated" in one.why
        one.set_state(TradingState.ACTIVE, "")
        assert (one.state, one.why) == (TradingState.ACTIVE, "")
    row = {"trading": {"state": "REDUCE_ONLY", "why": "breaker drawdown: reset by hand only"}}
    again.recover(row)  # as it was written before causes were kept
    again.reset(BreakerCode.DRAWDOWN)
    assert again.state is TradingState.ACTIVE


def test_the_same_cause_with_other_figures_is_no_news() -> None:
    """Naked for 11 s, then for 12 s: said once; and a halt beside it is the stricter one."""
    made = kit()
    safety = made.books.safety
    for seconds in range(11, 20):
        safety.tighten(TradingState.REDUCE_ONLY, f"ETH: no stop after {seconds} s")
    assert safety.why == "ETH: no stop after 11 s"
    safety.tighten(TradingState.HALTED, "the books do not agree")
    safety.tighten(TradingState.REDUCE_ONLY, "later, and looser")
    assert safety.state is TradingState.HALTED
    assert safety.why.endswith("the books do not agree; later, and looser")
    assert [fact.name for fact in made.told] == ["trading_state"] * 3

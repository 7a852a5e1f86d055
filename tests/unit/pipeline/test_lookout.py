"""The lookout tells the breakers of stale prices, failed requests, turbulence and the clock."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.breakers import BreakerCode, BreakerLimits
from bot.domain.errors import TransientError
from bot.domain.types import Bars, Ms, Symbol, Timeframe, Transfer
from bot.pipeline.health import Health
from bot.pipeline.lookout import Lookout
from bot.pipeline.transfers import Transfers
from bot.pipeline.turbulence import Turbulence
from bot.runtime.clock import ManualClock
from tests.unit.pipeline.given import BTC, ETH, POLICIES, SOL, START, Kit, kit

D = Decimal
COINS = (BTC, ETH, SOL)
LIMITS = BreakerLimits(0.05, 0.12, 3, 60_000)


def looking(
    made: Kit, *, speed: float | None = 1.0, coins: tuple[Symbol, ...] = COINS
) -> tuple[Lookout, Turbulence, Health]:
    """A lookout over the kit; `speed` None: one clock, nothing to ask."""
    health = Health(made.feed, made.venue, made.clock, Timeframe.M5, lambda: 0, speed=speed)
    turbulence = Turbulence()
    lookout = Lookout(
        clock=made.clock,
        feed=made.feed,
        safety=made.books.safety,
        health=health,
        turbulence=turbulence,
        transfers=Transfers(made.venue, made.books, made.rows, made.facts),
        policies=replace(POLICIES, breakers=LIMITS),
        symbols=lambda: coins,
    )
    return lookout, turbulence, health


def a_kit() -> Kit:
    return kit(policies=replace(POLICIES, breakers=LIMITS))


def held(made: Kit) -> tuple[str, ...]:
    return made.books.safety.open_codes()


# --- data ----------------------------------------------------------------------------------------


async def test_half_of_the_prices_gone_stops_entries_until_they_are_back_for_a_while() -> None:
    """Two of three are over the half; 30 s of fresh prices close it, not the first of them."""
    made = a_kit()
    lookout, _, _ = looking(made)
    made.feed.ages[BTC] = 10.1
    lookout.look()
    assert held(made) == (), "one of three is the symbol's own matter"
    made.feed.ages[ETH] = float("inf")
    lookout.look()
    assert held(made) == ("data",)
    made.feed.ages.clear()
    lookout.look()
    await made.clock.run_for(29_900)
    lookout.look()
    assert held(made) == ("data",)
    await made.clock.run_for(100)
    lookout.look()
    assert held(made) == ()


async def test_a_relapse_starts_the_calm_anew() -> None:
    """The seconds before it do not count."""
    made = a_kit()
    lookout, _, _ = looking(made)
    for stale, wait_ms in ((True, 0), (False, 20_000), (True, 0), (False, 20_000)):
        made.feed.ages = dict.fromkeys(COINS, 99.0 if stale else 0.0)
        lookout.look()
        await made.clock.run_for(wait_ms)
    lookout.look()
    assert held(made) == ("data",)


def test_a_symbol_without_any_price_yet_is_not_stale() -> None:
    """At the start, and just after the universe has changed."""
    made = a_kit()
    made.feed.prices.clear()
    made.feed.ages = dict.fromkeys(COINS, float("inf"))
    lookout, _, _ = looking(made)
    lookout.look()
    assert held(made) == ()


# --- failed requests -----------------------------------------------------------------------------


async def test_the_fifth_failed_request_in_a_minute_stops_entries_at_once() -> None:
    """Not at the next look; 120 s after they got fewer it is over."""
    made = a_kit()
    lookout, _, _ = looking(made)
    for _ in range(4):
        lookout.request_failed()
        await made.clock.run_for(10_000)
    assert held(made) == ()
    lookout.request_failed()
    assert held(made) == ("api_errors",)
    await made.clock.run_for(60_000)  # the window has passed
    lookout.look()
    await made.clock.run_for(119_000)
    lookout.look()
    assert held(made) == ("api_errors",)
    await made.clock.run_for(1_000)
    lookout.look()
    assert held(made) == ()


async def test_errors_far_apart_are_no_series() -> None:
    """Five in 61 s are not five in 60 s."""
    made = a_kit()
    lookout, _, _ = looking(made)
    for _ in range(5):
        lookout.request_failed()
        await made.clock.run_for(15_001)
    assert held(made) == ()


# --- volatility ----------------------------------------------------------------------------------


def wild(hours: int = 20) -> Bars:
    ranges = [1.0] * 150 + [12.0] * hours
    return Bars.of(
        [(i * 3_600_000, 100.0, 100 + r, 100 - r, 100.0, 1.0) for i, r in enumerate(ranges)]
    )


async def test_a_market_three_times_as_wild_as_usual_stops_entries_for_an_hour() -> None:
    """The middle symbol's ratio opens it; market time after the last sight of it closes it."""
    made = a_kit()
    lookout, turbulence, _ = looking(made, coins=(BTC,))
    turbulence.saw(BTC, {Timeframe.H1: wild()})
    lookout.look()
    assert held(made) == ("volatility",)
    await made.clock.run_for(1_800_000)
    lookout.look()
    turbulence.saw(BTC, {Timeframe.H1: wild(0)[-100:]})
    await made.clock.run_for(3_599_000)
    lookout.look()
    assert held(made) == ("volatility",), "prolonged by the second sight"
    await made.clock.run_for(1_000)
    lookout.look()
    assert held(made) == ()


def test_one_wild_symbol_is_its_own_matter() -> None:
    """The others trade on; its own entries are refused by the risk gate."""
    made = a_kit()
    lookout, turbulence, _ = looking(made)
    turbulence.saw(BTC, {Timeframe.H1: wild()})
    for symbol in (ETH, SOL):
        turbulence.saw(symbol, {Timeframe.H1: wild(0)})
    lookout.look()
    assert held(made) == ()
    assert (turbulence.of(BTC) or 0) > 3 > (turbulence.of(ETH) or 9)


def test_a_ratio_is_computed_once_an_hour() -> None:
    """Until the next 1h bar has closed the windows say nothing new."""
    turbulence = Turbulence()
    turbulence.saw(BTC, {Timeframe.H1: wild(0)})
    before = turbulence.of(BTC)
    turbulence.saw(BTC, {Timeframe.H1: wild()[20:]})  # as many hours later
    assert turbulence.of(BTC) != before
    again = turbulence.of(BTC)
    turbulence.saw(BTC, {Timeframe.H1: wild()[60:]})  # the same last hour
    assert turbulence.of(BTC) == again


# --- the clock -----------------------------------------------------------------------------------


async def test_a_clock_that_jumps_closes_nothing_until_the_venue_agrees() -> None:
    """Forty hours at once: midnight has passed only when the venue says so, too."""
    clock = Jumping(START)
    made = kit(policies=replace(POLICIES, breakers=LIMITS), clock=clock)
    lookout, _, health = looking(made)
    safety = made.books.safety
    for equity in (1_000, 940):
        safety.equity(D(equity))
    assert held(made) == ("daily_loss",)
    clock.ahead = 40 * 3_600_000
    lookout.look()
    assert held(made) == ("daily_loss",), "midnight is not believed"
    assert safety.doubts_clock_since is not None
    made.venue.skew_ms = -40 * 3_600_000
    await health.measure()
    lookout.look()
    assert held(made) == ("daily_loss",), "the venue says that it was not so late"
    made.venue.skew_ms = 0
    await clock.run_for(1_000)
    await health.measure()
    lookout.look()
    assert held(made) == ()
    assert safety.doubts_clock_since is None


async def test_an_answer_from_before_the_jump_is_no_agreement() -> None:
    """It spoke of another time."""
    made = a_kit()
    lookout, _, health = looking(made)
    await health.measure()
    await made.clock.run_for(5_000)
    made.books.safety.recover({"breakers": _book(seen_at=int(START) - 50_000_000)})
    lookout.look()
    assert made.books.safety.doubts_clock_since is not None
    await made.clock.run_for(100)
    await health.measure()
    lookout.look()
    assert made.books.safety.doubts_clock_since is None


def test_where_both_clocks_are_one_nothing_is_asked() -> None:
    """Lockstep: a restart is believed at once."""
    made = a_kit()
    lookout, _, _ = looking(made, speed=None)
    made.books.safety.recover({"breakers": _book(seen_at=int(START) - 50_000_000)})
    lookout.look()
    assert made.books.safety.doubts_clock_since is None


class Jumping(ManualClock):
    """A clock whose market time somebody sets ahead; machine time goes its way."""

    ahead = 0

    def now(self) -> Ms:
        return Ms(super().now() + self.ahead)


def _book(seen_at: int) -> dict[str, object]:
    return {
        "day": 1,
        "day_open_equity": "1000",
        "peak": "1000",
        "equity": "1000",
        "losses_in_row": 0,
        "seen_at": seen_at,
        "open": [],
    }


# --- transfers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("usd", ["-400", "250.5"])
async def test_a_transfer_is_no_loss_and_no_profit(usd: str) -> None:
    """Equity and peak move together; drawdown, daily loss and the day's profit do not."""
    made = a_kit()
    books, safety = made.books, made.books.safety
    transfers = Transfers(made.venue, books, made.rows, made.facts)
    transfers.begin(START)
    safety.equity(D(1_000))
    books.ledger = replace(books.ledger, realised=D(-30))
    await made.clock.run_for(10)
    made.venue.transfers = [Transfer(made.clock.now(), D(usd), "withdraw")]
    assert await transfers.step()
    safety.equity(books.equity())
    after = D(970) + D(usd)
    assert (books.equity(), books.ledger.baseline) == (after, D(1_000) + D(usd))
    gauge = {each.code: each.value for each in safety.gauges()}
    assert gauge[BreakerCode.DRAWDOWN] == pytest.approx(0.03)
    assert gauge[BreakerCode.DAILY_LOSS] == pytest.approx(0.03)
    assert safety.book.equity - safety.book.day_base == D(-30)
    assert held(made) == ()


async def test_a_transfer_is_taken_once_also_after_a_restart() -> None:
    """Baseline, peak and the moment up to which all are known are one transaction."""
    made = a_kit()
    transfers = Transfers(made.venue, made.books, made.rows, made.facts)
    transfers.begin(START)
    made.books.safety.equity(D(1_000))
    at = Ms(START + 5)
    made.venue.transfers = [Transfer(at, D(50), "deposit"), Transfer(at, D(-10), "withdraw")]
    for _ in range(2):
        await transfers.step()
    assert made.books.ledger.baseline == D(1_040)
    await made.rows.step()
    states = [row.state for row in made.journal.written if row.state and "baseline" in row.state]
    (row,) = states
    assert (row["baseline"], row["transfers_to"]) == ("1040", int(at))
    assert "breakers" in row
    again = a_kit()
    later = Transfers(made.venue, again.books, again.rows, again.facts)
    later.recover((await made.journal.recover()).state, again.clock.now())
    await later.step()
    assert again.books.ledger.baseline == D(1_000), "restore brings it; nothing is added"
    assert later.known_to == at


async def test_what_the_venue_does_not_answer_is_asked_again() -> None:
    """And before the baseline is known nothing is asked."""
    made = a_kit()
    transfers = Transfers(made.venue, made.books, made.rows, made.facts)
    assert not await transfers.step()
    assert "transfers_since" not in made.venue.asked
    transfers.begin(START)
    made.venue.fail("transfers_since", TransientError("502"))
    assert not await transfers.step()
    assert await transfers.step()


async def test_a_database_of_before_begins_with_now() -> None:
    """Its baseline holds what was moved earlier."""
    made = a_kit()
    transfers = Transfers(made.venue, made.books, made.rows, made.facts)
    made.books.baseline_known = True
    transfers.recover({}, made.clock.now())
    assert transfers.known_to == made.clock.now()


async def test_the_question_has_its_own_cadence() -> None:
    """A look a second, a question in two minutes: it is weighed in the venue's budget."""
    made = a_kit()
    lookout, _, _ = looking(made)
    lookout._transfers.begin(START)
    for _ in range(121):
        await lookout.step()
        await made.clock.run_for(1_000)
    assert made.venue.asked.count("transfers_since") == 2

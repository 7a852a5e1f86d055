"""The breaker book under any order of events: what must hold after each step."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot.domain.breakers import (
    DAY_MS,
    ENTRIES_RESUMED,
    ENTRIES_STOPPED,
    BreakerBook,
    BreakerCode,
    BreakerEvent,
    BreakerLimits,
    Observed,
    OpenBreaker,
    Readings,
    book_from_mapping,
    book_to_mapping,
    day_loss,
    drawdown,
    observe_equity,
    observe_trade,
    observe_world,
    open_breakers,
    reset,
    sweep,
    transferred,
)
from bot.domain.types import ZERO, ExitReason, Ms, Side, Symbol, TraceId, Trade

D = Decimal
HOUR = 3_600_000
START = Ms(20_000 * DAY_MS + 7 * HOUR)
LIMITS = BreakerLimits(
    daily_loss_frac=0.05, drawdown_frac=0.12, losses_in_row=3, cooldown_ms=4 * HOUR
)
PRECISION = D("1e-20")  # of divisions with 28 digits

money = st.decimals("0.01", 100_000, places=2)
waits = st.integers(0, 40 * HOUR)


def loss_or_win(net: Decimal, at: Ms) -> Trade:
    made = (TraceId("t"), Symbol("BTC"), Side.LONG, "s", D(1), D(100), D(100), at, at)
    return Trade(*made, net, ZERO, ZERO, ExitReason.STOP)


class BreakerMachine(RuleBasedStateMachine):
    """Equity, trades, transfers, the world, resets, restarts and time, in any order."""

    @initialize(equity=money)
    def begin(self, equity: Decimal) -> None:
        self.at, self.machine_s = int(START), 0.0
        self.rows: dict[tuple[str, Ms], BreakerEvent] = {}
        self.openings = 0
        self.losses = 0
        self.calm_since: dict[BreakerCode, float] = {}
        self.book = BreakerBook()
        self.take(observe_equity(self.book, equity, Ms(self.at), LIMITS))

    def take(self, observed: Observed, *by_hand: BreakerCode) -> None:
        """Fold as the pipeline does, and hold what every step must keep."""
        before = {breaker.code: breaker for breaker in self.book.open}
        self.book, events = observed
        after = {breaker.code: breaker for breaker in self.book.open}
        for event in events:
            key = (event.event_type, event.at)
            if event.cleared_at is None:
                assert key not in self.rows, "one opening is one row"
                assert event.action_taken == ENTRIES_STOPPED
                self.openings += 1
            else:
                assert self.rows[key].cleared_at is None, "closed once"
                assert event.cleared_at >= event.at
                assert event.action_taken == ENTRIES_RESUMED
            self.rows[key] = event
        for code, held in before.items():
            if code in after and after[code].since == held.since:
                self.only_prolonged(held, after[code])
            elif code not in by_hand:
                self.over(held)

    def only_prolonged(self, held: OpenBreaker, now: OpenBreaker) -> None:
        assert now.until is None or (held.until is not None and now.until >= held.until)
        assert not held.by_hand or now.by_hand

    def over(self, held: OpenBreaker) -> None:
        """A breaker that closed by itself had the right to."""
        assert not held.by_hand, f"{held.code} closed without a person"
        if held.until is not None:
            assert self.at >= held.until, f"{held.code} closed early"
        elif held.calm_s is not None:
            assert self.machine_s - self.calm_since[held.code] >= held.calm_s

    # --- steps -----------------------------------------------------------------------------

    @rule(wait=waits, seconds=st.floats(0, 300))
    def time_passes(self, wait: int, seconds: float) -> None:
        self.at += wait
        self.machine_s += seconds

    @rule(equity=money)
    def equity_is_seen(self, equity: Decimal) -> None:
        self.take(observe_equity(self.book, equity, Ms(self.at), LIMITS))
        if day_loss(self.book) >= D("0.05"):
            assert BreakerCode.DAILY_LOSS in self.open_codes()
        if drawdown(self.book) >= D("0.12"):
            assert BreakerCode.DRAWDOWN in self.open_codes()

    @rule(net=st.decimals(-50, 50, places=2))
    def trade_closes(self, net: Decimal) -> None:
        self.take(sweep(self.book, Ms(self.at)))
        self.losses = self.losses + 1 if net < 0 else 0
        self.take(observe_trade(self.book, loss_or_win(net, Ms(self.at)), LIMITS))
        if self.losses == LIMITS.losses_in_row:
            self.losses = 0
            assert BreakerCode.LOSSES_IN_ROW in self.open_codes()
        assert self.book.losses_in_row == self.losses

    @rule(usd=st.decimals(-50_000, 50_000, places=2))
    def money_is_moved(self, usd: Decimal) -> None:
        before = self.book
        self.book = transferred(before, usd)
        assert self.book.open == before.open
        if before.equity > 0 and before.equity + usd > 0:
            assert abs(drawdown(self.book) - drawdown(before)) <= PRECISION
            assert abs(day_loss(self.book) - day_loss(before)) <= PRECISION
            gained = before.equity - before.day_base
            assert self.book.equity - self.book.day_base == gained, "no profit, no loss"
        else:
            assert drawdown(self.book) == day_loss(self.book) == 0

    @rule(
        stale=st.floats(0, 1),
        errors=st.integers(0, 8),
        ratio=st.none() | st.floats(0, 9) | st.just(float("nan")),
    )
    def the_world_is_seen(self, stale: float, errors: int, ratio: float | None) -> None:
        for code, bad in ((BreakerCode.DATA, stale >= 0.5), (BreakerCode.API_ERRORS, errors >= 5)):
            if bad:
                self.calm_since.pop(code, None)
            elif code in self.open_codes():
                self.calm_since.setdefault(code, self.machine_s)
        seen = Readings(stale, errors, ratio)
        self.take(observe_world(self.book, seen, Ms(self.at), self.machine_s, LIMITS))
        held = self.open_codes()
        assert stale < 0.5 or BreakerCode.DATA in held
        assert errors < 5 or BreakerCode.API_ERRORS in held
        assert ratio is None or ratio <= 3 or BreakerCode.VOLATILITY in held

    @rule(code=st.sampled_from(BreakerCode))
    def a_person_resets(self, code: BreakerCode) -> None:
        self.take(reset(self.book, code, Ms(self.at)), code)
        assert code not in {breaker.code for breaker in self.book.open}
        if code is BreakerCode.LOSSES_IN_ROW and not self.book.losses_in_row:
            self.losses = 0

    @rule(lost_s=st.floats(0, 1_000))
    def the_process_restarts(self, lost_s: float) -> None:
        """Machine time of the new process has nothing to do with the old one's."""
        stored = json.loads(json.dumps(book_to_mapping(self.book)))
        again = book_from_mapping(stored)
        assert again == self.book
        assert all(breaker.calm_from is None for breaker in again.open)
        self.book = again
        self.machine_s = lost_s
        self.calm_since.clear()

    # --- what holds always -----------------------------------------------------------------

    def open_codes(self) -> set[BreakerCode]:
        return {breaker.code for breaker in open_breakers(self.book, Ms(self.at))}

    @invariant()
    def one_breaker_a_code(self) -> None:
        codes = [breaker.code for breaker in self.book.open]
        assert len(codes) == len(set(codes))

    @invariant()
    def every_open_breaker_has_its_row_and_every_open_row_its_breaker(self) -> None:
        held = {(breaker.code.value, breaker.since) for breaker in self.book.open}
        assert held == {key for key, row in self.rows.items() if row.cleared_at is None}
        assert len(self.rows) == self.openings

    @invariant()
    def the_peak_is_never_below_equity(self) -> None:
        assert self.book.peak >= self.book.equity * (1 - PRECISION)

    @invariant()
    def time_never_runs_back(self) -> None:
        assert self.book.seen_at <= self.at


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_clock_set_back_changes_no_day() -> None:
    """A moment before the newest one seen is taken as that one: no second day, no early roll."""
    book, _ = observe_equity(BreakerBook(), D(100), START, LIMITS)
    book, _ = observe_equity(book, D(80), Ms(START - 3 * DAY_MS), LIMITS)
    assert (book.day, book.day_open_equity, book.seen_at) == (20_000, D(100), START)
    assert {breaker.until for breaker in book.open} == {Ms(20_001 * DAY_MS), None}


def test_two_openings_within_a_millisecond_are_two_rows() -> None:
    """The row of the first is closed, not covered by the second."""
    limits = replace(LIMITS, losses_in_row=1, cooldown_ms=0)
    book, first = observe_trade(BreakerBook(), loss_or_win(D(-1), START), limits)
    _, second = observe_trade(book, loss_or_win(D(-1), START), limits)
    assert [(e.at, e.cleared_at) for e in (*first, *second)] == [
        (START, None),
        (START, START),
        (START + 1, None),
    ]

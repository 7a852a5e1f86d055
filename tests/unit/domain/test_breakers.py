"""Trading breakers: what opens them, what closes them, and that each tells it once."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.breakers import (
    DAY_MS,
    ENTRIES_RESUMED,
    ENTRIES_STOPPED,
    BreakerBook,
    BreakerCode,
    BreakerEvent,
    BreakerLimits,
    book_from_mapping,
    book_to_mapping,
    observe_equity,
    observe_trade,
    open_breakers,
    reset,
    sweep,
    trip,
)
from bot.domain.errors import InvariantBroken
from bot.domain.types import ZERO, ExitReason, Ms, Side, Symbol, TraceId, Trade

D = Decimal
HOUR = 3_600_000
LIMITS = BreakerLimits(
    daily_loss_frac=0.05, drawdown_frac=0.12, losses_in_row=3, cooldown_ms=4 * HOUR
)
NOON = Ms(100 * DAY_MS + 12 * HOUR)
MIDNIGHT = Ms(101 * DAY_MS)


def walk(book: BreakerBook, *steps: tuple[int, str]) -> tuple[BreakerBook, list[BreakerEvent]]:
    events: list[BreakerEvent] = []
    for at, equity in steps:
        book, told = observe_equity(book, D(equity), Ms(at), LIMITS)
        events += told
    return book, events


def trade(net: str, at: int = NOON) -> Trade:
    return Trade(
        TraceId("t"),
        Symbol("BTC"),
        Side.LONG,
        "s",
        D(1),
        D(100),
        D(100),
        Ms(at),
        Ms(at),
        D(net),
        ZERO,
        ZERO,
        ExitReason.STOP,
    )


def codes(book: BreakerBook, now: int) -> list[BreakerCode]:
    return [breaker.code for breaker in open_breakers(book, Ms(now))]


def test_daily_loss_opens_once_and_closes_at_midnight() -> None:
    """Of the day's opening equity; told at the opening and at 00:00 UTC."""
    book, events = walk(BreakerBook(), (NOON, "100"), (NOON + 1, "95"), (NOON + 2, "94.9"))
    assert codes(book, NOON + 2) == [BreakerCode.DAILY_LOSS]
    assert [(e.event_type, e.action_taken) for e in events] == [("daily_loss", ENTRIES_STOPPED)]
    assert (events[0].trigger_value, events[0].threshold_value) == (D("0.05"), D("0.05"))
    assert codes(book, MIDNIGHT - 1) == [BreakerCode.DAILY_LOSS]
    assert codes(book, MIDNIGHT) == []
    book, events = walk(book, (MIDNIGHT, "94.9"))
    assert [e.action_taken for e in events] == [ENTRIES_RESUMED]
    assert book.day_open_equity == D("94.9")


def test_a_loss_just_under_the_limit_opens_nothing() -> None:
    """4.99 % of the day's opening is not 5 %."""
    book, events = walk(BreakerBook(), (NOON, "100"), (NOON + 1, "95.01"))
    assert (codes(book, NOON + 1), events) == ([], [])


def test_drawdown_outlives_midnight_and_is_closed_by_hand_only() -> None:
    """From the peak, over days; a reset starts from the equity of now."""
    book, _ = walk(BreakerBook(), (NOON, "100"), (MIDNIGHT, "96"), (MIDNIGHT + DAY_MS, "92"))
    book, _ = walk(book, (MIDNIGHT + 2 * DAY_MS, "88"))
    later = MIDNIGHT + 30 * DAY_MS
    assert BreakerCode.DRAWDOWN in codes(book, later)
    book, events = reset(book, BreakerCode.DRAWDOWN, Ms(later))
    assert [e.action_taken for e in events] == [ENTRIES_RESUMED]
    book, _ = walk(book, (later, "88"))
    assert codes(book, later) == []


def test_losses_in_a_row_start_a_cool_down() -> None:
    """The third loss opens, the cool-down's end closes, and counting starts anew."""
    book = BreakerBook()
    for net in ("-1", "-1"):
        book, events = observe_trade(book, trade(net), LIMITS)
        assert events == ()
    book, events = observe_trade(book, trade("-1"), LIMITS)
    assert [e.event_type for e in events] == ["losses_in_row"]
    assert codes(book, NOON + 4 * HOUR - 1) == [BreakerCode.LOSSES_IN_ROW]
    assert codes(book, NOON + 4 * HOUR) == []
    book, closed = sweep(book, Ms(NOON + 4 * HOUR))
    assert [e.action_taken for e in closed] == [ENTRIES_RESUMED]
    book, events = observe_trade(book, trade("-1", NOON + 5 * HOUR), LIMITS)
    assert events == ()


def test_a_win_ends_the_row() -> None:
    """Two losses, a win, two losses: no breaker."""
    book = BreakerBook()
    for net in ("-1", "-1", "1", "-1", "-1"):
        book, events = observe_trade(book, trade(net), LIMITS)
        assert events == ()
    assert book.losses_in_row == 2


def test_tripping_again_prolongs_and_tells_nothing() -> None:
    """One opening is one event, however often its cause is seen."""
    book, first = trip(BreakerBook(), BreakerCode.API_ERRORS, D(5), D(5), NOON, Ms(NOON + 10))
    book, second = trip(book, BreakerCode.API_ERRORS, D(5), D(5), Ms(NOON + 5), Ms(NOON + 20))
    book, third = trip(book, BreakerCode.API_ERRORS, D(5), D(5), Ms(NOON + 6), Ms(NOON + 7))
    assert (len(first), second, third) == (1, (), ())
    assert codes(book, NOON + 19) == [BreakerCode.API_ERRORS]


@pytest.mark.parametrize("code", list(BreakerCode))
def test_every_breaker_can_be_reset_by_hand(code: BreakerCode) -> None:
    """A manual reset closes it and says so; resetting what is shut says nothing."""
    book, _ = trip(BreakerBook(), code, D(1), D(1), NOON, None)
    book, events = reset(book, code, NOON)
    assert (codes(book, NOON), len(events)) == ([], 1)
    assert reset(book, code, NOON) == (book, ())


equities = st.lists(
    st.tuples(st.integers(0, 40 * HOUR), st.decimals(10, 200, places=2)), max_size=20
)


@given(equities)
def test_open_means_what_the_measures_say(steps: list[tuple[int, Decimal]]) -> None:
    """Whenever equity is past a limit of now, its breaker is open; the book survives JSON."""
    book, at = BreakerBook(), int(NOON)
    for wait, equity in steps:
        at += wait
        book, _ = observe_equity(book, equity, Ms(at), LIMITS)
        held = codes(book, at)
        if equity <= book.day_open_equity * D("0.95"):
            assert BreakerCode.DAILY_LOSS in held
        if equity <= book.peak * D("0.88"):
            assert BreakerCode.DRAWDOWN in held
        assert book_from_mapping(json.loads(json.dumps(book_to_mapping(book)))) == book


def test_an_unreadable_book_is_an_error() -> None:
    """A broken row must not read as 'nothing open'."""
    with pytest.raises(InvariantBroken):
        book_from_mapping({"open": "none"})

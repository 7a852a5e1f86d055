"""The service breaker."""

from __future__ import annotations

import pytest

from bot.domain.types import Ms
from bot.runtime.breakers import BreakerState, BreakerView, ServiceBreaker
from bot.runtime.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(Ms(1_000_000))


@pytest.fixture
def breaker(clock: ManualClock) -> ServiceBreaker:
    return ServiceBreaker("venue", clock.monotonic, threshold=3)


def fail(breaker: ServiceBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_it_opens_after_failures_in_a_row(breaker: ServiceBreaker) -> None:
    """A success in between starts the count anew."""
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    assert breaker.view() == BreakerView("venue", BreakerState.OPEN, 3, 60.0, 1)


def test_after_the_wait_one_probe_passes(breaker: ServiceBreaker, clock: ManualClock) -> None:
    """Half-open lets one call through, and closes when it comes back well."""
    fail(breaker, 3)
    clock.advance(59_999)
    assert not breaker.allows()
    clock.advance(1)
    assert breaker.allows()
    assert breaker.view().state is BreakerState.HALF_OPEN
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.view() == BreakerView("venue", BreakerState.CLOSED, 0, 0.0, 1)
    assert breaker.allows()


def test_the_wait_doubles_up_to_15_minutes(breaker: ServiceBreaker, clock: ManualClock) -> None:
    """60, 120, 240, 480, 900, 900 s; a success starts again at 60."""
    fail(breaker, 3)
    waits = []
    for _ in range(6):
        waits.append(breaker.view().retry_in_s)
        clock.advance(int(waits[-1] * 1000))
        assert breaker.allows()
        breaker.failed()
    assert waits == [60, 120, 240, 480, 900, 900]
    clock.advance(900_000)
    assert breaker.allows()
    breaker.succeeded()
    fail(breaker, 3)
    assert breaker.view().retry_in_s == 60


def test_stragglers_change_nothing(breaker: ServiceBreaker, clock: ManualClock) -> None:
    """Calls made before it opened and answered after neither close nor prolong it."""
    fail(breaker, 3)
    clock.advance(30_000)
    breaker.failed()
    breaker.succeeded()
    view = breaker.view()
    assert (view.state, view.retry_in_s) == (BreakerState.OPEN, 30)


def test_a_lost_probe_is_replaced(breaker: ServiceBreaker, clock: ManualClock) -> None:
    """A probe whose task was cancelled does not lock the service out for ever."""
    fail(breaker, 3)
    clock.advance(60_000)
    assert breaker.allows()
    clock.advance(59_999)
    assert not breaker.allows()
    clock.advance(1)
    assert breaker.allows()


def test_each_transition_is_told_once(clock: ManualClock) -> None:
    """The caller logs transitions, not calls."""
    told: list[BreakerState] = []
    breaker = ServiceBreaker(
        "venue", clock.monotonic, threshold=1, on_change=lambda view: told.append(view.state)
    )
    breaker.succeeded()
    breaker.failed()
    breaker.failed()
    clock.advance(60_000)
    breaker.allows()
    breaker.succeeded()
    breaker.succeeded()
    assert told == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_a_threshold_below_one_is_refused(clock: ManualClock) -> None:
    """It could never be closed."""
    with pytest.raises(ValueError, match="at least 1"):
        ServiceBreaker("venue", clock.monotonic, threshold=0)

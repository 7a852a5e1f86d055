"""What a dependency costs: calls, errors, and how long the answers took."""

from __future__ import annotations

import pytest

from bot.domain.types import Ms
from bot.runtime.calls import KEPT, CallMeter, Calls, quantile
from bot.runtime.clock import ManualClock


def test_answers_are_timed_and_failures_counted() -> None:
    """A call that raises is an error and has no time."""
    clock, meter = ManualClock(Ms(0)), CallMeter()
    assert meter.view() == Calls(0, 0, None, None)
    for ms in (10, 20, 30):
        with meter.timed(clock.monotonic):
            clock.advance(ms)
    with pytest.raises(OSError), meter.timed(clock.monotonic):
        clock.advance(999)
        raise OSError
    assert meter.view() == Calls(4, 1, 20.0, 30.0)


def test_old_times_are_forgotten_and_counts_are_not() -> None:
    """Bounded for ever."""
    meter = CallMeter()
    for _ in range(KEPT):
        meter.note(1000.0)
    for _ in range(KEPT):
        meter.note(1.0)
    assert meter.view() == Calls(2 * KEPT, 0, 1.0, 1.0)


def test_a_quantile_is_a_value_that_was_measured() -> None:
    """Nearest rank; nothing of nothing."""
    ranked = [float(n) for n in range(1, 101)]
    assert [quantile(ranked, share) for share in (0.0, 0.5, 0.95, 1.0)] == [1.0, 51.0, 96.0, 100.0]
    assert quantile([], 0.5) is None

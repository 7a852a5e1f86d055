"""The rate limit of one peer."""

from __future__ import annotations

import pytest

from bot.domain.types import Ms
from bot.runtime.clock import ManualClock
from bot.runtime.limits import RateLimit


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(Ms(0))


def test_a_burst_passes_and_the_rest_queues(clock: ManualClock) -> None:
    """60 a minute with a burst of 2: two at once, then one a second, each after the other."""
    limit = RateLimit(60, 2, clock.monotonic)
    assert [limit.take() for _ in range(4)] == [0, 0, 1, 2]


def test_it_fills_with_time_up_to_the_burst(clock: ManualClock) -> None:
    """An hour of silence buys no more than one burst."""
    limit = RateLimit(60, 2, clock.monotonic)
    limit.take()
    clock.advance(3_600_000)
    assert [limit.take() for _ in range(3)] == [0, 0, 1]


def test_asking_how_long_takes_nothing(clock: ManualClock) -> None:
    """`wait_s` is what the next `take` says."""
    limit = RateLimit(60, 1, clock.monotonic)
    limit.take()
    assert limit.wait_s() == limit.wait_s() == pytest.approx(1)
    assert limit.take() == pytest.approx(1)


def test_a_peer_that_complains_is_left_alone(clock: ManualClock) -> None:
    """Retry-After holds for everybody who asks this peer, and the longest one counts."""
    limit = RateLimit(600, 10, clock.monotonic)
    limit.block(30)
    limit.block(5)
    assert limit.take() == pytest.approx(30)
    clock.advance(30_000)
    assert limit.take() == 0


def test_nonsense_is_refused(clock: ManualClock) -> None:
    """A rate of nothing would wait for ever."""
    with pytest.raises(ValueError, match="rate limit"):
        RateLimit(0, 1, clock.monotonic)

"""bot.domain.statistics: the interval of a rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.statistics import wilson


@pytest.mark.parametrize(
    ("won", "of", "low", "high"),
    [(17, 30, 0.392, 0.726), (0, 5, 0.0, 0.434), (5, 5, 0.566, 1.0), (13, 20, 0.433, 0.819)],
)
def test_the_interval_of_a_rate(won: int, of: int, low: float, high: float) -> None:
    """Wilson's score interval at 95 %; spec: 17 of 30 is 39 to 73 %."""
    found = wilson(won, of)
    assert found is not None
    assert list(found) == pytest.approx([low, high], abs=0.001)


def test_no_trial_says_nothing() -> None:
    """No interval is better than one from 0 to 1."""
    assert wilson(0, 0) is None


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_rate_lies_inside(counts: tuple[int, int]) -> None:
    """0 <= low <= rate <= high <= 1, and mirrored for the failures."""
    won, of = counts
    found, mirrored = wilson(won, of), wilson(of - won, of)
    assert found is not None
    assert mirrored is not None
    assert -1e-12 <= found[0] <= won / of + 1e-12
    assert won / of - 1e-12 <= found[1] <= 1 + 1e-12
    assert found[0] == pytest.approx(1 - mirrored[1])


def test_more_successes_than_trials_are_refused() -> None:
    """A count that cannot be is a defect of the caller."""
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)

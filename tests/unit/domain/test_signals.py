"""Signal arrays: their shape, and the small tools that make them."""

from __future__ import annotations

import numpy as np
import pytest

from bot.domain.signals import SignalArray, decide, first, lately

YES, NO = True, False


def flags(*values: bool) -> np.ndarray:
    return np.array(values, dtype=np.bool_)


@pytest.mark.parametrize(
    ("side", "strength", "stop", "problem"),
    [
        ([1, 0], [0.5], [0.01, 0.0], "differ in length"),
        ([2], [0.5], [0.01], "side"),
        ([1], [1.5], [0.01], "strength"),
        ([1], [float("nan")], [0.01], "strength"),
        ([-1], [0.5], [0.0], "stop"),
        ([-1], [0.5], [1.0], "stop"),
    ],
)
def test_a_bad_signal_cannot_be_built(
    side: list[int], strength: list[float], stop: list[float], problem: str
) -> None:
    """Sides are -1, 0, 1; strength is 0 to 1; a stop is a fraction of price."""
    with pytest.raises(ValueError, match=problem):
        SignalArray(np.array(side, dtype=np.int8), np.array(strength), np.array(stop))


def test_silent_bars_may_carry_anything() -> None:
    """Strength and stop mean nothing where there is no side."""
    silent = SignalArray(np.zeros(2, dtype=np.int8), np.array([np.nan, 7]), np.array([np.nan, 0]))
    assert len(silent) == 2


def test_both_conditions_at_once_are_no_signal() -> None:
    """A rule that says both says nothing; strength is clipped, an unknown stop is silence."""
    out = decide(
        flags(YES, NO, YES, YES),
        flags(NO, YES, YES, NO),
        np.array([2.0, -1.0, 0.5, 0.5]),
        np.array([0.01, 0.9, 0.01, np.nan]),
    )
    assert out.side.tolist() == [1, -1, 0, 0]
    assert out.strength.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert out.stop_frac.tolist() == [0.01, 0.5, 0.0, 0.0]


def test_first_is_the_bar_on_which_it_begins() -> None:
    """The first bar of all is never one: what was before it is not known."""
    assert first(flags(YES, YES, NO, YES, YES)).tolist() == [NO, NO, NO, YES, NO]
    assert first(flags()).tolist() == []


@pytest.mark.parametrize("bars", range(9))
def test_lately_reaches_back_so_many_bars(bars: int) -> None:
    event = flags(NO, YES, NO, NO, NO, NO, NO, YES, NO)
    expected = [any(event[max(0, at - bars) : at + 1]) for at in range(len(event))]
    assert lately(event, bars).tolist() == expected
    assert event.tolist() == [NO, YES, NO, NO, NO, NO, NO, YES, NO], "the event itself stays"
    assert lately(flags(), bars).tolist() == []

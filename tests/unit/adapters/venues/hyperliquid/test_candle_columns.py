"""Windows of candles as columns: what they hold, and how long they are the same object."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.venues.hyperliquid.candles import Series
from bot.domain.types import Bars, Ms, Timeframe
from tests.unit.adapters.venues.hyperliquid.candle_rows import MIN, T0, row, settled


def columns(bars: Bars) -> list[bytes]:
    return [getattr(bars, name).tobytes() for name in Bars.__slots__]


_PRICES = st.sampled_from([1.0, 2.0, 3.0])
_STEPS = st.one_of(
    st.tuples(st.just("frame"), st.integers(-2, 3), _PRICES),
    st.tuples(st.just("settle"), st.integers(-8, 0), _PRICES),
    st.tuples(st.just("lost"), st.just(0), _PRICES),
    st.tuples(st.just("ask"), st.integers(-3, 2), _PRICES),
)


@given(st.lists(_STEPS, max_size=40), st.integers(0, 7))
def test_the_columns_are_always_those_of_the_rows(
    steps: list[tuple[str, int, float]], limit: int
) -> None:
    """However a window came about, added to or corrected, it is what its rows say."""
    series, now = Series(Timeframe.M1, capacity=6), T0
    for kind, at, price in steps:
        match kind:
            case "frame":
                series.frame(row(max(T0, now + at * MIN), price))
                now = max(now, now + at * MIN)
            case "settle":
                first = now + at * MIN
                rows = [row(ts, price) for ts in range(first, now + MIN, 2 * MIN)]
                series.settle(rows, Ms(first), Ms(now + MIN))
            case "lost":
                series.disconnected()
        until = Ms(now + at * MIN)
        for asked in (limit, limit, 3):
            expected = Bars.of(list(series.window(until, asked)))
            assert columns(series.bars(until, asked)) == columns(expected)


def test_a_window_is_the_same_object_until_a_bar_is_added_or_corrected() -> None:
    """What was read of it need not be read again; nobody may write into what all share."""
    series, until = settled(), Ms(T0 + 99 * MIN)
    first = series.bars(until, 3)
    assert series.bars(until, 3) is first
    series.frame(row(T0, 2.0))  # the bar is still open
    assert series.bars(until, 3) is first
    series.frame(row(T0 + MIN, 4.0))
    second = series.bars(until, 3)
    assert second is not first
    assert second.close.tolist() == [1.0, 1.0, 2.0]
    assert first.close.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        second.close[0] = 5.0
    series.settle([row(T0 - 3 * MIN, 9.0)], Ms(T0 - 4 * MIN), Ms(T0 + MIN))
    assert series.bars(until, 3) is not second

"""Levels: swings, clusters with their touches, round numbers."""

from __future__ import annotations

import numpy as np
import pytest

from bot.domain.levels import find, swing_highs, swing_lows
from bot.domain.types import Bars
from tests.series import mirrored, path, walk

# Up and down between 99 and 103 three times, ending in between.
ZIGZAG = path(
    np.concatenate(
        [
            np.linspace(99, 103, 9)[:-1],
            np.linspace(103, 99, 9)[:-1],
            np.linspace(99, 103.2, 9)[:-1],
            np.linspace(103.2, 99.2, 9)[:-1],
            np.linspace(99.2, 103, 9)[:-1],
            np.linspace(103, 101.3, 9),
        ]
    )
)


def test_a_swing_tops_three_bars_on_each_side() -> None:
    """A seven-bar fractal; a plateau counts once, on its first bar."""
    high = np.array([1.0, 2, 3, 5, 4, 3, 2, 1, 2, 3, 6, 6, 3, 2, 1, 0])
    assert np.flatnonzero(swing_highs(high)).tolist() == [3, 10]
    assert np.flatnonzero(swing_lows(-high)).tolist() == [3, 10]


def test_the_last_three_bars_are_never_a_swing() -> None:
    """A turn is known only once three bars have passed it."""
    high = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9])
    assert not swing_highs(high).any()
    assert not swing_highs(high[:4]).any()


def test_turns_near_each_other_are_one_level_with_its_touches() -> None:
    """103, 103.2 and 103 lie within half an ATR: one resistance touched three times."""
    levels = find(ZIGZAG, atr=0.5)
    assert levels.resistance is not None and levels.support is not None
    assert levels.resistance.price == pytest.approx(103.0667, abs=1e-3)
    assert levels.resistance.touches == 3
    assert levels.support.touches == 2
    assert levels.support.price == pytest.approx(99.1)
    assert (levels.swing_low, levels.swing_high) == (99.2, 103.0)


def test_one_touch_is_a_swing_but_no_level() -> None:
    """With a small ATR the turns stand alone; swings are still told."""
    levels = find(ZIGZAG, atr=0.05)
    assert [level.touches for level in levels.resistances] == [2]
    assert levels.supports == ()
    assert levels.swing_low == 99.2


def test_without_an_atr_there_are_no_levels_but_swings() -> None:
    """How near is the same cannot be told; nothing is guessed."""
    levels = find(ZIGZAG, None)
    assert (levels.supports, levels.resistances) == ((), ())
    assert levels.swing_high == 103.0


@pytest.mark.parametrize(
    ("price", "below", "above"),
    [
        (46_319.0, 46_000.0, 47_000.0),
        (1.1893, 1.1, 1.2),
        (4.15e-5, 4.1e-5, 4.2e-5),
        (0.95, 0.94, 0.96),
        (100.0, 90, 110),
    ],
)
def test_round_numbers_stand_around_the_price(price: float, below: float, above: float) -> None:
    """A tenth of the price's power of ten; the price itself is neither below nor above."""
    levels = find(path([price]), None)
    assert levels.round_below is not None and levels.round_above is not None
    assert levels.round_below < price < levels.round_above
    assert levels.round_below == pytest.approx(below)
    assert levels.round_above == pytest.approx(above)


def test_levels_lie_on_their_side_nearest_first() -> None:
    """Supports below, resistances above the close; `prices` lists all of them ascending."""
    bars = walk(500, seed=4)
    levels = find(bars, atr=0.1)
    price = float(bars.close[-1])
    below = [level.price for level in levels.supports]
    above = [level.price for level in levels.resistances]
    assert below and above
    assert below == sorted(below, reverse=True) and max(below) < price
    assert above == sorted(above) and min(above) > price
    assert list(levels.prices) == sorted(levels.prices)
    assert set(below) | set(above) <= set(levels.prices)


def test_mirrored_bars_give_mirrored_levels() -> None:
    """Clusters grow outward from the price, so neither side is favoured."""
    bars = walk(500, seed=6)
    one, other = find(bars, atr=0.1), find(mirrored(bars), atr=0.1)
    assert [level.touches for level in one.supports] == [
        level.touches for level in other.resistances
    ]
    twice = 2 * float(bars.open[0])
    assert [twice - level.price for level in one.supports] == pytest.approx(
        [level.price for level in other.resistances]
    )


def test_no_bars_no_levels() -> None:
    """Nothing is known of nothing."""
    assert find(Bars.empty(), 1.0).price is None
    assert find(Bars.empty(), 1.0).prices == ()

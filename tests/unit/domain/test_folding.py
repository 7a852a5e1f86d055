"""Folding: only complete coarse bars, aligned to the epoch."""

from __future__ import annotations

import numpy as np
import pytest

from bot.domain.folding import fold
from bot.domain.types import Bars, Timeframe
from tests.series import walk

M1, M5 = Timeframe.M1, Timeframe.M5
BARS = walk(23, timeframe=M1)


def without(bars: Bars, *rows: int) -> Bars:
    keep = np.setdiff1d(np.arange(len(bars)), rows)
    return Bars(
        bars.ts[keep],
        bars.open[keep],
        bars.high[keep],
        bars.low[keep],
        bars.close[keep],
        bars.volume[keep],
    )


def test_five_bars_become_one() -> None:
    """First open, last close, extremes, sum of volume; the unfinished rest is left out."""
    folded = fold(BARS, M1, M5)
    assert folded.ts.tolist() == BARS.ts[[0, 5, 10, 15]].tolist()
    assert folded.open.tolist() == BARS.open[[0, 5, 10, 15]].tolist()
    assert folded.close.tolist() == BARS.close[[4, 9, 14, 19]].tolist()
    assert folded.high[1] == BARS.high[5:10].max()
    assert folded.low[2] == BARS.low[10:15].min()
    assert folded.volume[3] == pytest.approx(BARS.volume[15:20].sum())


def test_a_bar_is_complete_with_its_last_minute() -> None:
    """24 minutes: four bars; 25 minutes: the fifth has closed."""
    assert len(fold(walk(24, timeframe=M1), M1, M5)) == 4
    assert len(fold(walk(25, timeframe=M1), M1, M5)) == 5


def test_a_first_bar_seen_from_its_middle_is_left_out() -> None:
    """Its open, extremes and volume are not known."""
    folded = fold(BARS[2:], M1, M5)
    assert folded.ts.tolist() == BARS.ts[[5, 10, 15]].tolist()


def test_a_gap_inside_is_no_gap_in_the_coarse_bar() -> None:
    """Minutes in which nobody traded have no bar; a later bar proves the end was reached."""
    folded = fold(without(BARS, 7, 9), M1, M5)
    assert len(folded) == 4
    assert folded.close[1] == BARS.close[8]


def test_a_coarse_bar_without_any_fine_one_is_missing() -> None:
    """Nothing is invented."""
    folded = fold(without(BARS, 5, 6, 7, 8, 9), M1, M5)
    assert folded.ts.tolist() == BARS.ts[[0, 10, 15]].tolist()


def test_folding_twice_is_folding_once() -> None:
    """1m to 15m gives the same bars as 1m to 5m to 15m."""
    bars = walk(600, timeframe=M1)
    once = fold(bars, M1, Timeframe.M15)
    twice = fold(fold(bars, M1, M5), M5, Timeframe.M15)
    assert once.ts.tolist() == twice.ts.tolist()
    assert once.close.tolist() == twice.close.tolist()
    assert once.volume == pytest.approx(twice.volume)


def test_what_does_not_divide_is_refused() -> None:
    """3m bars cannot be folded into 5m ones."""
    with pytest.raises(ValueError, match="5m is not a multiple of 3m"):
        fold(walk(10, timeframe=Timeframe.M3), Timeframe.M3, M5)


def test_nothing_to_fold() -> None:
    """No bars, no whole bar, or the same timeframe."""
    assert len(fold(Bars.empty(), M1, M5)) == 0
    assert len(fold(BARS[1:4], M1, M5)) == 0
    assert fold(BARS, M1, M1) is BARS

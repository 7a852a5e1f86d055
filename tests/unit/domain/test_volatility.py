"""The ratio of now's volatility to its own past, and the bars it is taken from."""

from __future__ import annotations

import numpy as np
import pytest

from bot.domain.folding import fold
from bot.domain.types import Bars, Timeframe
from bot.domain.volatility import LEAST_BARS, atr_ratio, hourly

M15, H1, H4 = Timeframe.M15, Timeframe.H1, Timeframe.H4


def bars(ranges: list[float], frame: Timeframe = H1, price: float = 100.0) -> Bars:
    """Bars around one price, each as high as its range."""
    rows = []
    for index, wide in enumerate(ranges):
        row = (index * frame.ms, price, price + wide / 2, price - wide / 2, price, 1.0)
        rows.append(row)
    return Bars.of(rows)


def test_a_steady_market_is_at_its_median() -> None:
    """The same range every hour: 1."""
    assert atr_ratio(bars([1.0] * 100)) == pytest.approx(1.0)


def test_a_market_that_wakes_is_a_multiple_of_its_median() -> None:
    """Twenty hours ten times as wide after a quiet week: well over 3."""
    ratio = atr_ratio(bars([1.0] * 150 + [10.0] * 20))
    assert ratio is not None
    assert 5 < ratio < 10


def test_too_few_hours_have_no_ratio() -> None:
    """Below 50 known values never, from 50 on."""
    known_from = 14  # the ATR's own warm-up
    assert atr_ratio(bars([1.0] * (known_from + LEAST_BARS - 1))) is None
    assert atr_ratio(bars([1.0] * (known_from + LEAST_BARS))) is not None


def test_a_market_that_never_moved_has_no_ratio() -> None:
    """A median of zero is no measure."""
    assert atr_ratio(bars([0.0] * 100)) is None


def test_the_ratio_does_not_depend_on_the_price() -> None:
    """ATR in percent: a coin of 4e-5 USD is measured like one of 40,000."""
    ranges = list(np.linspace(0.5, 3.0, 120))
    small = bars([r * 1e-7 for r in ranges], price=1e-5)
    assert atr_ratio(small) == pytest.approx(atr_ratio(bars(ranges)), rel=1e-6)


def test_hours_come_from_their_own_frame_else_are_folded() -> None:
    """1h itself; else the coarsest finer frame; else the finest there is."""
    hours, quarters, days = bars([1.0] * 3), bars([1.0] * 40, M15), bars([1.0] * 3, H4)
    assert hourly({H1: hours, M15: quarters}) is hours
    folded = hourly({M15: quarters, H4: days})
    assert list(folded.ts) == list(fold(quarters, M15, H1).ts) != []
    assert hourly({H4: days}) is days
    assert len(hourly({})) == 0

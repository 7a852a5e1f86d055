"""Small statistics over bars; knows no portfolio."""

from __future__ import annotations

import numpy as np

from bot.domain.types import Bars

CORRELATION_BARS = 100
MIN_COMMON_BARS = 30  # fewer common returns say nothing


def return_correlation(one: Bars, other: Bars) -> float | None:
    """Pearson correlation of the log returns of the last 100 bars both have.

    None where they share fewer than 30 bars or one does not move.
    """
    common, left, right = np.intersect1d(
        one.ts[-CORRELATION_BARS:],
        other.ts[-CORRELATION_BARS:],
        assume_unique=True,
        return_indices=True,
    )
    if len(common) < MIN_COMMON_BARS:
        return None
    ours = np.diff(np.log(one.close[-CORRELATION_BARS:][left]))
    theirs = np.diff(np.log(other.close[-CORRELATION_BARS:][right]))
    if ours.std() == 0.0 or theirs.std() == 0.0:
        return None
    return round(float(np.corrcoef(ours, theirs)[0, 1]), 6)

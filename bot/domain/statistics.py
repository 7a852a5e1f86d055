"""Small statistics: correlation of bars, the interval of a rate; knows no portfolio."""

from __future__ import annotations

import math

import numpy as np

from bot.domain.types import Bars

CORRELATION_BARS = 100
MIN_COMMON_BARS = 30  # fewer common returns say nothing
Z_95 = 1.959964  # standard normal quantile of 97.5 %


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


def wilson(successes: int, trials: int, z: float = Z_95) -> tuple[float, float] | None:
    """The score interval of a rate, as fractions; 95 % by default. None without a trial.

    Source: E. B. Wilson, JASA 22 (1927); unlike the textbook interval it stays inside 0 to 1
    and says something with few trials. Raises ValueError for more successes than trials.
    """
    if trials == 0:
        return None
    if not 0 <= successes <= trials:
        raise ValueError(f"wilson: {successes} successes of {trials} trials")
    rate, weight = successes / trials, z * z / trials
    middle = rate + weight / 2
    reach = z * math.sqrt(rate * (1 - rate) / trials + weight / (4 * trials))
    low, high = (middle - reach) / (1 + weight), (middle + reach) / (1 + weight)
    return max(0.0, low), min(1.0, high)

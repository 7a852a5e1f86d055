"""The last value of indicators that look back over a short tail only.

Owns a cheap way to one number; each is, to the bit, the last value of the column that the
function of the same name in `indicators` gives. Knows no TA-Lib.
"""

from __future__ import annotations

from operator import add

import numpy as np

from bot.domain.types import Bars, Floats

DAY_MS = 86_400_000
OBV_WINDOW = 20  # bars; the same as the volume ratio's, so that both speak of one stretch


def mfi(bars: Bars, length: int = 14) -> float | None:
    """Money flow index; None where nothing flowed or history is short."""
    if len(bars) <= length:
        return None
    rows = zip(*(column[-length - 1 :].tolist() for column in (bars.high, bars.low, bars.close)))
    typical = [(high + low + close) / 3 for high, low, close in rows]
    rising, falling = [0.0] * length, [0.0] * length
    before = typical[0]
    for bar, (price, volume) in enumerate(zip(typical[1:], bars.volume[-length:].tolist())):
        if price > before:
            rising[bar] = price * volume
        elif price < before:
            falling[bar] = price * volume
        before = price
    up = pair_sum(rising)
    total = up + pair_sum(falling)
    return 100 * up / total if total > 0 else None


def vwap(bars: Bars) -> float | None:
    """Of the last UTC day, from one bar before it, which shows that its start was seen."""
    ts = bars.ts
    start = int(np.searchsorted(ts, ts[-1] // DAY_MS * DAY_MS))
    if start == 0 and ts[0] % DAY_MS != 0:
        return None
    day = slice(max(0, start - 1), None)
    volume = bars.volume[day]
    money = np.cumsum((bars.high[day] + bars.low[day] + bars.close[day]) / 3 * volume)
    units = np.cumsum(volume)
    before = (float(money[0]), float(units[0])) if start else (0.0, 0.0)
    day_units = float(units[-1]) - before[1]
    return (float(money[-1]) - before[0]) / day_units if day_units > 0 else None


def volume_ratio(volume: Floats) -> float | None:
    """Volume over its 20-bar mean; None where that is 0 or not known."""
    if len(volume) < OBV_WINDOW:
        return None
    tail: list[float] = volume[-OBV_WINDOW:].tolist()
    mean = pair_sum(tail) / OBV_WINDOW
    return tail[-1] / mean if mean > 0 else None


def roc(close: Floats, length: int = 10) -> float | None:
    """Rate of change over `length` bars, in percent."""
    if len(close) <= length:
        return None
    return (float(close[-1]) / float(close[-1 - length]) - 1) * 100


def obv_change(close: Floats, volume: Floats) -> float | None:
    """Signed over total volume of the last 20 bars, -1 to 1."""
    if len(close) <= OBV_WINDOW:
        return None
    tail = volume[-OBV_WINDOW:]
    total = float(tail.sum())
    if total <= 0:
        return None
    moved = close[-OBV_WINDOW:] - close[-OBV_WINDOW - 1 : -1]
    return float((np.sign(moved) * tail).sum()) / total


def pair_sum(values: list[float]) -> float:
    """The sum of one window, its terms put together in the order of `indicators._window_sum`."""
    total, done, size, count = 0.0, 0, 1, len(values)
    while size <= count:
        if count & size:
            part, left = values[done : done + size], size
            while left > 1:
                part, left = list(map(add, part[::2], part[1::2])), left // 2
            total += part[0]
            done += size
        size *= 2
    return total

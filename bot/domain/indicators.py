"""Indicators over columns of bars: floats in, floats out; the only importer of TA-Lib.

Owns the formulas and their warm-up; knows no strategy and no threshold.

Array functions take columns of shape (n,), oldest first, and give columns of shape (n,) that
are NaN until the indicator has enough history. Names and defaults are those of pandas-ta;
Wilder's averages are seeded as TA-Lib seeds them and agree with pandas-ta once settled.

Windows are multiplied by a power of two that brings the first price to about 1, so that no
absolute threshold inside TA-Lib (older versions take 1e-14 for zero) can matter to cheap
coins (spec 05, "Signals and numbers"). A power of two changes no digit of a result; the
first price is used, never the last, so that a value never depends on bars after it. What it
cannot mend: where two moves of equal ticks tie, rounding decides which one ADX counts, so that
prices times ten may move it (1.5 points on XLM-BTC at 4e-5).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.domain.types import Bars, Floats, Ints

if TYPE_CHECKING:
    talib: Any
else:
    # TA-Lib imports pandas and polars when they are installed, 96 MB for nothing (spec 05).
    _seen = {name: sys.modules.get(name) for name in ("pandas", "polars")}
    sys.modules.update(dict.fromkeys(_seen))
    try:
        import talib
    finally:
        for _name, _module in _seen.items():
            if _module is None:
                del sys.modules[_name]
            else:
                sys.modules[_name] = _module

DAY_MS = 86_400_000
OBV_WINDOW = 20  # bars; the same as the volume ratio's, so that both speak of one stretch


@dataclass(frozen=True, slots=True)
class Indicators:
    """The last value of each indicator; None where there is too little history."""

    close: float | None = None
    rsi: float | None = None
    macd: float | None = None
    macd_signal: float | None = None
    macd_hist: float | None = None
    ema20: float | None = None
    ema50: float | None = None
    ema200: float | None = None  # needs 1,000 bars to settle: for show, never a trigger
    sma20: float | None = None
    sma50: float | None = None
    sma200: float | None = None
    bb_upper: float | None = None
    bb_middle: float | None = None
    bb_lower: float | None = None
    atr: float | None = None
    atr_percent: float | None = None
    adx: float | None = None
    plus_di: float | None = None
    minus_di: float | None = None
    stoch_k: float | None = None
    stoch_d: float | None = None
    mfi: float | None = None
    obv_change: float | None = None  # -1 to 1: signed over total volume of the last 20 bars
    vwap: float | None = None
    volume_ratio: float | None = None
    roc: float | None = None


def compute(bars: Bars) -> Indicators:
    """The last values of all indicators with their default lengths."""
    if not len(bars):
        return Indicators()
    close, high, low, volume = bars.close, bars.high, bars.low, bars.volume
    macd_line, macd_signal, macd_hist = macd(close)
    upper, middle, lower = bollinger(close)
    atr14 = atr(high, low, close)
    adx14, plus, minus = adx(high, low, close)
    stoch_k, stoch_d = stochastic(high, low, close)
    day = _last_day(bars.ts)
    return Indicators(
        close=_last(close),
        rsi=_last(rsi(close)),
        macd=_last(macd_line),
        macd_signal=_last(macd_signal),
        macd_hist=_last(macd_hist),
        ema20=_last(ema(close, 20)),
        ema50=_last(ema(close, 50)),
        ema200=_last(ema(close, 200)),
        sma20=_last(middle),
        sma50=_last(sma(close, 50)),
        sma200=_last(sma(close, 200)),
        bb_upper=_last(upper),
        bb_middle=_last(middle),
        bb_lower=_last(lower),
        atr=_last(atr14),
        atr_percent=_last(atr14[-1:] / close[-1:] * 100),
        adx=_last(adx14),
        plus_di=_last(plus),
        minus_di=_last(minus),
        stoch_k=_last(stoch_k),
        stoch_d=_last(stoch_d),
        mfi=_last(mfi(high, low, close, volume)),
        obv_change=_obv_change(close, volume),
        vwap=_last(vwap(bars.ts[day], high[day], low[day], close[day], volume[day])),
        volume_ratio=_last(volume_ratio(volume[-OBV_WINDOW:])),
        roc=_last(roc(close[-11:])),
    )


def rsi(close: Floats, length: int = 14) -> Floats:
    """Wilder's relative strength index, 0 to 100; 50 where nothing has moved at all."""
    out: Floats = talib.RSI(close * _unit(close), length)
    zero = out == 0.0
    if bool(zero.any()):
        # TA-Lib says 0 for "no rise and no fall", which would read as oversold.
        still = talib.MAX(close, length + 1) == talib.MIN(close, length + 1)
        out[zero & still] = 50.0
    return out


def macd(
    close: Floats, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[Floats, Floats, Floats]:
    """MACD line, its signal line and their difference, in price units."""
    unit = _unit(close)
    line, smooth, hist = talib.MACD(close * unit, fast, slow, signal)
    return line / unit, smooth / unit, hist / unit


def ema(values: Floats, length: int) -> Floats:
    """Exponential mean, alpha 2 / (length + 1), seeded with the first simple mean."""
    unit = _unit(values)
    out: Floats = talib.EMA(values * unit, length) / unit
    return out


def sma(values: Floats, length: int) -> Floats:
    """Simple mean of the last `length` values."""
    unit = _unit(values)
    out: Floats = talib.SMA(values * unit, length) / unit
    return out


def bollinger(close: Floats, length: int = 20, width: float = 2.0) -> tuple[Floats, Floats, Floats]:
    """Upper, middle and lower band; standard deviation of the population (ddof 0)."""
    unit = _unit(close)
    upper, middle, lower = talib.BBANDS(close * unit, length, width, width)
    return upper / unit, middle / unit, lower / unit


def atr(high: Floats, low: Floats, close: Floats, length: int = 14) -> Floats:
    """Wilder's average true range, in price units."""
    unit = _unit(close)
    out: Floats = talib.ATR(high * unit, low * unit, close * unit, length) / unit
    return out


def atr_percent(high: Floats, low: Floats, close: Floats, length: int = 14) -> Floats:
    """Average true range in percent of the close."""
    return atr(high, low, close, length) / close * 100


def adx(
    high: Floats, low: Floats, close: Floats, length: int = 14
) -> tuple[Floats, Floats, Floats]:
    """Wilder's ADX, +DI and -DI, each 0 to 100."""
    unit = _unit(close)
    h, l, c = high * unit, low * unit, close * unit  # noqa: E741 - the usual three letters
    return (
        talib.ADX(h, l, c, length),
        talib.PLUS_DI(h, l, c, length),
        talib.MINUS_DI(h, l, c, length),
    )


def stochastic(
    high: Floats, low: Floats, close: Floats, length: int = 14, slow: int = 3, d: int = 3
) -> tuple[Floats, Floats]:
    """%K (slowed by a simple mean) and %D, 0 to 100; a bar without any range counts as 50."""
    top, bottom = highest(high, length), lowest(low, length)
    span = top - bottom
    fast = np.where(span == 0, 50.0, (close - bottom) / np.where(span == 0, 1.0, span) * 100)
    k: Floats = talib.SMA(fast, slow)
    return k, talib.SMA(k, d)


def mfi(high: Floats, low: Floats, close: Floats, volume: Floats, length: int = 14) -> Floats:
    """Money flow index, 0 to 100; NaN where no money flowed up or down.

    On NumPy: TA-Lib gives 0 where nothing flowed, which would read as oversold.
    """
    typical = (high + low + close) / 3
    flow = typical[1:] * volume[1:]
    step = np.diff(typical)
    up = _window_sum(np.where(step > 0, flow, 0.0), length)
    down = _window_sum(np.where(step < 0, flow, 0.0), length)
    total = up + down
    out = np.full(len(close), np.nan)
    tail = out[len(close) - len(total) :]
    np.divide(100 * up, total, out=tail, where=total > 0)
    return out


def obv(close: Floats, volume: Floats) -> Floats:
    """On-balance volume since the first bar, in base units: only its differences mean anything."""
    step = np.sign(np.diff(close, prepend=close[:1]))
    return np.cumsum(step * volume)


def vwap(ts: Ints, high: Floats, low: Floats, close: Floats, volume: Floats) -> Floats:
    """Volume-weighted mean of the typical price since 00:00 UTC of each bar's day.

    NaN for a first day that is not seen from its start, and before the day's first volume.
    """
    n = len(ts)
    if n == 0:
        return np.empty(0)
    day = ts // DAY_MS
    opens = np.concatenate(([True], day[1:] != day[:-1]))
    start = np.maximum.accumulate(np.where(opens, np.arange(n), 0))
    money = np.concatenate(([0.0], np.cumsum((high + low + close) / 3 * volume)))
    units = np.concatenate(([0.0], np.cumsum(volume)))
    day_units = units[1:] - units[start]
    known = day_units > 0
    if ts[0] % DAY_MS != 0:
        known &= day != day[0]
    return ratio(money[1:] - money[start], np.where(known, day_units, np.nan))


def volume_ratio(volume: Floats, length: int = 20) -> Floats:
    """Volume over the mean of the last `length` bars, this one included; NaN where that is 0."""
    out = np.full(len(volume), np.nan)
    if len(volume) >= length:
        mean = _window_sum(volume, length) / length
        np.divide(volume[length - 1 :], mean, out=out[length - 1 :], where=mean > 0)
    return out


def roc(close: Floats, length: int = 10) -> Floats:
    """Rate of change over `length` bars, in percent."""
    out = np.full(len(close), np.nan)
    if len(close) > length:
        out[length:] = (close[length:] / close[:-length] - 1) * 100
    return out


def highest(values: Floats, length: int) -> Floats:
    """Largest of the last `length` values, this one included."""
    out: Floats = talib.MAX(values, length)
    return out


def lowest(values: Floats, length: int) -> Floats:
    """Smallest of the last `length` values, this one included."""
    out: Floats = talib.MIN(values, length)
    return out


def shift(values: Floats, bars: int) -> Floats:
    """The value `bars` bars earlier; NaN where there is none."""
    out = np.full(len(values), np.nan)
    if bars < len(values):
        out[bars:] = values[: len(values) - bars]
    return out


def ratio(part: Floats, whole: Floats) -> Floats:
    """`part` / `whole`; NaN where `whole` is not positive."""
    out = np.full(len(whole), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _unit(values: Floats) -> float:
    """The power of two that brings the first value to between 0.5 and 1."""
    if len(values) == 0 or not values[0] > 0 or values[0] == math.inf:
        return 1.0
    return math.ldexp(1.0, -math.frexp(float(values[0]))[1])


def _window_sum(values: Floats, length: int) -> Floats:
    """Sums of each full window, shape (n - length + 1,), put together from powers of two.

    No running total: it would drift, and a value would depend on the history before its window.
    """
    count = len(values) - length + 1
    if count <= 0:
        return np.empty(0)
    out, done = np.zeros(count), 0
    block, size = values, 1  # block[i] is the sum of `size` values from i on
    while True:
        if length & size:
            out += block[done : done + count]
            done += size
        if done == length:
            return out
        block, size = block[:-size] + block[size:], size * 2


def _last_day(ts: Ints) -> slice:
    """The last UTC day and one bar before it, which shows that its start was seen."""
    start = int(np.searchsorted(ts, ts[-1] // DAY_MS * DAY_MS))
    return slice(max(0, start - 1), None)


def _obv_change(close: Floats, volume: Floats) -> float | None:
    if len(close) <= OBV_WINDOW:
        return None
    total = float(volume[-OBV_WINDOW:].sum())
    if total <= 0:
        return None
    signed = np.sign(np.diff(close[-OBV_WINDOW - 1 :])) * volume[-OBV_WINDOW:]
    return float(signed.sum()) / total


def _last(values: Floats) -> float | None:
    if not len(values):
        return None
    value = float(values[-1])
    return None if math.isnan(value) else value

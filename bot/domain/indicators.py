"""Indicators over columns of bars: floats in, floats out; the only importer of TA-Lib.

Owns the formulas and their warm-up; knows no strategy and no threshold.

Array functions take columns of shape (n,), oldest first, and give columns of shape (n,) that
are NaN until the indicator has enough history. Names and defaults are those of pandas-ta;
Wilder's averages are seeded as TA-Lib seeds them and agree with pandas-ta once settled.

Where TA-Lib divides (RSI, Bollinger, ADX), windows are multiplied by a power of two that
brings the first price to about 1, so that no absolute threshold of it (older versions take
1e-14 for zero) can matter to cheap coins; its means and ATR have none (spec 05, "Signals and
numbers"). A power of two changes no digit of a result; the first price is used, never the last,
so that a value never depends on bars after it. What it cannot mend: where two moves of equal
ticks tie, rounding decides which one ADX counts, so that prices times ten may move it (1.5
points on XLM-BTC at 4e-5).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.domain import tails
from bot.domain.tails import DAY_MS
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


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Columns (n,) that indicators, regime and strategies read: a window pays for them once."""

    unit: float
    scaled: Floats  # close x unit
    atr: Floats
    adx: Floats
    plus_di: Floats
    minus_di: Floats
    ema50: Floats


@lru_cache(maxsize=4)  # by the very object: the frames of the symbol that is being looked at
def lines(bars: Bars) -> Lines:
    """The shared columns of a window; the same values as `atr`, `adx` and `ema` give."""
    unit = _unit(bars.close)
    h, l, c = bars.high * unit, bars.low * unit, bars.close * unit  # noqa: E741
    return Lines(
        unit=unit,
        scaled=c,
        atr=talib.ATR(bars.high, bars.low, bars.close, 14),
        adx=talib.ADX(h, l, c, 14),
        plus_di=talib.PLUS_DI(h, l, c, 14),
        minus_di=talib.MINUS_DI(h, l, c, 14),
        ema50=talib.EMA(bars.close, 50),
    )


@lru_cache(maxsize=1)  # by the very object: the strategies are asked one after the other
def loudness(bars: Bars) -> Floats:
    """`volume_ratio` of a window."""
    return volume_ratio(bars.volume)


def compute(bars: Bars, shared: Lines | None = None) -> Indicators:
    """The last values of all indicators with their default lengths.

    Only last values are kept, so only they are brought back to price units, and what needs a
    short tail reads no more; each is the last value of the function of its name, to the bit.
    `shared` are the window's own `lines`, where the caller has them.
    """
    if not len(bars):
        return Indicators()
    shared = shared or lines(bars)
    unit, scaled, close = shared.unit, shared.scaled, bars.close
    macd_line, macd_signal, macd_hist = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(scaled, 20, 2.0, 2.0)
    atr14 = _last(shared.atr)
    stoch_k, stoch_d = stochastic(bars.high, bars.low, close)
    return Indicators(
        close=float(close[-1]),
        rsi=_last_rsi(close, scaled),
        macd=_last(macd_line),
        macd_signal=_last(macd_signal),
        macd_hist=_last(macd_hist),
        ema20=_last(talib.EMA(close, 20)),
        ema50=_last(shared.ema50),
        ema200=_last(talib.EMA(close, 200)),
        sma20=_last(middle, unit),
        sma50=_last(talib.SMA(close, 50)),
        sma200=_last(talib.SMA(close, 200)),
        bb_upper=_last(upper, unit),
        bb_middle=_last(middle, unit),
        bb_lower=_last(lower, unit),
        atr=atr14,
        atr_percent=None if atr14 is None else atr14 / float(close[-1]) * 100,
        adx=_last(shared.adx),
        plus_di=_last(shared.plus_di),
        minus_di=_last(shared.minus_di),
        stoch_k=_last(stoch_k),
        stoch_d=_last(stoch_d),
        mfi=tails.mfi(bars),
        obv_change=tails.obv_change(close, bars.volume),
        vwap=tails.vwap(bars),
        volume_ratio=tails.volume_ratio(bars.volume),
        roc=tails.roc(close),
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
    line, smooth, hist = talib.MACD(close, fast, slow, signal)
    return line, smooth, hist


def ema(values: Floats, length: int) -> Floats:
    """Exponential mean, alpha 2 / (length + 1), seeded with the first simple mean."""
    out: Floats = talib.EMA(values, length)
    return out


def sma(values: Floats, length: int) -> Floats:
    """Simple mean of the last `length` values."""
    out: Floats = talib.SMA(values, length)
    return out


def bollinger(close: Floats, length: int = 20, width: float = 2.0) -> tuple[Floats, Floats, Floats]:
    """Upper, middle and lower band; standard deviation of the population (ddof 0)."""
    unit = _unit(close)
    upper, middle, lower = talib.BBANDS(close * unit, length, width, width)
    return upper / unit, middle / unit, lower / unit


def atr(high: Floats, low: Floats, close: Floats, length: int = 14) -> Floats:
    """Wilder's average true range, in price units."""
    out: Floats = talib.ATR(high, low, close, length)
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
    if span.all():  # NaN, before there is enough history, counts as true
        fast = (close - bottom) / span * 100
    else:
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
        out[length - 1 :] = ratio(volume[length - 1 :], _window_sum(volume, length) / length)
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
    out = np.empty(len(values))
    out[:bars] = np.nan
    out[bars:] = values[: max(0, len(values) - bars)]
    return out


def ratio(part: Floats, whole: Floats) -> Floats:
    """`part` / `whole`; NaN where `whole` is not positive."""
    if not (whole <= 0).any():  # NaN stays NaN
        return part / whole
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


def _last_rsi(close: Floats, scaled: Floats, length: int = 14) -> float | None:
    value = _last(talib.RSI(scaled, length))
    if value == 0.0 and not (close[-length - 1 :] != close[-1]).any():
        return 50.0
    return value


def _last(values: Floats, unit: float = 1.0) -> float | None:
    """The last value over `unit`; None where it is not known."""
    if not len(values):
        return None
    value = float(values[-1]) / unit
    return None if math.isnan(value) else value

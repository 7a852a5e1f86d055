"""Indicators: against pandas-ta-classic, under scaling and mirroring, and at their edges."""

from __future__ import annotations

import subprocess
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest

from bot.domain import indicators as own
from bot.domain.tails import DAY_MS
from bot.domain.types import Bars, Floats, Timeframe
from tests.series import DAY_START, mirrored, path, scaled, walk

SETTLED = 700  # bars: what is left of any seed is then far below the tolerances
# Recursive means are seeded differently (TA-Lib: first simple mean; pandas-ta: first value); the
# slowest one compared, EMA 50, forgets (49/51)^650 = 5e-12 of it. The rest is rounding.
RELATIVE = 1e-8


@pytest.fixture(scope="module")
def oracle() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas_ta_classic
    module: ModuleType = pandas_ta_classic
    return module


@pytest.fixture(scope="module")
def series() -> dict[str, object]:
    """The columns of `BARS` as pandas series with a time index (VWAP wants one)."""
    import pandas

    index = pandas.to_datetime(BARS.ts, unit="ms")
    columns = {name: getattr(BARS, name) for name in ("open", "high", "low", "close", "volume")}
    return {name: pandas.Series(values, index=index) for name, values in columns.items()}


BARS = walk(1200, seed=5)
HLC = (BARS.high, BARS.low, BARS.close)


def agree(ours: Floats, theirs: object, *, floor: float = 1e-9) -> None:
    reference = np.asarray(theirs, dtype=np.float64)
    np.testing.assert_allclose(ours[SETTLED:], reference[SETTLED:], rtol=RELATIVE, atol=floor)


@pytest.mark.parametrize("name", ["rsi", "ema20", "ema50", "sma20", "sma50", "sma200", "roc"])
def test_closes_agree_with_pandas_ta(
    oracle: ModuleType, series: dict[str, object], name: str
) -> None:
    """Indicators of one column give what pandas-ta gives."""
    close = series["close"]
    match name:
        case "rsi":
            agree(own.rsi(BARS.close), oracle.rsi(close, length=14, talib=False))
        case "roc":
            agree(own.roc(BARS.close), oracle.roc(close, length=10, talib=False))
        case _:
            kind, length = name[:3], int(name[3:])
            theirs = getattr(oracle, kind)(close, length=length, talib=False)
            agree(getattr(own, kind)(BARS.close, length), theirs)


def test_macd_agrees_with_pandas_ta(oracle: ModuleType, series: dict[str, object]) -> None:
    """Line, signal and histogram of MACD 12/26/9."""
    table = oracle.macd(series["close"], fast=12, slow=26, signal=9, talib=False)
    line, signal, hist = own.macd(BARS.close)
    agree(line, table["MACD_12_26_9"])
    agree(signal, table["MACDs_12_26_9"])
    agree(hist, table["MACDh_12_26_9"])


def test_bollinger_agrees_with_pandas_ta_at_ddof_0(
    oracle: ModuleType, series: dict[str, object]
) -> None:
    """The deviation is the population's. TA-Lib takes it from sums of squares: 1e-7."""
    table = oracle.bbands(series["close"], length=20, std=2.0, ddof=0, talib=False)
    upper, middle, lower = own.bollinger(BARS.close)
    agree(middle, table["BBM_20_2.0"])
    agree(upper, table["BBU_20_2.0"], floor=1e-7)
    agree(lower, table["BBL_20_2.0"], floor=1e-7)


def test_ranges_agree_with_pandas_ta(oracle: ModuleType, series: dict[str, object]) -> None:
    """ATR by Wilder's mean, and ADX with its directional indices."""
    hlc = (series["high"], series["low"], series["close"])
    agree(own.atr(*HLC), oracle.atr(*hlc, length=14, talib=False))
    table = oracle.adx(*hlc, length=14, talib=False)
    strength, plus, minus = own.adx(*HLC)
    agree(strength, table["ADX_14"])
    agree(plus, table["DMP_14"])
    agree(minus, table["DMN_14"])


def test_stochastic_agrees_with_pandas_ta(oracle: ModuleType, series: dict[str, object]) -> None:
    """%K 14 slowed by 3, %D 3."""
    hlc = (series["high"], series["low"], series["close"])
    table = oracle.stoch(*hlc, k=14, d=3, smooth_k=3, talib=False)
    k, d = own.stochastic(*HLC)
    agree(k, table["STOCHk_14_3_3"])
    agree(d, table["STOCHd_14_3_3"])


def test_volume_indicators_agree_with_pandas_ta(
    oracle: ModuleType, series: dict[str, object]
) -> None:
    """MFI, differences of OBV, VWAP from 00:00 UTC."""
    hlcv = tuple(series[name] for name in ("high", "low", "close", "volume"))
    agree(own.mfi(*HLC, BARS.volume), oracle.mfi(*hlcv, length=14, talib=False))
    theirs = np.asarray(oracle.obv(hlcv[2], hlcv[3], talib=False), dtype=np.float64)
    np.testing.assert_allclose(np.diff(own.obv(BARS.close, BARS.volume)), np.diff(theirs))
    agree(own.vwap(BARS.ts, *HLC, BARS.volume), oracle.vwap(*hlcv, anchor="D"))


@pytest.mark.parametrize(
    ("factor", "relative"),
    # A power of two changes no digit. Ten changes the last one of each price, and of a
    # difference of two prices a millionth.
    [(2.0**-60, 0.0), (2.0**20, 0.0), (10.0, 1e-6), (4e-7, 1e-6)],
)
def test_prices_multiplied_change_no_ratio(factor: float, relative: float) -> None:
    """What has no unit is the same at any price; what has one grows with it."""
    bars = walk(400, seed=9)
    before, after = own.compute(bars), own.compute(scaled(bars, factor))
    for name in ("rsi", "adx", "plus_di", "minus_di", "stoch_k", "mfi", "atr_percent", "roc"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=relative, abs=0)
    for name in ("atr", "ema20", "ema200", "sma50", "bb_upper", "macd_hist", "vwap"):
        wanted = getattr(before, name) * factor
        assert getattr(after, name) == pytest.approx(wanted, rel=relative, abs=0)


@pytest.mark.parametrize("factor", [4e-7, 1.0, 1e6])
def test_talib_sees_prices_near_one(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """No absolute threshold inside the library can matter to a cheap coin."""
    seen: list[Floats] = []

    def spy(close: Floats, length: int) -> Floats:
        seen.append(close)
        return close

    monkeypatch.setattr(own.talib, "RSI", spy)
    bars = scaled(walk(50), factor)
    own.rsi(bars.close, 14)
    assert 0.5 <= seen[0][0] < 1.0


def test_mirrored_bars_give_mirrored_values() -> None:
    """A rise and the same fall are told apart by sign alone."""
    bars = walk(400, seed=3)
    up, down = own.compute(bars), own.compute(mirrored(bars))
    assert up.rsi is not None and up.stoch_k is not None and up.mfi is not None
    assert down.rsi == pytest.approx(100 - up.rsi)
    assert down.stoch_k == pytest.approx(100 - up.stoch_k)
    assert down.plus_di == pytest.approx(up.minus_di)
    assert down.minus_di == pytest.approx(up.plus_di)
    assert down.adx == pytest.approx(up.adx)
    assert down.atr == pytest.approx(up.atr)
    assert up.macd is not None and down.macd == pytest.approx(-up.macd)
    assert up.obv_change is not None and down.obv_change == pytest.approx(-up.obv_change)


def test_too_little_history_is_absent_never_a_guess() -> None:
    """An indicator without its bars is None; the others are there."""
    assert own.compute(Bars.empty()) == own.Indicators()
    few = own.compute(walk(30))
    assert few.rsi is not None and few.ema20 is not None and few.bb_lower is not None
    assert few.ema50 is None and few.sma200 is None and few.macd is None
    one = own.compute(walk(1))
    assert one.rsi is None and one.volume_ratio is None and one.close is not None


def test_last_values_are_those_of_the_columns() -> None:
    """`compute` gives the last element of each array function."""
    bars = walk(900, seed=7)
    values = own.compute(bars)
    hlc = (bars.high, bars.low, bars.close)
    assert values.mfi == own.mfi(*hlc, bars.volume)[-1]
    assert values.roc == own.roc(bars.close)[-1]
    assert values.volume_ratio == own.volume_ratio(bars.volume)[-1]
    assert values.atr_percent == own.atr_percent(*hlc)[-1]
    # The columns' running sums start earlier: rounding differs.
    assert values.vwap == pytest.approx(own.vwap(bars.ts, *hlc, bars.volume)[-1], rel=1e-12)


def test_a_dead_flat_market_is_neither_oversold_nor_trending() -> None:
    """Without any move RSI and stochastic are 50, not the 0 that TA-Lib gives."""
    values = own.compute(path([100.0] * 60))
    assert values.rsi == 50.0
    assert values.stoch_k == 50.0
    assert values.adx == 0.0


def test_a_fall_without_any_rise_is_oversold() -> None:
    """The rule for flat markets leaves a true 0 alone."""
    assert own.compute(path(np.linspace(100, 60, 60))).rsi == 0.0


def test_vwap_of_a_day_not_seen_from_its_start_is_absent() -> None:
    """A sum that begins in the middle of the day is another figure; it is not shown."""
    late = walk(20, ts=DAY_START + Timeframe.H1.ms)
    assert own.compute(late).vwap is None
    whole = walk(20)
    assert own.compute(whole).vwap is not None
    two_days = walk(400, ts=DAY_START + Timeframe.H1.ms)
    column = own.vwap(two_days.ts, two_days.high, two_days.low, two_days.close, two_days.volume)
    assert np.isnan(column[:276]).all() and not np.isnan(column[276:]).any()


def test_vwap_of_a_day_that_begins_with_a_gap_is_known() -> None:
    """A bar of the day before shows that nothing was missed but bars nobody traded in."""
    two_days = walk(400)
    gap = Bars.of([row for row in rows(two_days) if row[0] != DAY_START + DAY_MS])
    assert len(gap) == 399
    assert own.compute(gap).vwap is not None


def test_no_volume_gives_no_ratio() -> None:
    """Where nothing was traded, ratios of volume do not exist."""
    values = own.compute(path(np.linspace(100, 101, 60), volume=0.0))
    assert values.volume_ratio is None
    assert values.mfi is None
    assert values.vwap is None
    assert values.obv_change is None


def test_importing_indicators_does_not_bring_pandas_along() -> None:
    """TA-Lib is imported with pandas and polars hidden, and both can be imported afterwards."""
    code = (
        "import sys, bot.domain.indicators\n"
        "assert 'pandas' not in sys.modules and 'polars' not in sys.modules\n"
        "import pandas\n"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True)
    assert run.returncode == 0, run.stderr.decode()


def test_an_imported_pandas_stays_imported() -> None:
    """Hiding pandas for TA-Lib never takes it away from who already had it."""
    code = (
        "import sys, pandas\nkept = sys.modules['pandas']\nimport bot.domain.indicators\n"
        "assert sys.modules['pandas'] is kept\n"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True)
    assert run.returncode == 0, run.stderr.decode()


def rows(bars: Bars) -> list[tuple[int, float, float, float, float, float]]:
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return list(zip(*(column.tolist() for column in columns)))

"""What a model may see of a signal: facts in a fixed order, rounded, free of price and time.

Owns which facts there are and how each number is scaled; knows no template and no model.

Everything is a share, a ratio or a distance in ATR, from closed bars: prices times ten give the
same bytes, a mirrored series mirrored numbers, and an unchanged bar an unchanged prompt. Which
coin it is, is not said: a model that knows the name answers from memory of its past.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bot.domain.indicators import Indicators
from bot.domain.levels import Levels
from bot.domain.proposal import Proposal
from bot.domain.snapshot import Snapshot
from bot.domain.types import Bars, Brief, Fact, RedFlag, Score, Timeframe

DIGITS = 3  # significant ones
MOVES = 12  # closed bars shown one by one
FUNDING_MUCH = 5e-5  # an hour: four times the venue's standing rate of 0.0000125
FUNDING_SOME = 1.5e-5  # an hour: just over the standing rate, which everybody pays
# Live figures move between two closes; a part of the score that rests on one is not shown.
LIVE_PARTS = frozenset({"funding"})


def brief_of(
    proposal: Proposal, score: Score, flags: Sequence[RedFlag], snapshot: Snapshot
) -> Brief:
    """Every fact of one question: the signal, its score, its flags, the regime, each frame."""
    facts = [
        *_signal(proposal, snapshot),
        *_scores(score),
        *_flags(flags),
        *_regimes(snapshot),
        *_levels(snapshot.levels, snapshot.now.atr),
    ]
    for frame in (snapshot.timeframe, *snapshot.context):
        facts += _frame(frame, snapshot.indicators[frame])
    facts += _moves(snapshot.decision, snapshot.now.atr, snapshot.timeframe)
    return Brief(tuple(facts))


def rounded(value: float) -> float:
    """A number at `DIGITS` significant digits; no negative zero. Must be finite."""
    if value == 0:
        return 0.0
    places = DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(value, places) + 0.0


def plain_number(value: float) -> str:
    """A rounded number without exponent and without trailing zeros: 0.00012, 28.4, 1500."""
    text = f"{value:.12f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _signal(proposal: Proposal, snapshot: Snapshot) -> Iterator[Fact]:
    signal = proposal.signal
    yield Fact("signal.side", signal.side.value)
    yield Fact("signal.strategy", signal.strategy)
    yield from _number("signal.strength", signal.strength)
    yield from _number("signal.target_r", signal.target_r)
    yield from _number("signal.stop_percent", 100 * signal.stop_frac)
    yield from _ratio("signal.stop_atr", signal.stop_frac * _close(snapshot), snapshot.now.atr)
    yield Fact("signal.agreeing", float(len(proposal.confluence)))
    yield Fact("decision.timeframe", snapshot.timeframe.value)


def _scores(score: Score) -> Iterator[Fact]:
    for part in score.parts:
        if part.name not in LIVE_PARTS:
            yield Fact(f"score.{part.name}", float(round(part.value)))


def _flags(flags: Sequence[RedFlag]) -> Iterator[Fact]:
    """Flags by code: their details quote prices."""
    yield Fact("flags", " ".join(flag.code for flag in flags) or "none")


def _regimes(snapshot: Snapshot) -> Iterator[Fact]:
    yield Fact("regime", snapshot.regime.regime.value)
    yield from _number("regime.confidence", snapshot.regime.confidence)
    yield from _number("regime.atr_percentile", snapshot.regime.figures.atr_percentile)
    for frame in snapshot.context:
        yield Fact(f"{frame.value}.regime", snapshot.context_regimes[frame].regime.value)
    yield Fact("funding", _funding(snapshot.market.funding_hourly))


def _funding(hourly: float) -> str:
    """A word instead of the rate: the rate moves every second, the word seldom."""
    size = abs(hourly) if math.isfinite(hourly) else 0.0
    if size < FUNDING_SOME:
        return "neutral"
    payer = "longs_pay" if hourly > 0 else "shorts_pay"
    return f"{payer}_much" if size >= FUNDING_MUCH else payer


def _levels(levels: Levels, atr: float | None) -> Iterator[Fact]:
    price = levels.price
    if price is None:
        return
    if levels.support is not None:
        yield from _ratio("levels.support_atr", price - levels.support.price, atr)
        yield Fact("levels.support_touches", float(levels.support.touches))
    if levels.resistance is not None:
        yield from _ratio("levels.resistance_atr", levels.resistance.price - price, atr)
        yield Fact("levels.resistance_touches", float(levels.resistance.touches))
    if levels.swing_low is not None:
        yield from _ratio("levels.swing_low_atr", price - levels.swing_low, atr)
    if levels.swing_high is not None:
        yield from _ratio("levels.swing_high_atr", levels.swing_high - price, atr)


def _frame(frame: Timeframe, now: Indicators) -> Iterator[Fact]:
    """One timeframe: momentum, trend, averages, volume, volatility."""
    name = frame.value
    yield from _number(f"{name}.rsi", now.rsi)
    yield from _number(f"{name}.stoch_k", now.stoch_k)
    yield from _number(f"{name}.mfi", now.mfi)
    yield from _ratio(f"{name}.macd_hist_atr", now.macd_hist, now.atr)
    yield from _number(f"{name}.roc_percent", now.roc)
    yield from _number(f"{name}.adx", now.adx)
    yield from _ratio(f"{name}.di_gap", _gap(now.plus_di, now.minus_di), 1.0)
    for key, line in (
        ("ema20", now.ema20),
        ("ema50", now.ema50),
        ("ema200", now.ema200),
        ("vwap", now.vwap),
    ):
        yield from _ratio(f"{name}.{key}_gap_atr", _gap(now.close, line), now.atr)
    yield from _ratio(
        f"{name}.bb_position", _gap(now.close, now.bb_lower), _gap(now.bb_upper, now.bb_lower)
    )
    yield from _number(f"{name}.volume_ratio", now.volume_ratio)
    yield from _number(f"{name}.obv_change", now.obv_change)
    yield from _number(f"{name}.atr_percent", now.atr_percent)


def _moves(bars: Bars, atr: float | None, frame: Timeframe) -> Iterator[Fact]:
    """The last closes as steps in ATR, oldest first; one decimal is what a picture needs."""
    close = bars.close[-MOVES - 1 :]
    if not atr or len(close) < 2:
        return
    steps = [float(step) / atr for step in close[1:] - close[:-1]]
    yield Fact(f"{frame.value}.steps_atr", " ".join(plain_number(round(s, 1) + 0.0) for s in steps))


def _close(snapshot: Snapshot) -> float:
    return float(snapshot.decision.close[-1])


def _gap(one: float | None, other: float | None) -> float | None:
    return one - other if one is not None and other is not None else None


def _number(key: str, value: float | None) -> Iterator[Fact]:
    """A fact, where there is a number to show."""
    if value is not None and math.isfinite(value):
        yield Fact(key, rounded(float(value)))


def _ratio(key: str, value: float | None, unit: float | None) -> Iterator[Fact]:
    if value is not None and unit is not None and unit > 0:
        yield from _number(key, value / unit)

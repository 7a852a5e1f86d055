"""What is known of one symbol at one closed bar: the input of every judgement.

Owns how bars become a snapshot; knows no strategy. It is recomputed byte for byte from the
same bars and market, so replay needs only those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bot.domain import indicators, levels, regime
from bot.domain.indicators import Indicators
from bot.domain.levels import Levels
from bot.domain.regime import RegimeView
from bot.domain.types import Bars, Market, Ms, Symbol, Timeframe

_INT, _FLOAT = np.dtype("<i8"), np.dtype("<f8")  # of the hash, on every machine


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One symbol after one closed decision bar; everything in it was closed by `as_of`."""

    symbol: Symbol
    as_of: Ms  # close time of the last decision bar
    timeframe: Timeframe
    context: tuple[Timeframe, ...]  # coarser frames that have bars, finest first
    bars: Mapping[Timeframe, Bars]
    indicators: Mapping[Timeframe, Indicators]
    regime: RegimeView
    regime_timeframe: Timeframe  # where `regime` was read: the wished frame, or the decision frame
    context_regimes: Mapping[Timeframe, RegimeView]
    market: Market
    known_levels: Levels | None = None  # given; else found when somebody asks

    @property
    def decision(self) -> Bars:
        """The bars of the decision timeframe."""
        return self.bars[self.timeframe]

    @property
    def now(self) -> Indicators:
        """The indicators of the decision timeframe."""
        return self.indicators[self.timeframe]

    @property
    def levels(self) -> Levels:
        """Levels of the decision frame; found when asked for, since few bars bring a wish."""
        return self.known_levels or levels.find(self.decision, self.now.atr)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one window says by itself: it depends on nothing but its bars, so it may be kept."""

    bars: Bars
    indicators: Indicators
    regime: RegimeView


Reader = Callable[[Timeframe, Bars], Reading]


def read(timeframe: Timeframe, bars: Bars) -> Reading:
    """Read one window; `bot.pipeline.sight` remembers what this gives."""
    shared = indicators.lines(bars)
    return Reading(bars, indicators.compute(bars, shared), regime.classify(bars, shared))


def observe(
    symbol: Symbol,
    timeframe: Timeframe,
    bars: Mapping[Timeframe, Bars],
    market: Market,
    regime_timeframe: Timeframe,
    reader: Reader = read,
) -> Snapshot:
    """Compute the snapshot after the last bar of `timeframe`.

    Context bars that close later than that bar are left out. The regime is read on
    `regime_timeframe`, or on the decision frame where that has too few bars. `reader` gives
    what `read` gives, perhaps from memory. Raises ValueError when there is no decision bar.
    """
    decision = bars.get(timeframe)
    if decision is None or not len(decision):
        raise ValueError(f"observe: {symbol} has no closed {timeframe.value} bar")
    as_of = int(decision.ts[-1]) + timeframe.ms
    seen = {timeframe: decision}
    for frame in sorted(bars, key=lambda item: item.ms):
        closed = _closed_by(bars[frame], frame, as_of)
        if frame.ms > timeframe.ms and len(closed):
            seen[frame] = closed
    context = tuple(frame for frame in seen if frame is not timeframe)
    where = _regime_frame(seen, timeframe, regime_timeframe)
    readings = {frame: reader(frame, window) for frame, window in seen.items()}
    return Snapshot(
        symbol=symbol,
        as_of=Ms(as_of),
        timeframe=timeframe,
        context=context,
        bars=seen,
        indicators={frame: reading.indicators for frame, reading in readings.items()},
        regime=readings[where].regime,
        regime_timeframe=where,
        context_regimes={frame: readings[frame].regime for frame in context},
        market=market,
    )


def window_hash(bars: Bars) -> str:
    """SHA-256 over the columns' bytes (little endian), in hex; equal bars give equal hashes."""
    digest = hashlib.sha256(np.ascontiguousarray(bars.ts, dtype=_INT).data)
    for column in (bars.open, bars.high, bars.low, bars.close, bars.volume):
        digest.update(np.ascontiguousarray(column, dtype=_FLOAT).data)
    return digest.hexdigest()


def _closed_by(bars: Bars, frame: Timeframe, at: int) -> Bars:
    if not len(bars) or int(bars.ts[-1]) + frame.ms <= at:
        return bars
    return bars[: int(np.searchsorted(bars.ts, at - frame.ms, side="right"))]


def _regime_frame(
    seen: Mapping[Timeframe, Bars], timeframe: Timeframe, wished: Timeframe
) -> Timeframe:
    window = seen.get(wished)
    if window is None or len(window) < regime.ENOUGH_BARS:
        return timeframe
    return wished

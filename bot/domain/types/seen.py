"""What is seen: bars, prices, a strategy's wish, its score. Floats.

Refuses bad values at construction; knows no rule of trading.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bot.domain.types.names import Floats, Ints, Ms, Side, Symbol, Tier


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closed candles as columns, oldest first; every array has shape (n,).

    `ts` is the open time in ms UTC, strictly increasing; prices in quote currency;
    volume in base units. Raises ValueError when a column contradicts another.
    """

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __post_init__(self) -> None:
        n = len(self.ts)
        columns = (self.open, self.high, self.low, self.close, self.volume)
        if any(len(column) != n for column in columns):
            raise ValueError("bars: columns differ in length")
        if n == 0:
            return
        if n > 1 and not bool(np.all(np.diff(self.ts) > 0)):
            raise ValueError("bars: open times must be strictly increasing")
        if not all(bool(np.isfinite(column).all()) for column in columns):
            raise ValueError("bars: a value is not finite")
        if bool((self.low <= 0).any()) or bool((self.volume < 0).any()):
            raise ValueError("bars: prices must be positive and volumes not negative")
        body_high = np.maximum(self.open, self.close)
        body_low = np.minimum(self.open, self.close)
        if bool((self.high < body_high).any()) or bool((self.low > body_low).any()):
            raise ValueError("bars: high or low lies inside the body")

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, window: slice) -> Bars:
        return Bars(
            self.ts[window],
            self.open[window],
            self.high[window],
            self.low[window],
            self.close[window],
            self.volume[window],
        )

    @staticmethod
    def empty() -> Bars:
        none = np.empty(0, dtype=np.float64)
        return Bars(np.empty(0, dtype=np.int64), none, none, none, none, none)

    @staticmethod
    def of(rows: list[tuple[int, float, float, float, float, float]]) -> Bars:
        """Build from rows (ts, open, high, low, close, volume), oldest first."""
        if not rows:
            return Bars.empty()
        table = np.array([row[1:] for row in rows], dtype=np.float64)
        return Bars(
            np.array([row[0] for row in rows], dtype=np.int64),
            *(np.ascontiguousarray(table[:, i]) for i in range(5)),
        )


@dataclass(frozen=True, slots=True)
class Market:
    """What the venue says of one coin at one moment; prices are floats here."""

    symbol: Symbol
    mark: float
    oracle: float
    bid: float
    ask: float
    funding_hourly: float  # fraction an hour; positive: longs pay
    open_interest: float  # base units
    volume_24h_usd: float
    prev_day_price: float
    at: Ms  # market time of the last change

    @property
    def spread_bps(self) -> float:
        mid = (self.bid + self.ask) / 2
        return (self.ask - self.bid) / mid * 1e4 if mid > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Signal:
    """A strategy's wish; it carries no size and no absolute price."""

    symbol: Symbol
    side: Side
    strength: float  # 0 to 1
    stop_frac: float  # distance of the stop as a fraction of price
    target_r: float  # target as a multiple of the stop distance
    strategy: str  # "rsi_mean_reversion.tight"
    scanner: str  # "technical"
    weight: float  # ranking among strategies of one symbol, not capital
    why: str


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One component of the unified score: 0 to 100, larger speaks for the signal."""

    name: str
    value: float
    weight: float


@dataclass(frozen=True, slots=True)
class Score:
    """Unified score 0 to 100: the weighted mean of the parts that are present."""

    parts: tuple[ScorePart, ...]
    total: float
    tier: Tier


@dataclass(frozen=True, slots=True)
class RedFlag:
    """A warning found in code. Hard: no trade. Soft: its stated effect."""

    code: str
    hard: bool
    detail: str


@dataclass(frozen=True, slots=True)
class SoftEffect:
    """What soft red flags do to size and leverage: they only ever lower it."""

    max_leverage: int | None = None
    size_factor: float = 1.0

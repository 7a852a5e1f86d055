"""Bars of the simulated venue and how they fold; the contract of a price source.

Owns `Bar`, folding and the words between the venue and its prices; knows no file and no
random number. Volumes are whole numbers of 1e-8 base units, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bot.domain.instrument import Instrument
from bot.domain.types import Ms

VOLUME_UNITS = 10**8  # of one base unit


class Bar(NamedTuple):
    """One candle: open time, prices, volume in 1e-8 base units, trades."""

    t: int
    o: float
    h: float
    l: float  # noqa: E741  (the venue's own letter)
    c: float
    v: int
    n: int


class Quote(NamedTuple):
    """A new price of one coin, with the volume (1e-8 base units) traded at it."""

    coin: str
    price: float
    volume: int


class PriceSource(Protocol):
    """Prices by tick number; the same number gives the same prices for ever."""

    instruments: Mapping[str, Instrument]  # by coin, in the order of asset ids
    base_ms: int  # length of the finest bars
    identity: str  # what a ledger must have been written with
    start_at: Ms  # market time of a new world
    first_tick: int  # the first that is played in a new world

    def tick_at(self, index: int) -> Ms | None:
        """Market time of a tick; None after the last."""
        ...

    def quotes(self, index: int) -> Sequence[Quote]:
        """The coins that change at this tick; one that has no row is absent."""
        ...

    def last_price(self, coin: str, index: int) -> float:
        """The price that stood after this tick."""
        ...

    def forming(self, coin: str, index: int) -> Bar | None:
        """The finest bar as it stood after this tick (at its last tick: the whole bar)."""
        ...

    def closed(self, coin: str, interval_ms: int, first: int, before: int) -> list[Bar]:
        """Folds of finest bars that open in [first, before); both on the interval's grid
        or on the finest one (then the folds at the edges are partial)."""
        ...

    def oldest(self, interval_ms: int) -> int:
        """Open time of the oldest bar that may be asked for."""
        ...

    def prepare(self, coin: str, interval_ms: int, first: int, before: int) -> Iterator[None]:
        """Do heavy work for `closed` in steps of a few ms; yields between them."""
        ...


def fold(bars: Iterable[Bar], interval_ms: int) -> list[Bar]:
    """Fold finer bars, oldest first, into bars of `interval_ms` on the UTC grid."""
    folded: list[Bar] = []
    for bar in bars:
        start = bar.t - bar.t % interval_ms
        if folded and folded[-1].t == start:
            folded[-1] = merged(folded[-1], bar)
        else:
            folded.append(bar._replace(t=start))
    return folded


def merged(first: Bar, later: Bar) -> Bar:
    """One bar out of two that follow each other; keeps the open time of the first."""
    return Bar(
        first.t,
        first.o,
        max(first.h, later.h),
        min(first.l, later.l),
        later.c,
        first.v + later.v,
        first.n + later.n,
    )


def price_decimals(prices: NDArray[np.float64], size_decimals: int) -> NDArray[np.int64]:
    """Decimals the venue allows at each price: 5 significant figures, 6 less the size's."""
    whole = np.floor(np.log10(prices)).astype(np.int64)
    return np.clip(4 - whole, 0, 6 - size_decimals)


def on_tick(prices: NDArray[np.float64], size_decimals: int) -> NDArray[np.float64]:
    """Round prices to the venue's tick; every result is the double nearest its decimal."""
    decimals = price_decimals(prices, size_decimals)
    scale = np.power(10.0, decimals)
    return np.asarray(np.round(prices * scale) / scale, dtype=np.float64)


class Rolling:
    """The state of bars as ticks arrive, equal at each tick to what a snapshot answers."""

    def __init__(self, source: PriceSource) -> None:
        self._source = source
        self._closed: dict[tuple[str, int], tuple[int, int, Bar | None]] = {}
        self._forming: dict[str, tuple[int, Bar | None]] = {}  # of the last tick asked for

    def state(self, coin: str, interval_ms: int, index: int) -> Bar | None:
        """The bar of `interval_ms` that the tick `index` belongs to."""
        seen = self._forming.get(coin)
        if seen is None or seen[0] != index:
            seen = self._forming[coin] = (index, self._source.forming(coin, index))
        forming = seen[1]
        if forming is None or interval_ms == self._source.base_ms:
            return forming
        start = forming.t - forming.t % interval_ms
        key = (coin, interval_ms)
        known = self._closed.get(key)
        if known is None or known[:2] != (start, forming.t):
            rows = self._source.closed(coin, interval_ms, start, forming.t)
            known = (start, forming.t, rows[-1] if rows else None)
            self._closed[key] = known
        before = known[2]
        return forming._replace(t=start) if before is None else merged(before, forming)

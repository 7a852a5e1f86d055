"""What the windows of each frame said when they were last read, so that nothing is read twice.

Owns the memory of readings and window hashes (spec 10, "Scan": once per symbol and closed
candle); knows no formula and never changes a result: a window is known only by being equal.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np

from bot.domain.snapshot import Reader, Reading, read, window_hash
from bot.domain.types import Bars, Floats, Ints, Symbol, Timeframe

CAPACITY = 1_500  # windows; 200 symbols with three frames are 600, and a change of universe

_Key = tuple[Symbol, Timeframe]


@dataclass(slots=True)
class _Seen:
    reading: Reading
    digest: str | None = None


class Sight:
    """The newest window of each symbol and frame; the one not looked at for longest goes first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[_Key, _Seen] = OrderedDict()
        self.read = 0
        self.remembered = 0

    def __len__(self) -> int:
        return len(self._seen)

    def reader(self, symbol: Symbol) -> Reader:
        """What `domain.snapshot.observe` reads a symbol's windows with."""
        return partial(self._read, symbol)

    def digest(self, symbol: Symbol, timeframe: Timeframe, bars: Bars) -> str:
        """The hash of a window, computed once for a window that was read here."""
        known = self._seen.get((symbol, timeframe))
        if known is None or not _same(known.reading.bars, bars):
            return window_hash(bars)
        if known.digest is None:
            known.digest = window_hash(bars)
        return known.digest

    def _read(self, symbol: Symbol, timeframe: Timeframe, bars: Bars) -> Reading:
        key = (symbol, timeframe)
        known = self._seen.get(key)
        if known is not None and _same(known.reading.bars, bars):
            self._seen.move_to_end(key)
            self.remembered += 1
            return known.reading
        reading = read(timeframe, bars)
        self.read += 1
        self._seen[key] = _Seen(reading)
        self._seen.move_to_end(key)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return reading


def _same(known: Bars, bars: Bars) -> bool:
    """The same object, or every column equal: a corrected bar has its old time and other prices."""
    if known is bars:
        return True
    return all(
        np.array_equal(_bits(getattr(known, name)), _bits(getattr(bars, name)))
        for name in Bars.__slots__
    )


def _bits(column: Floats | Ints) -> Ints:
    """A column as whole numbers, so that equal means equal to the bit, as for the hash."""
    return column.view(np.int64)

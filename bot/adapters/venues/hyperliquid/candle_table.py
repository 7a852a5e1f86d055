"""Rows of candles in one block of numbers: a tuple of six objects takes six times as much.

Owns how they lie in memory; knows neither which bars are final nor where they come from.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import numpy as np

from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.domain.types import Bars

_WIDTH = 6  # numbers of a row; its open time in ms is a whole number that a float holds exactly


class CandleTable:
    """At most `capacity` rows by rising open time; the oldest make room."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._cells = array("d")

    def __len__(self) -> int:
        return len(self._cells) // _WIDTH

    def __iter__(self) -> Iterator[Candle]:
        return iter(self.rows(0, len(self)))

    @property
    def full(self) -> bool:
        return len(self) >= self._capacity

    @property
    def first_ts(self) -> int | None:
        return int(self._cells[0]) if self._cells else None

    @property
    def last_ts(self) -> int | None:
        return int(self._cells[-_WIDTH]) if self._cells else None

    def extend(self, rows: Iterable[Candle]) -> None:
        """Put rows at the end. They must follow the last one and each other."""
        for row in rows:
            assert not self._cells or row[0] > self._cells[-_WIDTH], "candles out of order"
            self._cells.extend(row)
        del self._cells[: max(0, len(self) - self._capacity) * _WIDTH]

    def place(self, ts: int) -> int:
        """How many rows open before `ts`."""
        return bisect_left(memoryview(self._cells)[::_WIDTH], ts)

    def find(self, ts: int) -> Candle | None:
        """The row that opens at `ts`."""
        cells, at = self._cells, self.place(ts) * _WIDTH
        if at == len(cells) or cells[at] != ts:
            return None
        open_, high, low, close, volume = cells[at + 1 : at + _WIDTH]
        return ts, open_, high, low, close, volume

    def rows(self, start: int, end: int) -> list[Candle]:
        """Rows of the places [start, end), oldest first."""
        cells = self._cells[start * _WIDTH : end * _WIDTH]
        columns = (cells[column::_WIDTH] for column in range(1, _WIDTH))
        return list(zip(map(int, cells[::_WIDTH]), *columns))

    def bars(self, start: int, end: int) -> Bars:
        """The same rows as columns of their own, which nobody may write into."""
        if start >= end:
            return Bars.empty()
        table = np.array(self._cells[start * _WIDTH : end * _WIDTH]).reshape(-1, _WIDTH)
        columns = [np.ascontiguousarray(table[:, column]) for column in range(1, _WIDTH)]
        ts = table[:, 0].astype(np.int64)
        for column in (ts, *columns):
            column.flags.writeable = False
        return Bars(ts, *columns)

"""Candles of one symbol and timeframe, put together from frames and from REST.

Owns which bars are final and which are still missing; knows no socket and no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.domain.types import Bars, Ms, Timeframe

CAPACITY = 1_000  # closed bars kept; EMA 200 settles after 1,000 (facts, libraries)


@dataclass(frozen=True, slots=True)
class Kept:
    """The window that was last given, how many bars were asked for, and its newest row."""

    bars: Bars
    limit: int
    last: Candle

    def goes_on(self, newest: Candle, limit: int) -> bool:
        """Whether a window up to `newest` is this one and later bars."""
        return limit == self.limit and newest[0] > self.last[0]


@dataclass(slots=True)
class Series:
    """Closed bars up to `settled_to`, complete from `covered_from` on, and the open one.

    A bar is final when a frame of a later bar came on the same unbroken connection, or when
    REST was asked after its end. Final bars never change: a different later word is counted.
    """

    timeframe: Timeframe
    capacity: int = CAPACITY
    covered_from: Ms | None = None  # None: nothing is known yet
    settled_to: Ms = field(default=Ms(0))  # all bars that end by then are decided
    corrections: int = 0
    _rows: deque[Candle] = field(default_factory=deque)
    _open: Candle | None = None
    _broken: bool = False  # the connection was lost since the last frame of `_open`
    _kept: Kept | None = None

    @property
    def last_ts(self) -> Ms | None:
        """Open time of the newest final bar."""
        return Ms(self._rows[-1][0]) if self._rows else None

    def frame(self, row: Candle) -> None:
        """Take a frame of the stream: the state of the open bar, or the first of the next."""
        if row[0] < self.settled_to:
            self._compare(row)
            return
        previous = self._open
        if previous is not None and row[0] < previous[0]:
            return  # a repeated frame of a bar that waits for REST
        if previous is not None and row[0] > previous[0]:
            self._close(previous)
        self._open, self._broken = row, False

    def disconnected(self) -> None:
        """Frames may have been lost: the open bar's last one no longer counts as final."""
        self._broken = True

    def due(self, until: Ms) -> Ms:
        """End of the newest bar that is over at `until`."""
        length = self.timeframe.ms
        return Ms(until // length * length)

    def missing_from(self, until: Ms, history_from: Ms) -> Ms | None:
        """From where REST must be asked so that bars from `history_from` to `until` are known.

        None when nothing is missing.
        """
        if self.covered_from is None or history_from < self.covered_from:
            return history_from
        if self.due(until) <= self.settled_to:
            return None
        # After a long absence only as much as there is room for.
        return Ms(max(self.settled_to, self.due(until) - self.capacity * self.timeframe.ms))

    def settle(self, rows: Sequence[Candle], asked_from: Ms, asked_at: Ms) -> None:
        """Take the answer of REST (or of our own store) for all bars since `asked_from`.

        Bars that were over at `asked_at` are final from now on. Where the answer leaves out
        a bar of which a frame told, the frame counts: a trade does not unhappen.
        """
        end = self.due(asked_at)
        # What lies before a hole is given up: bars on both sides of one would look adjacent.
        hole = self.covered_from is not None and asked_from > self.settled_to
        known = {} if hole else {row[0]: row for row in self._rows}
        fresh = {row[0]: row for row in rows if row[0] + self.timeframe.ms <= end}
        if self._open is not None and self._open[0] + self.timeframe.ms <= end:
            fresh.setdefault(self._open[0], self._open)
            self._open = None
        self.corrections += sum(1 for ts, row in fresh.items() if ts in known and known[ts] != row)
        merged = fresh | known
        self._rows = deque((merged[ts] for ts in sorted(merged)), maxlen=self.capacity)
        self._kept = None  # bars may have come before or between those of the kept window
        if self.covered_from is None or asked_from > self.settled_to:
            self.covered_from = asked_from
        self.covered_from = min(self.covered_from, asked_from)
        self.settled_to = max(self.settled_to, end)

    def window(self, until: Ms, limit: int) -> list[Candle]:
        """The last `limit` final bars that are over at `until`, oldest first."""
        end = min(until, self.settled_to)
        final = [row for row in self._rows if row[0] + self.timeframe.ms <= end]
        return final[-limit:] if limit > 0 else []

    def bars(self, until: Ms, limit: int) -> Bars:
        """`window` as columns; the very same object until a bar is added or corrected.

        A window that only went on is put together from the last one: a row costs half a
        microsecond to turn into columns, and a scan of 200 symbols asks for 300,000 of them.
        """
        end, kept = min(until, self.settled_to), self._kept
        newest = self._newest(end)
        if kept is not None and newest == kept.last and limit == kept.limit:
            return kept.bars
        if kept is not None and newest is not None and kept.goes_on(newest, limit):
            bars = _joined(kept, to_bars(self._after(kept.last, end)))
        else:
            bars = to_bars(self.window(until, limit))
        self._kept = Kept(_read_only(bars), limit, newest) if newest and len(bars) else None
        return bars

    def _newest(self, end: int) -> Candle | None:
        """The newest final bar that is over at `end`."""
        length = self.timeframe.ms
        return next((row for row in reversed(self._rows) if row[0] + length <= end), None)

    def _after(self, last: Candle, end: int) -> list[Candle]:
        """Final bars after `last` that are over at `end`."""
        fresh = takewhile(lambda row: row[0] > last[0], reversed(self._rows))
        return [row for row in fresh if row[0] + self.timeframe.ms <= end][::-1]

    def between(self, first: Ms, end: Ms) -> list[Candle]:
        """Final bars with an open time in [first, end)."""
        return [row for row in self._rows if first <= row[0] < end]

    def covers(self, first: Ms, end: Ms) -> bool:
        """Whether every bar in [first, end) is decided and still held."""
        if self.covered_from is None or first < self.covered_from or end > self.settled_to:
            return False
        dropped = len(self._rows) == self.capacity and self._rows[0][0] > first
        return not dropped

    def _close(self, row: Candle) -> None:
        """Make the open bar final, if it follows what is known and no frame can be missing."""
        follows = self.covered_from is not None and self.settled_to == row[0]
        if self._broken or not follows:
            return  # the next question to REST settles it
        if len(self._rows) == self.capacity:
            self._rows.popleft()
        self._rows.append(row)
        self.settled_to = Ms(row[0] + self.timeframe.ms)

    def _compare(self, row: Candle) -> None:
        for known in reversed(self._rows):
            if known[0] == row[0]:
                self.corrections += known != row
                return
            if known[0] < row[0]:
                return


def fold(rows: Sequence[Candle], timeframe: Timeframe) -> list[Candle]:
    """Coarser candles out of finer ones; a coarse bar without a fine one does not exist."""
    folded: list[Candle] = []
    for ts, open_, high, low, close, volume in rows:
        start = ts // timeframe.ms * timeframe.ms
        if folded and folded[-1][0] == start:
            _, first, top, bottom, _, total = folded[-1]
            folded[-1] = (start, first, max(top, high), min(bottom, low), close, total + volume)
        else:
            folded.append((start, open_, high, low, close, volume))
    return folded


def to_bars(rows: Sequence[Candle]) -> Bars:
    """Columns for the domain."""
    return Bars.of(list(rows))


def _joined(kept: Kept, fresh: Bars) -> Bars:
    """The kept window and what came after it, as long as was asked for."""
    old = kept.bars
    return Bars(
        *(
            np.concatenate((getattr(old, name), getattr(fresh, name)))[-kept.limit :].copy()
            for name in Bars.__slots__
        )
    )


def _read_only(bars: Bars) -> Bars:
    """Shared by all who ask, so nobody may write into it."""
    for name in Bars.__slots__:
        getattr(bars, name).flags.writeable = False
    return bars


def rows_of_bars(bars: Bars) -> list[Candle]:
    """Rows of columns that came from our own store."""
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [
        (int(ts), float(o), float(h), float(low), float(c), float(v))
        for ts, o, h, low, c, v in zip(bars.ts, *columns, strict=True)
    ]


def unbroken_tail(rows: Sequence[Candle], timeframe: Timeframe) -> list[Candle]:
    """The newest rows without a hole: what our own store lacks may only not have been seen."""
    start = len(rows)
    while start > 1 and rows[start - 1][0] - rows[start - 2][0] == timeframe.ms:
        start -= 1
    return list(rows[max(start - 1, 0) :])

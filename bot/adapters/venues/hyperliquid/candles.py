"""Candles of one symbol and timeframe, put together from frames and from REST.

Owns which bars are final and which are still missing; knows no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.adapters.venues.hyperliquid.candle_table import CandleTable
from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.domain.types import Bars, Ms, Timeframe

CAPACITY = 1_000  # closed bars kept; EMA 200 settles after 1,000 (facts, libraries)


@dataclass(frozen=True, slots=True)
class Kept:
    """The window that was last given, how many bars were asked for, and where it ends."""

    bars: Bars
    limit: int
    end: int  # open time of its newest bar


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
    _rows: CandleTable = field(init=False)
    _open: Candle | None = None
    _broken: bool = False  # the connection was lost since the last frame of `_open`
    _kept: Kept | None = None

    def __post_init__(self) -> None:
        self._rows = CandleTable(self.capacity)

    @property
    def last_ts(self) -> Ms | None:
        """Open time of the newest final bar."""
        last = self._rows.last_ts
        return None if last is None else Ms(last)

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
        if hole:
            self._rows = CandleTable(self.capacity)
        fresh = {row[0]: row for row in rows if row[0] + self.timeframe.ms <= end}
        if self._open is not None and self._open[0] + self.timeframe.ms <= end:
            fresh.setdefault(self._open[0], self._open)
            self._open = None
        self._merge(fresh)
        if self.covered_from is None or asked_from > self.settled_to:
            self.covered_from = asked_from
        self.covered_from = min(self.covered_from, asked_from)
        self.settled_to = max(self.settled_to, end)

    def window(self, until: Ms, limit: int) -> list[Candle]:
        """The last `limit` final bars that are over at `until`, oldest first."""
        end = min(until, self.settled_to)
        count = self._rows.place(end - self.timeframe.ms + 1)
        return self._rows.rows(max(0, count - max(0, limit)), count)

    def bars(self, until: Ms, limit: int) -> Bars:
        """`window` as columns; the very same object until a bar is added or corrected."""
        end, kept = min(until, self.settled_to), self._kept
        count = self._rows.place(end - self.timeframe.ms + 1)
        if kept is not None and limit == kept.limit and self._ends_at(count) == kept.end:
            return kept.bars
        bars = self._rows.bars(max(0, count - max(0, limit)), count)
        self._kept = Kept(bars, limit, int(bars.ts[-1])) if len(bars) else None
        return bars

    def _ends_at(self, count: int) -> int | None:
        """Open time of the last of so many bars."""
        found = self._rows.rows(count - 1, count) if count else []
        return found[0][0] if found else None

    def between(self, first: Ms, end: Ms) -> list[Candle]:
        """Final bars with an open time in [first, end)."""
        return self._rows.rows(self._rows.place(first), self._rows.place(end))

    def covers(self, first: Ms, end: Ms) -> bool:
        """Whether every bar in [first, end) is decided and still held."""
        if self.covered_from is None or first < self.covered_from or end > self.settled_to:
            return False
        oldest = self._rows.first_ts
        return not (self._rows.full and oldest is not None and oldest > first)

    def _close(self, row: Candle) -> None:
        """Make the open bar final, if it follows what is known and no frame can be missing."""
        follows = self.covered_from is not None and self.settled_to == row[0]
        if self._broken or not follows:
            return  # the next question to REST settles it
        self._rows.extend((row,))
        self.settled_to = Ms(row[0] + self.timeframe.ms)

    def _merge(self, fresh: Mapping[int, Candle]) -> None:
        """Take new bars in; those that are known stay as they are."""
        last = self._rows.last_ts
        old = [ts for ts in fresh if last is not None and ts <= last]
        for ts in old:
            self._compare(fresh[ts])
        if old:
            merged = {**fresh, **{row[0]: row for row in self._rows}}
            self._rows = CandleTable(self.capacity)
        else:
            merged = dict(fresh)
        self._rows.extend(merged[ts] for ts in sorted(merged))
        self._kept = None  # bars may have come before or between those of the kept window

    def _compare(self, row: Candle) -> None:
        known = self._rows.find(row[0])
        self.corrections += known is not None and known != row


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

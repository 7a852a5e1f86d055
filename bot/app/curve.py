"""The equity curve: every cycle of this run from memory, what lies before from the store.

Owns how many points a picture needs; knows nothing of what equity is made of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from bot.adapters.store import Store
from bot.domain.types import Ms

KEPT = 2_000  # at one a scan of 45 s: a day


class Point(NamedTuple):
    """Equity at one moment of market time, and the highest up to then."""

    at: Ms
    equity: Decimal
    peak: Decimal


class EquityCurve:
    """Takes a point a cycle; gives a bounded picture of any stretch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._points: deque[Point] = deque(maxlen=KEPT)

    def note(self, at: Ms, equity: Decimal, peak: Decimal) -> None:
        """Keep the equity of now; a moment that does not move on replaces the last."""
        if self._points and self._points[-1].at >= at:
            self._points.pop()
        self._points.append(Point(at, equity, max(peak, equity)))

    async def points(self, since: Ms, now: Ms, limit: int) -> list[Point]:
        """At most `limit` points of [since, now], oldest first, with highs and lows kept.

        Raises TransientError when there is a past and it cannot be read.
        """
        ours = [point for point in self._points if point.at >= since]
        before = self._points[0].at if self._points else Ms(now + 1)
        older: Sequence[Point] = ()
        if since < before:
            stored = await self._store.browse.equity_curve(since, before, limit)
            older = [Point(row.at, row.equity, row.peak) for row in stored]
        return thinned([*older, *ours], limit)


def thinned(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` points: of each slice of time the lowest and the highest, and the last one.

    Extremes survive, so that a drawdown looks as deep as it was.
    """
    if len(points) <= limit:
        return list(points)
    slices = max(1, (limit - 1) // 2)
    first, last = points[0].at, points[-1].at
    width = (last - first) // slices + 1
    extremes: dict[int, tuple[Point, Point]] = {}
    for point in points[:-1]:
        place = (point.at - first) // width
        low, high = extremes.get(place, (point, point))
        low = point if point.equity < low.equity else low
        high = point if point.equity > high.equity else high
        extremes[place] = (low, high)
    kept = [point for pair in extremes.values() for point in sorted(set(pair))]
    return [*kept, points[-1]]

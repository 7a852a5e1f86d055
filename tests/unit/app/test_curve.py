"""The equity curve: bounded, and as deep as it was."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.adapters.store import EquityPoint
from bot.app.curve import KEPT, EquityCurve, Point, thinned
from bot.domain.types import ZERO, Ms


def point(at: int, equity: object) -> Point:
    return Point(Ms(at), Decimal(str(equity)), Decimal(str(equity)))


class Past:
    """A store with a curve; it keeps what it was asked."""

    def __init__(self, *points: Point) -> None:
        self.points = points
        self.asked: list[tuple[int, int, int]] = []

    async def equity_curve(self, since: int, before: int, limit: int) -> Sequence[EquityPoint]:
        self.asked.append((since, before, limit))
        return [
            EquityPoint(p.at, p.equity, p.equity, ZERO, p.peak)
            for p in self.points
            if since <= p.at < before
        ]


def curve(*past: Point) -> tuple[EquityCurve, Past]:
    store = Past(*past)
    return EquityCurve(cast(Any, SimpleNamespace(browse=store))), store


async def test_memory_follows_what_is_stored() -> None:
    """The store is asked only for what lies before this run."""
    line, store = curve(point(1, 1000), point(2, 990), point(10, 1))
    line.note(Ms(5), Decimal(980), Decimal(1000))
    line.note(Ms(6), Decimal(1010), Decimal(1000))
    found = await line.points(Ms(0), Ms(7), 100)
    assert [(int(p.at), int(p.equity)) for p in found] == [(1, 1000), (2, 990), (5, 980), (6, 1010)]
    assert found[-1].peak == 1010  # never below the equity itself
    assert await line.points(Ms(6), Ms(7), 100) == found[-1:]
    assert store.asked == [(0, 5, 100)]


async def test_a_moment_has_one_point() -> None:
    """A trade that closes within a cycle replaces what the cycle said."""
    line, _ = curve()
    line.note(Ms(5), Decimal(1), Decimal(1))
    line.note(Ms(5), Decimal(2), Decimal(1))
    assert [p.equity for p in await line.points(Ms(0), Ms(9), 10)] == [2]


async def test_memory_is_bounded() -> None:
    """The oldest points go; the store has the past by the heartbeat."""
    line, _ = curve()
    for at in range(KEPT + 5):
        line.note(Ms(at), Decimal(1), Decimal(1))
    assert len(await line.points(Ms(0), Ms(KEPT + 5), KEPT * 2)) == KEPT


@pytest.mark.parametrize("limit", [10, 11, 100])
def test_a_thinned_curve_keeps_its_extremes_and_its_end(limit: int) -> None:
    """The deepest point of a drawdown is never lost, the order stays, the bound holds."""
    points = [point(at, 1000 + at % 7) for at in range(1_000)]
    points[417] = point(417, 1)
    points[701] = point(701, 5_000)
    found = thinned(points, limit)
    assert len(found) <= limit
    assert found == sorted(found)
    assert points[417] in found and points[701] in found
    assert found[-1] == points[-1]


def test_a_short_curve_is_left_alone() -> None:
    """Nothing is thinned that fits."""
    points = [point(at, 1) for at in range(10)]
    assert thinned(points, 10) == points

"""How long breakers held within a window."""

from __future__ import annotations

from decimal import Decimal

from bot.domain.breakers import ENTRIES_STOPPED, BreakerEvent
from bot.domain.types import Ms
from bot.research.reports.held import held

MINUTE = 60_000


def event(code: str, at: int, cleared: int | None) -> BreakerEvent:
    cleared_at = None if cleared is None else Ms(cleared * MINUTE)
    one = Decimal(1)
    return BreakerEvent(Ms(at * MINUTE), code, one, one, ENTRIES_STOPPED, cleared_at)


def test_minutes_are_those_within_the_window() -> None:
    """What opened before counts from its start, what holds counts to its end."""
    events = [event("data", 1, 12), event("data", 20, 25), event("drawdown", 30, None)]
    assert held(events, 10 * MINUTE, 100 * MINUTE) == [
        {"breaker": "drawdown", "openings": 1, "minutes": 70.0, "holds": True},
        {"breaker": "data", "openings": 1, "minutes": 7.0, "holds": False},
    ]
    assert held([], 0, 1) == []

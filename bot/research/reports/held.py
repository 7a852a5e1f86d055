"""How often each breaker opened in a window, and how long it kept entries closed.

Owns the counting of `circuit_breaker_events`; knows neither who opened nor why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.breakers import BreakerEvent


def held(events: Sequence[BreakerEvent], since: int, until: int) -> list[Mapping[str, object]]:
    """By breaker, longest first: openings, minutes within [since, until], whether it holds.

    Times are ms of market time; an opening of before `since` counts only its minutes.
    """
    openings: dict[str, int] = {}
    closed_ms: dict[str, int] = {}
    holds: dict[str, bool] = {}
    for event in events:
        name = event.event_type
        end = until if event.cleared_at is None else min(event.cleared_at, until)
        openings[name] = openings.get(name, 0) + (event.at >= since)
        closed_ms[name] = closed_ms.get(name, 0) + max(0, end - max(event.at, since))
        holds[name] = holds.get(name, False) or event.cleared_at is None
    return [
        {
            "breaker": name,
            "openings": openings[name],
            "minutes": round(closed_ms[name] / 60_000, 1),
            "holds": holds[name],
        }
        for name in sorted(openings, key=lambda each: (-closed_ms[each], each))
    ]

"""What the API shows of the breakers: their figures, what they did, and how they count.

Owns the shape of /breakers and of the breakers' part of /metrics; opens and closes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.breakers import BreakerEvent, Gauge
from bot.domain.trading_state import STRICTNESS
from bot.pipeline.safety import Safety

SHOWN_EVENTS = 8  # on the page


def event_row(event: BreakerEvent) -> Mapping[str, object]:
    """One opening as the API shows it; `cleared_at` None while it holds."""
    return {
        "opened_at": event.at,
        "event_type": event.event_type,
        "trigger_value": event.trigger_value,
        "threshold_value": event.threshold_value,
        "action_taken": event.action_taken,
        "cleared_at": event.cleared_at,
    }


def recent(safety: Safety, limit: int = SHOWN_EVENTS) -> list[Mapping[str, object]]:
    """The last openings from memory, newest first."""
    return [event_row(event) for event in list(safety.events)[-limit:][::-1]]


def breaker_status(safety: Safety) -> Mapping[str, object]:
    """The breakers' part of /status."""
    return {
        "breakers": list(safety.open_now()),
        "breaker_gauges": list(safety.gauges()),
        "breaker_events": recent(safety),
        "clock_in_doubt": safety.doubts_clock_since is not None,
    }


def breakers_now(
    safety: Safety, history: Sequence[BreakerEvent] | None = None
) -> Mapping[str, object]:
    """Body of /breakers; `history` newest first, from memory where it cannot be read."""
    rows = recent(safety, 50) if history is None else [event_row(each) for each in history]
    return {
        "trading_state": safety.state,
        "trading_state_why": safety.why,
        "clock_in_doubt": safety.doubts_clock_since is not None,
        "breakers": list(safety.gauges()),
        "history": rows,
        "stale": history is None,
    }


def breaker_metrics(safety: Safety) -> Mapping[str, object]:
    """For /metrics: which hold, and how much of each limit is used."""
    return {
        "breakers_open": len(safety.open_now()),
        "total_breaker_openings": safety.openings,
        "breaker_open": {gauge.code.value: gauge.holds for gauge in safety.gauges()},
        "breaker_used": {gauge.code.value: used(gauge) for gauge in safety.gauges()},
        "trading_state_strictness": STRICTNESS[safety.state],
    }


def used(gauge: Gauge) -> float | None:
    """Part of the limit that is used; None while nothing is measured."""
    return None if gauge.value is None else round(gauge.value / gauge.limit, 4)

"""The breakers as figures: what each measures now, against which limit, and whether it holds.

Owns what the risk gate, /breakers, the page and /metrics show alike; opens and closes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.breakers.book import BreakerBook, BreakerCode, BreakerLimits, holding
from bot.domain.breakers.measures import Readings, day_loss, drawdown
from bot.domain.types import Ms


@dataclass(frozen=True, slots=True)
class Gauge:
    """One breaker: `value` of now against `limit` in `unit`.

    `since_at`, `until_at`, `opened_by` only while it holds; `lifted_by` says what closes it.
    """

    code: BreakerCode
    value: float | None
    limit: float
    unit: str
    holds: bool = False
    since_at: Ms | None = None
    until_at: Ms | None = None
    opened_by: float | None = None
    lifted_by: str = ""


def gauges(book: BreakerBook, seen: Readings, limits: BreakerLimits) -> tuple[Gauge, ...]:
    """All six, in the order of their codes' declaration."""
    found: Mapping[BreakerCode, tuple[float | None, float, str]] = {
        BreakerCode.DAILY_LOSS: (float(day_loss(book)), limits.daily_loss_frac, "fraction"),
        BreakerCode.DRAWDOWN: (float(drawdown(book)), limits.drawdown_frac, "fraction"),
        BreakerCode.LOSSES_IN_ROW: (
            float(book.losses_in_row),
            float(limits.losses_in_row),
            "trades",
        ),
        BreakerCode.VOLATILITY: (seen.volatility_x, limits.volatility_x, "x median"),
        BreakerCode.DATA: (seen.stale_share, limits.stale_share, "fraction"),
        BreakerCode.API_ERRORS: (float(seen.api_errors), float(limits.api_errors), "errors"),
    }
    return tuple(_gauge(book, code, *figures) for code, figures in found.items())


def _gauge(
    book: BreakerBook, code: BreakerCode, value: float | None, limit: float, unit: str
) -> Gauge:
    held = holding(book, code)
    if held is None:
        return Gauge(code, value, limit, unit)
    lifted_by = "time" if held.until is not None else "calm" if held.calm_s is not None else "hand"
    opened_by = float(held.value)
    return Gauge(code, value, limit, unit, True, held.since, held.until, opened_by, lifted_by)

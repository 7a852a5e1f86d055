"""Trading breakers: daily loss, drawdown, losses in a row, volatility, data, API errors.

They stop entries, never exits. Knows no clock and no database: a book and an observation give
a new book and its events.
"""

from bot.domain.breakers.book import (
    DAY_MS,
    ENTRIES_RESUMED,
    ENTRIES_STOPPED,
    BreakerBook,
    BreakerCode,
    BreakerEvent,
    BreakerLimits,
    Observed,
    OpenBreaker,
    calm,
    holding,
    open_breakers,
    reset,
    sweep,
    trip,
)
from bot.domain.breakers.gauges import Gauge, gauges
from bot.domain.breakers.measures import (
    Readings,
    begun,
    day_loss,
    drawdown,
    observe_equity,
    observe_trade,
    observe_world,
    transferred,
)
from bot.domain.breakers.stored import book_from_mapping, book_to_mapping
from bot.domain.breakers.trusted import JUMP_S, TrustedTime

__all__ = [
    "DAY_MS",
    "ENTRIES_RESUMED",
    "ENTRIES_STOPPED",
    "JUMP_S",
    "BreakerBook",
    "BreakerCode",
    "BreakerEvent",
    "BreakerLimits",
    "Gauge",
    "Observed",
    "OpenBreaker",
    "Readings",
    "TrustedTime",
    "begun",
    "book_from_mapping",
    "book_to_mapping",
    "calm",
    "day_loss",
    "drawdown",
    "gauges",
    "holding",
    "observe_equity",
    "observe_trade",
    "observe_world",
    "open_breakers",
    "reset",
    "sweep",
    "transferred",
    "trip",
]

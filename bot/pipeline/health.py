"""What the risk gate asks about the world: fresh data, a healthy venue, clocks that agree.

Owns the periodic measurements; judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bot.domain.errors import AmbiguousOutcome, TransientError
from bot.domain.risk import RiskFacts
from bot.domain.types import Ms, Symbol, Timeframe
from bot.ports import Clock, Feed, Venue

log = structlog.get_logger(__name__)


class Health:
    """Gathers `RiskFacts` at the moment the desk looks."""

    def __init__(
        self,
        feed: Feed,
        venue: Venue,
        clock: Clock,
        timeframe: Timeframe,
        backlog: Callable[[], int],
        speed: float | None,
    ) -> None:
        """`speed`: market seconds in one of the venue's; None: clocks are one, nothing to check."""
        self._feed = feed
        self._venue = venue
        self._clock = clock
        self._timeframe = timeframe
        self._backlog = backlog
        self._speed = speed
        self.skew_ms: int | None = None

    def facts(self, symbol: Symbol, last_close: Ms) -> RiskFacts | None:
        """The world as it is now; None without any price."""
        market = self._feed.market(symbol)
        if market is None:
            return None
        now = self._clock.now()
        return RiskFacts(
            now=now,
            market=market,
            mark_confirmed_age_s=round(self._feed.confirmed_age_s(symbol), 3),
            bar_age_ms=now - last_close,
            bar_length_ms=self._timeframe.ms,
            venue_healthy=self._venue.healthy(),
            clock_skew_ms=self.skew_ms,
            trace_backlog=self._backlog(),
        )

    async def measure(self) -> None:
        """Compare clocks with the venue, in machine ms; no answer keeps the last value."""
        if self._speed is None:
            return
        try:
            self.skew_ms = round(await self._venue.clock_skew_ms() / self._speed)
        except (TransientError, AmbiguousOutcome) as error:
            log.warning("clock_skew_not_measured", error=str(error))

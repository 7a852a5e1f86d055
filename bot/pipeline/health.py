"""What the risk gate asks about the world: fresh data, a healthy venue, clocks that agree.

Owns the periodic measurements; judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.risk import RiskFacts
from bot.domain.types import Ms, Symbol, Timeframe
from bot.ports import Clock, Feed, Venue

log = structlog.get_logger(__name__)

AGREE_MS = 1_000  # spec 05: within it clocks are one, and the rest is the way of the answer
STEP_MS = 1_000  # our wall clock moved by more than time did: it was set while we asked


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
        volatility: Callable[[Symbol], float | None] = lambda _: None,
    ) -> None:
        """`speed`: market seconds in one of the venue's; None: clocks are one, nothing to check.

        `volatility`: a symbol's 1h ATR % over its median.
        """
        self._feed = feed
        self._venue = venue
        self._clock = clock
        self._timeframe = timeframe
        self._backlog = backlog
        self._speed = speed
        self._volatility = volatility
        self.skew_ms: int | None = None
        self.in_step = True  # the books were compared with the venue not long ago
        self.measured_at: float | None = None  # machine time of the last answer
        self.clock_known = True  # the venue told its time not long ago
        self._venue_wall: int | None = None  # signing time at the venue, of the last answer
        self._venue_at: tuple[Ms, float] | None = None  # market time there, at that machine time

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
            venue_healthy=self._venue.healthy() and self.in_step,
            clock_skew_ms=self.skew_ms,
            trace_backlog=self._backlog(),
            volatility_x=self._volatility(symbol),
            clock_known=self.clock_known,
        )

    async def measure(self) -> None:
        """Compare clocks with the venue, in machine ms; no answer keeps the last value."""
        if self._speed is None:
            return
        try:
            now, asked_at, wall = self._clock.now(), self._clock.monotonic(), self._clock.wall()
            ahead_ms = await self._venue.clock_skew_ms()
            self.skew_ms = round(ahead_ms / self._speed)
            self.measured_at = asked_at
        except (TransientError, VenueRejected, AmbiguousOutcome) as error:
            log.warning("clock_skew_not_measured", error=str(error))
            return
        lasted_ms = (self._clock.monotonic() - asked_at) * 1000
        stepped = abs(self._clock.wall() - wall - lasted_ms) > STEP_MS
        # Before half the round trip, so at most what the venue's clock said.
        self._venue_wall = None if stepped else wall + self.skew_ms
        if not stepped:
            apart_ms = ahead_ms if abs(self.skew_ms) > AGREE_MS else 0
            self._venue_at = Ms(now + apart_ms), asked_at

    def judge_clock(self, late_s: float) -> None:
        """Say whether the last measure still counts: at most `late_s` machine seconds old."""
        at, now = self.measured_at, self._clock.monotonic()
        known = self._speed is None or (at is not None and now - at <= late_s)
        if self.clock_known and not known:
            log.error("clock_not_known", action="no entries until the venue tells its time")
        self.clock_known = known

    @property
    def compares_clocks(self) -> bool:
        """False in lockstep: there both clocks are one."""
        return self._speed is not None

    def venue_now(self) -> Ms | None:
        """Market time by the venue's clock; None: it has not told it in this life.

        From its last answer on at the pace of machine time, so that nothing becomes of it when
        our own clock is set. In lockstep both clocks are one.
        """
        if self._speed is None:
            return self._clock.now()
        if self._venue_at is None:
            return None
        told, at = self._venue_at
        return Ms(told + int((self._clock.monotonic() - at) * 1000 * self._speed))

    @property
    def venue_ahead_ms(self) -> int:
        """The venue's clock less ours, as last measured; 0 before."""
        return self.skew_ms or 0

    def venue_wall(self, since: float) -> int | None:
        """Signing time by the venue's clock, asked after machine time `since`; None: not known.

        In lockstep the venue is on this machine, and its clock is ours.
        """
        if self._speed is None:
            return self._clock.wall()
        fresh = self.measured_at is not None and self.measured_at >= since
        return self._venue_wall if fresh else None

    def clocks_agree(self, since: float, limit_ms: int) -> bool:
        """Whether the venue, asked after machine time `since`, had our time within the limit."""
        if self._speed is None:
            return True
        if self.measured_at is None or self.skew_ms is None or self.measured_at < since:
            return False
        return abs(self.skew_ms) <= limit_ms

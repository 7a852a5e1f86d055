"""The lookout: how feed, venue, market and clock behave, told to the breakers once a second.

Owns the readings and their cadence; opens and closes nothing itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from bot.domain.breakers import Readings
from bot.domain.types import Symbol
from bot.pipeline.health import Health
from bot.pipeline.policies import Policies
from bot.pipeline.safety import Safety
from bot.pipeline.transfers import Transfers
from bot.pipeline.turbulence import Turbulence
from bot.ports import Clock, Feed

KEPT_ERRORS = 1_000  # more in one window say no more than this many


class Lookout:
    """Looks every `every_s`, and at once when a request failed once too often."""

    def __init__(
        self,
        *,
        clock: Clock,
        feed: Feed,
        safety: Safety,
        health: Health,
        turbulence: Turbulence,
        transfers: Transfers,
        policies: Policies,
        symbols: Callable[[], Sequence[Symbol]],
        every_s: float = 1.0,
        transfers_s: float = 120.0,
    ) -> None:
        """`symbols` are those watched; `_s` machine seconds."""
        self._clock = clock
        self._feed = feed
        self._safety = safety
        self._health = health
        self._turbulence = turbulence
        self._transfers = transfers
        self._policies = policies
        self._symbols = symbols
        self._every_s = every_s
        self._transfers_s = transfers_s
        self._asked_at: float | None = None
        self._errors: deque[float] = deque(maxlen=KEPT_ERRORS)

    async def run(self) -> None:
        """Service: look until cancelled."""
        while True:
            with self._clock.busy():
                await self.step()
            await self._clock.pause(self._every_s)

    async def step(self) -> None:
        """One look, and the question for transfers when it is due."""
        self.look()
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._transfers_s:
            self._asked_at = now
            await self._transfers.step()

    def look(self) -> None:
        """Tell the breakers what is there now."""
        doubted_from = self._safety.doubts_clock_since
        limit_ms = self._policies.limits.max_clock_skew_ms
        if doubted_from is not None and self._health.clocks_agree(doubted_from, limit_ms):
            self._safety.clock_agreed()
        symbols = self._symbols()
        self._safety.world(
            Readings(
                stale_share=self._stale_share(symbols),
                api_errors=self._recent_errors(),
                volatility_x=self._turbulence.middle(symbols),
            )
        )

    def request_failed(self) -> None:
        """Note one failed request; the one too many is not left until the next look."""
        self._errors.append(self._clock.monotonic())
        if self._recent_errors() >= self._policies.breakers.api_errors:
            self.look()

    def _recent_errors(self) -> int:
        since = self._clock.monotonic() - self._policies.breakers.api_window_s
        while self._errors and self._errors[0] <= since:
            self._errors.popleft()
        return len(self._errors)

    def _stale_share(self, symbols: Sequence[Symbol]) -> float:
        """Of the symbols that ever had a price; a new one is not stale before its first."""
        known = [symbol for symbol in symbols if self._feed.market(symbol) is not None]
        limit = self._policies.limits.max_mark_age_s
        stale = sum(not self._feed.confirmed_age_s(symbol) <= limit for symbol in known)
        return round(stale / len(known), 4) if known else 0.0

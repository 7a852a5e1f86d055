"""Owns the rate limit of one peer: a bucket of requests that fills with time.

Refuses to know the peer; who calls it asks how long to wait, and tells when the peer complained.
"""

from __future__ import annotations

from collections.abc import Callable

MINUTE_S = 60.0


class RateLimit:
    """`per_minute` requests, `burst` of them at once. Times are machine seconds."""

    def __init__(self, per_minute: float, burst: int, monotonic: Callable[[], float]) -> None:
        if per_minute <= 0 or burst < 1:
            raise ValueError(f"rate limit: {per_minute} a minute, burst {burst}: both must be > 0")
        self._rate = per_minute / MINUTE_S
        self._burst = float(burst)
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._at = monotonic()
        self._blocked_until = 0.0

    def take(self) -> float:
        """Take a place in the line; the seconds to wait until it is one's turn."""
        self._fill()
        self._tokens -= 1
        turn_s = max(0.0, -self._tokens / self._rate)
        return max(turn_s, self._blocked_until - self._monotonic(), 0.0)

    def wait_s(self) -> float:
        """How long `take` would have one wait now; takes nothing."""
        self._fill()
        turn_s = max(0.0, (1 - self._tokens) / self._rate)
        return max(turn_s, self._blocked_until - self._monotonic(), 0.0)

    def block(self, seconds: float) -> None:
        """The peer asked for a pause: nobody is let through before it is over."""
        self._blocked_until = max(self._blocked_until, self._monotonic() + seconds)

    def _fill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now

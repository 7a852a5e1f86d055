"""How much one client address may ask: weight, connections, messages; all by the minute.

Owns the windows, in market time; knows no request. Source: facts 5.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_MS = 60_000
WEIGHT_LIMIT = 1_200  # a minute, HTTP and posts together
MOST_CONNECTIONS = 10  # WebSockets at a time (older docs: 100)
NEW_CONNECTIONS = 30  # a minute
MOST_MESSAGES = 2_000  # a minute, over all its WebSockets
MOST_PENDING = 100  # posts under way, of one WebSocket


class RateWindow:
    """Weight spent in the last minute of market time."""

    def __init__(self, limit: int = WEIGHT_LIMIT) -> None:
        self._limit = limit
        self._spent: deque[tuple[int, int]] = deque()
        self._sum = 0

    def admits(self, now: int, weight: int) -> bool:
        """Whether a request of this weight may pass; counts it if so."""
        while self._spent and self._spent[0][0] <= now - WINDOW_MS:
            self._sum -= self._spent.popleft()[1]
        if self._sum + weight > self._limit:
            return False
        self.charge(now, weight)
        return True

    def charge(self, now: int, weight: int) -> None:
        """Count weight that is known only with the answer."""
        if weight:
            self._spent.append((now, weight))
            self._sum += weight


@dataclass(slots=True)
class _Source:
    """The windows of one client address."""

    weight: RateWindow = field(default_factory=RateWindow)
    opened: RateWindow = field(default_factory=lambda: RateWindow(NEW_CONNECTIONS))
    messages: RateWindow = field(default_factory=lambda: RateWindow(MOST_MESSAGES))
    connections: int = 0


class Limits:
    """The windows of all client addresses; without limits everything passes."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._sources: dict[str, _Source] = {}

    def admits(self, source: str, now: int, weight: int) -> bool:
        """Whether a request of this weight may pass."""
        return not self._enabled or self._of(source).weight.admits(now, weight)

    def charge(self, source: str, now: int, weight: int) -> None:
        """Count weight that the answer has shown."""
        if self._enabled:
            self._of(source).weight.charge(now, weight)

    def connects(self, source: str, now: int) -> bool:
        """Whether one more WebSocket may open; it counts until `disconnects`."""
        known = self._of(source)
        if self._enabled and known.connections >= MOST_CONNECTIONS:
            return False
        if self._enabled and not known.opened.admits(now, 1):
            return False
        known.connections += 1
        return True

    def disconnects(self, source: str) -> None:
        """A WebSocket is gone."""
        self._of(source).connections -= 1

    def hears(self, source: str, now: int) -> bool:
        """Whether one more message over a WebSocket is heard."""
        return not self._enabled or self._of(source).messages.admits(now, 1)

    def queues(self, pending: int) -> bool:
        """Whether one more post may be under way beside so many."""
        return not self._enabled or pending < MOST_PENDING

    def _of(self, source: str) -> _Source:
        return self._sources.setdefault(source, _Source())

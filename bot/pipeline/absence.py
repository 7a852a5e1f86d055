"""When "the venue does not know this order" proves that it never was and never will be.

Owns that judgement alone: by the venue's own clock, and by machine time. Ours may have been set
wrong when the order was signed, and then says nothing of how long it lives at the venue.
"""

from __future__ import annotations

from bot.domain.types import Order
from bot.pipeline.health import Health
from bot.pipeline.shelf import OrderShelf
from bot.ports import Clock

MARGIN_MS = 5_000  # spec 05: absence is proved 5 s after expiresAfter


class Absence:
    """Judges orders of one shelf; those of an earlier life count from this one's beginning."""

    def __init__(self, clock: Clock, health: Health, shelf: OrderShelf, life_ms: int) -> None:
        """`life_ms`: of an order, from its signing."""
        self._clock = clock
        self._health = health
        self._shelf = shelf
        self._life_s = (life_ms + MARGIN_MS) / 1000
        self._began = clock.monotonic()

    def proved(self, order: Order, asked_from: float) -> bool:
        """Whether an order that the venue does not know can no longer arrive.

        `asked_from`: machine time; an older answer about the venue's clock does not count.
        """
        venue = self._health.venue_wall(asked_from)
        if venue is None or venue <= (order.expires_at or 0) + MARGIN_MS:
            return False
        return self._machine_left_s(order) <= 0

    def left_s(self, order: Order) -> float:
        """Machine seconds until it can be proved, as far as is known now; never negative."""
        venue = self._clock.wall() + self._health.venue_ahead_ms
        by_venue = ((order.expires_at or 0) + MARGIN_MS - venue) / 1000
        return max(by_venue, self._machine_left_s(order), 0.0)

    def _machine_left_s(self, order: Order) -> float:
        since = self._shelf.stamped.get(order.cloid, self._began)
        return since + self._life_s - self._clock.monotonic()

"""The orders of ours that are remembered, found by either of their ids.

Owns which are kept and for how long; knows no position and writes no row.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from bot.domain.types import Cloid, Leg, Order, OrderStatus, Symbol, TraceId

RECENT_ORDERS = 2_000  # as many as the venue itself remembers (hyperliquid.md 1.3)


class OrderShelf:
    """Orders by client id, oldest first; those that still live are never forgotten."""

    def __init__(self) -> None:
        self.orders: OrderedDict[Cloid, Order] = OrderedDict()
        self.first_attempt = 0  # of this life: rows of an earlier one may have died with it
        self.stamped: dict[Cloid, float] = {}  # machine s of the last moment it was still unsigned
        self._by_venue_id: dict[int, Cloid] = {}

    def order_by(self, cloid: Cloid | None, venue_id: int | None) -> Order | None:
        """Find an order by either of its ids."""
        if cloid is not None and cloid in self.orders:
            return self.orders[cloid]
        if venue_id is not None and venue_id in self._by_venue_id:
            return self.orders.get(self._by_venue_id[venue_id])
        return None

    def open_orders(self, symbol: Symbol | None = None) -> tuple[Order, ...]:
        """Orders of ours in no terminal state, oldest first."""
        return tuple(
            order
            for order in self.orders.values()
            if not order.status.terminal and symbol in (None, order.symbol)
        )

    def of_another(self, cloid: Cloid | None, trace_id: TraceId) -> bool:
        """Whether this is an order that we know, of another trade than `trace_id`'s."""
        order = self.orders.get(cloid) if cloid is not None else None
        return order is not None and order.trace_id != trace_id

    def resting_stops(self, symbol: Symbol, trace_id: TraceId | None = None) -> tuple[Order, ...]:
        """Stops that the venue itself showed resting (it named them), oldest first.

        `trace_id`: of this trade alone.
        """
        return tuple(
            order
            for order in self.open_orders(symbol)
            if order.leg is Leg.STOP
            and order.status is OrderStatus.OPEN
            and order.venue_id is not None
            and trace_id in (None, order.trace_id)
        )

    def resting_exits(self, symbol: Symbol) -> tuple[Order, ...]:
        """Exits that wait in the book, oldest first; usually an exit does not."""
        resting = (OrderStatus.OPEN, OrderStatus.PARTIAL)
        return tuple(o for o in self.legs(symbol, Leg.EXIT) if o.status in resting)

    def legs(self, symbol: Symbol, leg: Leg) -> tuple[Order, ...]:
        """Orders of this kind that are on their way or rest, oldest first."""
        return tuple(order for order in self.open_orders(symbol) if order.leg is leg)

    def next_attempt(self, trace_id: TraceId, leg: Leg) -> int:
        """The next free number for an order of this trace and leg."""
        used = [
            order.attempt
            for order in self.orders.values()
            if order.trace_id == trace_id and order.leg is leg
        ]
        return max([self.first_attempt - 1, *used]) + 1

    def forget_stamps(self, orders: Iterable[Order]) -> None:
        """Forget when these could have been signed: they never will be."""
        for order in orders:
            self.stamped.pop(order.cloid, None)

    def _keep(self, order: Order) -> None:
        self.orders[order.cloid] = order
        if order.venue_id is not None:
            self._by_venue_id[order.venue_id] = order.cloid
        while len(self.orders) > RECENT_ORDERS:
            oldest = next(iter(self.orders.values()))
            if not oldest.status.terminal:
                break
            del self.orders[oldest.cloid]
            self.stamped.pop(oldest.cloid, None)
            self._by_venue_id.pop(oldest.venue_id or -1, None)

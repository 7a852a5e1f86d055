"""The account's events: fills, funding and order changes, each once, none lost in a gap.

Owns the queue behind `Venue.events`; knows no socket and no road.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from bot.adapters.venues.hyperliquid.parse_account import (
    fill,
    fill_order,
    funding,
    order_event,
)
from bot.adapters.venues.hyperliquid.parse_market import is_perpetual
from bot.adapters.venues.hyperliquid.shapes import Row, rows_of
from bot.adapters.venues.hyperliquid.stream import Stream
from bot.domain.errors import TransientError
from bot.domain.types import Fill, Funding, Ms, OrderUpdate, Reconnected, Symbol, VenueEvent
from bot.ports import Clock

log = structlog.get_logger(__name__)

OVERLAP_MS = 60_000  # asked again before the last seen event: channels are not in step (facts 9)
_REMEMBERED = 20_000  # ids; ten snapshots of 2,000 fills
_RETRY_S = 2.0

Since = Callable[[Ms], Awaitable[tuple[Fill, ...]]]
FundingSince = Callable[[Ms], Awaitable[tuple[Funding, ...]]]
_Key = tuple[str, Symbol, Ms, int]


class AccountStream:
    """Turns the user channels into events, without duplicates, through a bounded queue.

    A full queue drops nothing: the connection is given up, and what was not delivered is
    asked for by REST once there is room.
    """

    def __init__(self, stream: Stream, clock: Clock, account: str, limit: int) -> None:
        self._stream = stream
        self._clock = clock
        self._account = account
        self._queue: asyncio.Queue[VenueEvent] = asyncio.Queue(limit)
        self._seen: OrderedDict[_Key, None] = OrderedDict()
        self._began = clock.now()  # what is older was there before us: start-up asks for it
        self._fills_from = self._began
        self._funding_from = self._began
        self._said_full = False
        self._fills_since: Since | None = None
        self._funding_since: FundingSince | None = None
        self.fills_delivered = 0
        stream.handle("userFills", self._on_fills)
        stream.handle("userFundings", self._on_fundings)
        stream.handle("orderUpdates", self._on_orders)
        stream.before_connect(self._until_there_is_room)
        stream.on_up(self._after_connect)
        for kind in ("orderUpdates", "userFills", "userFundings"):
            stream.subscribe({"type": kind, "user": account})

    def ask_with(self, fills_since: Since, funding_since: FundingSince) -> None:
        """Name the questions by which a gap is filled."""
        self._fills_since = fills_since
        self._funding_since = funding_since

    async def events(self) -> AsyncIterator[VenueEvent]:
        """All events, oldest first; never ends."""
        while True:
            yield await self._queue.get()

    def _on_fills(self, data: object) -> None:
        row = Row.of("userFills", data)
        snapshot = row.flag("isSnapshot")
        found = [
            fill(each, self._account)
            for each in row.rows("fills")
            if is_perpetual(each.text("coin"))
        ]
        for each in sorted(found, key=fill_order):
            # A snapshot reaches back 2,000 fills; what is older than our overlap is history.
            if not snapshot or each.at >= self._overlapping(self._fills_from):
                self._fill(each)

    def _on_fundings(self, data: object) -> None:
        row = Row.of("userFundings", data)
        snapshot = row.flag("isSnapshot")
        for each in row.rows("fundings"):
            if not is_perpetual(each.text("coin")):
                continue
            payment = funding(each, Ms(each.integer("time")))
            if not snapshot or payment.at >= self._overlapping(self._funding_from):
                self._funding(payment)

    def _on_orders(self, data: object) -> None:
        for row in rows_of("orderUpdates", data):
            if is_perpetual(row.row("order").text("coin")):
                self._deliver(OrderUpdate(order_event(row)))

    def _fill(self, each: Fill) -> None:
        if self._is_new(("fill", each.symbol, each.at, each.fill_id), each):
            self.fills_delivered += 1
            self._fills_from = max(self._fills_from, each.at)

    def _funding(self, each: Funding) -> None:
        if self._is_new(("funding", each.symbol, each.at, 0), each):
            self._funding_from = max(self._funding_from, each.at)

    def _is_new(self, key: _Key, event: VenueEvent) -> bool:
        """Deliver `event` unless it was delivered before; whether it was."""
        if key in self._seen or not self._deliver(event):
            return False
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def _deliver(self, event: VenueEvent) -> bool:
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            if not self._said_full:
                self._said_full = True
                log.error("event_queue_full", size=self._queue.maxsize, advice="resync follows")
            self._stream.lose("event queue full")
            return False
        return True

    def _overlapping(self, last_seen: Ms) -> Ms:
        return max(self._began, Ms(last_seen - OVERLAP_MS))

    async def _until_there_is_room(self) -> None:
        while self._queue.full():
            await self._clock.pause(0.1)

    async def _after_connect(self, gap: bool, gap_s: float) -> None:
        if not gap:
            return
        self._said_full = False
        self._deliver(Reconnected(self._clock.now(), gap_s))
        while True:
            try:
                await self._fill_gap()
                return
            except TransientError as error:
                log.warning("gap_not_filled_yet", error=str(error), retry_s=_RETRY_S)
                await self._clock.pause(_RETRY_S)

    async def _fill_gap(self) -> None:
        if self._fills_since is None or self._funding_since is None:
            return
        fills = await self._fills_since(self._overlapping(self._fills_from))
        payments = await self._funding_since(self._overlapping(self._funding_from))
        for each in fills:
            self._fill(each)
        for payment in payments:
            self._funding(payment)

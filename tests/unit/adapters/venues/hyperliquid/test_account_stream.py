"""The account's events: each once, none lost, through a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bot.adapters.venues.hyperliquid import Hyperliquid, connect
from bot.domain.types import (
    Fill,
    Funding,
    Ms,
    OrderStatus,
    OrderUpdate,
    Reconnected,
    VenueEvent,
)
from bot.runtime.clock import SystemClock
from tests.unit.adapters.venues.hyperliquid.fake_venue import (
    FakeVenue,
    a_fill,
    funding_row,
    options,
    running,
    serving,
)
from tests.until import until

NOW = 1_700_000_000_000
ORDER: dict[str, Any] = {
    "coin": "BTC",
    "side": "B",
    "limitPx": "100.0",
    "sz": "0.5",
    "oid": 77,
    "timestamp": NOW,
    "origSz": "0.5",
    "cloid": "0x" + "a" * 32,
}


class StandingClock(SystemClock):
    """Real pauses; market time stands still."""

    def now(self) -> Ms:
        return Ms(NOW)


@asynccontextmanager
async def listening(
    venue: FakeVenue, **changes: Any
) -> AsyncIterator[tuple[Hyperliquid, list[VenueEvent]]]:
    async with running(venue):
        hyperliquid = connect(options(venue.url, **changes), StandingClock())
        events: list[VenueEvent] = []

        async def listen() -> None:
            async for event in hyperliquid.venue.events():
                events.append(event)

        async with serving(hyperliquid.run), serving(listen):
            await until(lambda: venue.subscribed and len(venue.subscribed[0]) == 3)
            yield hyperliquid, events
        await hyperliquid.close()


def of(events: list[VenueEvent], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


async def taken(hyperliquid: Hyperliquid, fills: int) -> list[VenueEvent]:
    """Read events until so many fills came."""
    events: list[VenueEvent] = []
    stream = hyperliquid.venue.events()
    async with asyncio.timeout(5):
        while len(of(events, Fill)) < fills:
            events.append(await anext(stream))
    return events


def user_fills(*fills: dict[str, Any], snapshot: bool = False) -> dict[str, Any]:
    return {"user": "0x", "fills": list(fills)} | ({"isSnapshot": True} if snapshot else {})


def asking_returns(rows: list[dict[str, Any]]) -> Callable[[dict[str, Any]], Any]:
    return lambda body: [row for row in rows if row["time"] >= body["startTime"]]


async def test_a_snapshot_is_no_news() -> None:
    """The first message holds the past: only what happened since we listen is delivered."""
    venue = FakeVenue()
    async with listening(venue) as (_, events):
        old, new = a_fill(1, NOW - 1), a_fill(2, NOW + 1)
        await venue.tell("userFills", user_fills(new, old, snapshot=True))
        await venue.tell("userFills", user_fills(a_fill(3, NOW + 2), new))
        await until(lambda: len(events) == 2)
    assert [fill.fill_id for fill in of(events, Fill)] == [2, 3]


async def test_funding_and_order_changes_are_events() -> None:
    """Both arrive as domain values."""
    venue = FakeVenue()
    async with listening(venue) as (_, events):
        row = {"time": NOW + 5, "coin": "BTC", "usdc": "-1.5", "szi": "2", "fundingRate": "0.1"}
        await venue.tell("userFundings", {"user": "0x", "fundings": [row, row]})
        update = {"order": ORDER, "status": "canceled", "statusTimestamp": NOW + 6}
        await venue.tell("orderUpdates", [update])
        await until(lambda: len(events) == 2)
    funding, order = events
    assert isinstance(funding, Funding) and funding.usd == -1.5
    assert isinstance(order, OrderUpdate)
    assert (order.order.status, order.order.venue_id) == (OrderStatus.CANCELLED, 77)


async def test_after_a_gap_what_was_missed_is_delivered_once() -> None:
    """Reconnected first; then fills and funding since the last seen, without duplicates."""
    venue = FakeVenue()
    seen, missed = a_fill(1, NOW + 10), a_fill(2, NOW + 20)
    venue.info["userFillsByTime"] = asking_returns([seen, missed])
    venue.info["userFunding"] = asking_returns([funding_row(NOW + 15)])
    async with listening(venue) as (_, events):
        await venue.tell("userFills", user_fills(seen))
        await until(lambda: len(events) == 1)
        await venue.cut()
        await until(lambda: len(events) == 4)
        await venue.tell("userFills", user_fills(missed, a_fill(3, NOW + 30), snapshot=True))
        await until(lambda: len(events) == 5)
    assert isinstance(events[1], Reconnected)
    assert [fill.fill_id for fill in of(events, Fill)] == [1, 2, 3]
    assert len(of(events, Funding)) == 1
    asked = [body for body in venue.requests if body["type"] == "userFillsByTime"]
    assert asked[0]["startTime"] == NOW  # an overlap, but nothing from before we listened


async def test_a_gap_that_cannot_be_filled_yet_is_filled_later() -> None:
    """A failing venue delays what was missed; it does not lose it."""
    venue = FakeVenue()
    failures = 0

    def answer(body: dict[str, Any]) -> Any:
        nonlocal failures
        failures += 1
        return "unreadable" if failures == 1 else [a_fill(2, NOW + 20)]

    venue.info["userFillsByTime"] = answer
    async with listening(venue) as (_, events):
        await venue.cut()
        await until(lambda: of(events, Fill), limit_s=5)
    assert [fill.fill_id for fill in of(events, Fill)] == [2]


async def test_a_full_queue_drops_nothing() -> None:
    """The connection is given up; with room again, everything is asked for and delivered."""
    venue = FakeVenue()
    fills = [a_fill(n, NOW + n) for n in range(1, 8)]
    venue.info["userFillsByTime"] = asking_returns(fills)
    async with running(venue):
        hyperliquid = connect(options(venue.url, event_queue=3), StandingClock())
        async with serving(hyperliquid.run):
            await until(lambda: venue.subscribed and len(venue.subscribed[0]) == 3)
            await venue.tell("userFills", user_fills(*fills))
            await until(lambda: not hyperliquid.stream.connected)
            await asyncio.sleep(0.15)
            assert hyperliquid.stream.connections == 1  # none before there is room
            delivered = await taken(hyperliquid, len(fills))
        await hyperliquid.close()
    assert [fill.fill_id for fill in of(delivered, Fill)] == [1, 2, 3, 4, 5, 6, 7]
    assert of(delivered, Reconnected)


async def test_spot_fills_are_no_events() -> None:
    """The account may trade elsewhere on the venue."""
    venue = FakeVenue()
    async with listening(venue) as (_, events):
        await venue.tell("userFills", user_fills(a_fill(1, NOW + 1, "@107"), a_fill(2, NOW + 2)))
        await until(lambda: events)
    assert [fill.fill_id for fill in of(events, Fill)] == [2]

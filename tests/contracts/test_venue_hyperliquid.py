"""The Hyperliquid adapter against the simulated exchange: two that share no wire code."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.venues.hyperliquid import (
    Hyperliquid,
    HyperliquidFeed,
    HyperliquidOptions,
    HyperliquidVenue,
    StreamTiming,
    connect,
    demo_key,
)
from bot.domain.errors import VenueRejected
from bot.domain.instrument import Instrument
from bot.domain.types import (
    Cleared,
    Cloid,
    ExitReason,
    Fill,
    Funding,
    Intent,
    Leg,
    LegAck,
    Market,
    Ms,
    OrderStatus,
    OrderUpdate,
    Reconnected,
    Side,
    Symbol,
    Timeframe,
    TraceId,
    VenueEvent,
)
from bot.runtime.clock import LockstepClock
from bot.simulator import SimulatedExchange, SimulatorOptions
from tests.until import until

ETH, BTC = Symbol("ETH"), Symbol("BTC")
EPOCH = Ms(1_767_225_600_000)  # 2026-01-01 00:00 UTC
MINUTE_S = 60.0


@dataclass
class World:
    """Adapter and simulator on one lockstep clock; `events` fills beside the test."""

    clock: LockstepClock
    exchange: SimulatedExchange
    hyperliquid: Hyperliquid
    events: list[VenueEvent] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def feed(self) -> HyperliquidFeed:
        return self.hyperliquid.feed

    @property
    def venue(self) -> HyperliquidVenue:
        return self.hyperliquid.venue

    def cloid(self) -> Cloid:
        return Cloid(f"0x4b45454c{next(self.numbers):024x}")

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def instrument(self) -> Instrument:
        return (await self.feed.instruments())[ETH]

    async def price(self) -> Market:
        await until(lambda: self.feed.market(ETH) is not None)
        found = self.feed.market(ETH)
        assert found is not None
        return found

    async def intent(self, leg: Leg = Leg.ENTRY, usd: int = 300, **changes: Any) -> Intent:
        """A wish of about `usd`, long, that reaches well through the book."""
        rules, market = await self.instrument(), await self.price()
        mark = Decimal(repr(market.mark))
        buys = leg is Leg.ENTRY
        factor, rounding = (Decimal("1.02"), ROUND_UP) if buys else (Decimal("0.98"), ROUND_DOWN)
        fields: dict[str, Any] = {
            "trace_id": TraceId("ETH-20260101T0000-1"),
            "symbol": ETH,
            "leg": leg,
            "side": Side.LONG,
            "quantity": rules.round_size(usd / mark),
            "limit": rules.round_price(mark * factor, rounding),
            "reference": mark,
            "attempt": 0,
            "cloid": self.cloid(),
        }
        if leg is Leg.ENTRY:
            fields |= {
                "stop": rules.round_price(mark * Decimal("0.9"), ROUND_DOWN),
                "target": rules.round_price(mark * Decimal("1.1"), ROUND_UP),
                "stop_cloid": self.cloid(),
                "target_cloid": self.cloid(),
            }
        elif leg is Leg.EXIT:
            fields["reason"] = ExitReason.MANUAL
        return Intent(**(fields | changes))

    async def send(self, intent: Intent) -> Sequence[LegAck]:
        acks: Sequence[LegAck] = await self.venue.submit(Cleared(intent, ()))
        return acks


@asynccontextmanager
async def playing(tmp_path: Path, **options: Any) -> AsyncIterator[World]:
    exchange = SimulatedExchange(
        SimulatorOptions(ledger=tmp_path / "simulator.db", seed=5, **options), EPOCH
    )
    clock = LockstepClock(exchange.start_at)
    port = await exchange.serve(clock, drain=True)
    hyperliquid = connect(
        HyperliquidOptions(
            base_url=f"http://127.0.0.1:{port}",
            private_key=demo_key(5),
            is_mainnet=False,
            max_actions_in_flight=1,
            stream=StreamTiming(backoff_first_s=0.25, backoff_max_s=1.0),
        ),
        clock,
    )
    world = World(clock, exchange, hyperliquid)

    async def listen() -> None:
        async for event in hyperliquid.venue.events():
            world.events.append(event)

    try:
        tasks = [asyncio.ensure_future(clock.run())]
        with clock.busy():  # time stands still but for our own pauses: a question asked again
            await hyperliquid.start()
            services = [hyperliquid.run(), exchange.run(), listen()]
            tasks += [asyncio.ensure_future(service) for service in services]
            await until(lambda: hyperliquid.stream.connected)
            await hyperliquid.feed.watch([ETH, BTC], [Timeframe.M1, Timeframe.M5])
        try:
            yield world
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await hyperliquid.close()
        await exchange.close()
    for result in results:
        if not isinstance(result, asyncio.CancelledError):
            raise result if isinstance(result, BaseException) else AssertionError("service ended")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with playing(tmp_path) as built:
        yield built


async def test_history_and_live_bars_are_the_venues(world: World) -> None:
    """Bars put together from history and frames equal what the venue says afterwards."""
    first = await world.feed.bars(ETH, Timeframe.M1, 100)
    assert len(first) == 100
    for _ in range(7):
        await world.clock.pause(MINUTE_S)
    fine = await world.feed.bars(ETH, Timeframe.M1, 100)
    coarse = await world.feed.bars(ETH, Timeframe.M5, 20)
    newest = world.clock.now() - 2000
    for timeframe, found in ((Timeframe.M1, fine), (Timeframe.M5, coarse)):
        assert newest - 2 * timeframe.ms < found.ts[-1] <= newest - timeframe.ms
        told = await world.feed._queries.candles(
            "ETH", timeframe, Ms(int(found.ts[0])), Ms(int(found.ts[-1]))
        )
        assert [row[0] for row in told] == found.ts.tolist()
        assert [row[4] for row in told] == found.close.tolist()
        assert [row[2] for row in told] == found.high.tolist()
    assert world.feed.corrections == 0


async def test_prices_are_current_while_the_stream_lives(world: World) -> None:
    """Mark, book and age; the top of the book for what is in focus."""
    market = await world.price()
    assert market.bid < market.ask
    assert world.feed.confirmed_age_s(ETH) == 0.0
    await world.feed.focus([ETH])
    await world.clock.pause(30)
    focused = await world.price()
    assert focused.bid < focused.mark < focused.ask
    assert set(await world.feed.markets()) >= {ETH, BTC}


async def test_an_entry_is_filled_and_its_stop_and_target_rest(world: World) -> None:
    """One action, three legs; each is found by its client id."""
    await world.venue.set_leverage(ETH, 3)
    wish = await world.intent()
    acks = await world.send(wish)
    assert [ack.status for ack in acks] == [
        OrderStatus.FILLED,
        OrderStatus.OPEN,
        OrderStatus.OPEN,
    ]
    account = await world.venue.account()
    position = account.positions[ETH]
    assert (position.signed_size, position.isolated, position.leverage) == (wish.quantity, True, 3)
    resting = {order.cloid: order for order in account.orders}
    assert set(resting) == {wish.stop_cloid, wish.target_cloid}
    stop = resting[wish.stop_cloid]
    assert (stop.is_stop, stop.reduce_only, stop.trigger) == (True, True, wish.stop)
    found = await world.venue.order_status(ETH, wish.cloid)
    assert found is not None and found.status is OrderStatus.FILLED
    await until(lambda: world.of(Fill))
    fills = await world.venue.fills_since(EPOCH)
    assert sum(fill.quantity for fill in fills) == wish.quantity
    assert tuple(world.of(Fill)) == fills
    assert {fill.cloid for fill in fills} == {wish.cloid}


@pytest.mark.parametrize("cross", [True, False])
async def test_an_entry_stands_on_its_own_leverage_whatever_a_person_set(
    world: World, cross: bool
) -> None:
    """Changed at the venue while nothing is open: no state of the account tells of it."""
    await world.venue.set_leverage(ETH, 3)
    asset = (await world.instrument()).asset_id
    by_hand = {"type": "updateLeverage", "asset": asset, "isCross": cross, "leverage": 20}
    await world.venue._actions.perform(by_hand)
    await world.venue.account()
    await world.venue.set_leverage(ETH, 3)
    await world.send(await world.intent())
    position = (await world.venue.account()).positions[ETH]
    assert (position.isolated, position.leverage) == (True, 3)


async def test_a_part_filled_entry_has_no_stop(world: World) -> None:
    """What does not fill at the best price is cancelled, and the children with it."""
    await world.feed.focus([ETH])
    await world.clock.pause(30)
    ask = Decimal(repr((await world.price()).ask))
    wish = await world.intent(usd=25_000, limit=ask)
    await world.venue.set_leverage(ETH, 5)
    with world.clock.busy():  # the price stands still until the answer is here
        acks = await world.send(wish)
    if acks[0].status is OrderStatus.REJECTED:
        pytest.fail(f"the entry should fill in part: {acks[0].error}")
    assert acks[0].status is OrderStatus.PARTIAL
    assert 0 < acks[0].filled < wish.quantity
    assert all(ack.status is not OrderStatus.FILLED for ack in acks[1:])
    account = await world.venue.account()
    assert account.positions[ETH].signed_size == acks[0].filled
    assert account.orders == ()


async def test_a_position_stop_follows_and_an_exit_takes_it_along(world: World) -> None:
    """`positionTpsl` rests beside the position; flat, nothing is left."""
    await world.venue.set_leverage(ETH, 3)
    entry = await world.intent()
    await world.send(entry)
    assert entry.stop_cloid is not None
    assert await world.venue.cancel(ETH, entry.stop_cloid)
    assert await world.venue.cancel(ETH, entry.stop_cloid)  # gone is gone
    rules = await world.instrument()
    trigger = rules.round_price(entry.reference * Decimal("0.92"), ROUND_DOWN)
    limit = rules.round_price(trigger * Decimal("0.9"), ROUND_DOWN)
    stop = await world.intent(Leg.STOP, trigger=trigger, limit=limit, quantity=entry.quantity)
    (ack,) = await world.send(stop)
    assert ack.status is OrderStatus.OPEN
    orders = {order.cloid: order for order in (await world.venue.account()).orders}
    assert orders[stop.cloid].is_stop and orders[stop.cloid].whole_position
    out = await world.intent(Leg.EXIT, quantity=entry.quantity)
    (ack,) = await world.send(out)
    assert ack.status is OrderStatus.FILLED
    account = await world.venue.account()
    assert account.positions == {} and account.orders == ()
    await until(lambda: any(update.order.cloid == stop.cloid for update in world.of(OrderUpdate)))


async def test_refusals_are_told_as_such(world: World) -> None:
    """Too small, flat, malformed: nothing exists and the venue's words are kept."""
    small = await world.intent(quantity=Decimal("0.001"))
    acks = await world.send(small)
    assert {ack.status for ack in acks} == {OrderStatus.REJECTED}
    assert "minimum value" in acks[0].error
    (ack,) = await world.send(await world.intent(Leg.EXIT))
    assert (ack.status, "Reduce only" in ack.error) == (OrderStatus.REJECTED, True)
    with pytest.raises(VenueRejected):
        await world.venue.set_leverage(ETH, 500)
    assert await world.venue.order_status(ETH, world.cloid()) is None
    assert (await world.venue.account()).positions == {}


async def test_funding_is_paid_each_hour_and_told_once(world: World) -> None:
    """By stream and by question the same payments."""
    await world.venue.set_leverage(ETH, 3)
    wish = await world.intent()
    await world.send(wish)
    await world.clock.pause(3600 + 60)
    await until(lambda: world.of(Funding))
    asked = await world.venue.funding_since(EPOCH)
    assert tuple(world.of(Funding)) == asked
    assert asked[0].symbol == ETH


async def test_after_a_cut_connection_everything_comes_back(world: World) -> None:
    """Subscriptions, a word about the gap, and the fills that happened meanwhile."""
    await world.venue.set_leverage(ETH, 3)
    await world.feed.bars(ETH, Timeframe.M1, 10)
    with world.clock.busy():  # market time stands still, so that nothing reconnects yet
        for client in list(world.exchange._stream.clients):
            client.let_go()
        await until(lambda: not world.hyperliquid.stream.connected)
        wish = await world.intent()
        await world.send(wish)
        assert world.of(Fill) == []
    await until(lambda: world.of(Reconnected) and world.of(Fill))
    assert sum(fill.quantity for fill in world.of(Fill)) == wish.quantity
    await world.clock.pause(3 * MINUTE_S)
    assert world.feed.confirmed_age_s(ETH) == 0.0
    bars = await world.feed.bars(ETH, Timeframe.M1, 10)
    assert bars.ts[-1] > world.clock.now() - 2 * Timeframe.M1.ms - 2000
    ids = [fill.fill_id for fill in world.of(Fill)]
    assert len(ids) == len(set(ids))


async def test_health_and_skew(world: World) -> None:
    """One clock: no skew."""
    assert world.venue.healthy()
    assert abs(await world.venue.clock_skew_ms()) <= 1
    account = await world.venue.account()
    assert math.isclose(account.equity, 10_000)
    assert account.free_margin == account.equity


async def test_the_same_seed_gives_the_same_bars_and_fills(tmp_path: Path) -> None:
    """In lockstep nothing depends on how fast sockets are."""

    async def one(folder: Path) -> tuple[object, ...]:
        folder.mkdir()
        async with playing(folder) as world:
            await world.clock.sleep_until(Ms(EPOCH + 600_000))
            with world.clock.busy():
                await world.venue.set_leverage(ETH, 3)
                bars = await world.feed.bars(ETH, Timeframe.M1, 50)
                acks = await world.send(await world.intent())
                fills = await world.venue.fills_since(EPOCH)
            return bars.close.tolist(), bars.ts.tolist(), tuple(acks), fills

    assert await one(tmp_path / "a") == await one(tmp_path / "b")

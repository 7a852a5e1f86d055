"""The stream: subscriptions, half-open connections, coming back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import pytest

from bot.adapters.venues.hyperliquid import StreamTiming
from bot.adapters.venues.hyperliquid.shapes import UnreadableAnswer
from bot.adapters.venues.hyperliquid.stream import FRAMES_A_TURN, Stream, StreamLost
from bot.runtime.clock import SystemClock
from tests.unit.adapters.venues.hyperliquid.fake_venue import FAST, FakeVenue, running, serving
from tests.until import until

CANDLE = {"type": "candle", "coin": "BTC", "interval": "1m"}
FILLS = {"type": "userFills", "user": "0xAbC"}


@asynccontextmanager
async def streaming(venue: FakeVenue, timing: StreamTiming = FAST) -> AsyncIterator[Stream]:
    async with running(venue):
        stream = Stream("ws" + venue.url[4:] + "/ws", SystemClock(), timing, Random(1))
        stream.subscribe(CANDLE)
        async with serving(stream.run):
            yield stream


def timing(**changes: Any) -> StreamTiming:
    fields = {name: getattr(FAST, name) for name in FAST.__dataclass_fields__}
    return StreamTiming(**(fields | changes))


async def test_what_is_wanted_is_subscribed_and_acknowledged() -> None:
    """A price counts as current only once its subscription is acknowledged."""
    async with streaming(FakeVenue()) as stream:
        await until(lambda: stream.acknowledged(CANDLE))
        assert stream.confirmed_age_s(CANDLE) == 0.0
        assert stream.confirmed_age_s(FILLS) > 0
        stream.subscribe(FILLS)
        assert await stream.settled(1.0)
        assert stream.acknowledged(FILLS)


async def test_before_the_first_connection_nothing_is_confirmed() -> None:
    """Never heard of is infinitely old."""
    stream = Stream("ws://127.0.0.1:1/ws", SystemClock(), FAST, Random(1))
    assert stream.confirmed_age_s(CANDLE) == float("inf")
    assert not await stream.settled(0.01)


async def test_acknowledgements_with_added_fields_and_lower_case_users_count() -> None:
    """The venue answers with fields of its own."""
    venue = FakeVenue()
    venue.acknowledges = False
    async with streaming(venue, timing(pong_s=2.0)) as stream:
        await until(lambda: venue.subscribed)
        stream.subscribe(FILLS)
        for answer in (CANDLE | {"nSigFigs": None}, {"type": "userFills", "user": "0xabc", "x": 1}):
            await venue.tell(
                "subscriptionResponse", {"method": "subscribe", "subscription": answer}
            )
        await until(lambda: stream.acknowledged(CANDLE) and stream.acknowledged(FILLS))


async def test_already_subscribed_is_an_acknowledgement_and_invalid_is_given_up() -> None:
    """The error channel names the subscription; a refused one is not asked for for ever."""
    venue = FakeVenue()
    venue.acknowledges = False
    async with streaming(venue, timing(pong_s=2.0)) as stream:
        stream.subscribe(FILLS)
        await until(lambda: venue.subscribed and len(venue.subscribed[0]) == 2)
        await venue.tell(
            "error", 'Already subscribed: {"type":"candle","coin":"BTC","interval":"1m"}'
        )
        await venue.tell("error", 'Invalid subscription {"type":"userFills","user":"0xabc"}')
        await venue.tell("error", "Cannot track more than 10 total users.")
        await until(lambda: stream.acknowledged(CANDLE))
        assert await stream.settled(1.0)
        assert stream.subscriptions == 1


async def test_unacknowledged_subscriptions_end_the_connection() -> None:
    """A subscription that is never confirmed is no subscription."""
    venue = FakeVenue()
    venue.acknowledges = False
    async with streaming(venue, timing(pong_s=0.05, ping_s=9.0)):
        await until(lambda: len(venue.sockets) >= 2)


async def test_after_a_loss_everything_is_subscribed_again() -> None:
    """What is no longer wanted is not."""
    venue = FakeVenue()
    async with streaming(venue) as stream:
        stream.subscribe(FILLS)
        await until(lambda: stream.acknowledged(FILLS))
        stream.unsubscribe(CANDLE)
        await until(lambda: venue.unsubscribed == [CANDLE])
        downs = []
        stream.on_down(lambda: downs.append(1))
        await venue.cut()
        await until(lambda: len(venue.subscribed) == 2 and stream.acknowledged(FILLS))
        assert venue.subscribed[1] == [FILLS]
        assert downs == [1]


async def test_who_waits_for_the_connection_hears_of_the_gap() -> None:
    """The first connection is no gap; the next one is, with its length."""
    venue = FakeVenue()
    heard: list[tuple[bool, float]] = []

    async def up(gap: bool, gap_s: float) -> None:
        heard.append((gap, gap_s))

    async with running(venue):
        stream = Stream("ws" + venue.url[4:] + "/ws", SystemClock(), FAST, Random(1))
        stream.on_up(up)
        async with serving(stream.run):
            await until(lambda: heard == [(False, 0.0)])
            await venue.cut()
            await until(lambda: len(heard) == 2)
    assert heard[1][0] and 0 < heard[1][1] < 2


async def test_a_missing_pong_is_a_dead_connection() -> None:
    """Half-open sockets give no error: only silence tells."""
    venue = FakeVenue()
    venue.answers_pings = False
    async with streaming(venue, timing(pong_s=0.1)) as stream:
        await until(lambda: venue.pings >= 1)
        for _ in range(3):
            await venue.tell("allMids", {})  # frames alone do not prove that we are heard
        await until(lambda: len(venue.sockets) >= 2)
        await until(lambda: stream.connections >= 2)


async def test_pings_are_answered_and_the_connection_stays() -> None:
    """A quiet market is no reason to reconnect."""
    venue = FakeVenue()
    async with streaming(venue) as stream:
        await until(lambda: venue.pings >= 4)
        assert stream.connections == 1
        assert stream.confirmed_age_s(CANDLE) == 0.0


async def test_silence_beyond_its_limit_is_a_dead_connection() -> None:
    """Nothing received for too long ends it even before the ping is due."""
    venue = FakeVenue()
    async with streaming(venue, timing(ping_s=0.1, silence_s=0.05, pong_s=9.0)):
        await until(lambda: len(venue.sockets) >= 2)
        assert venue.pings == 0


async def test_silence_ages_the_confirmation() -> None:
    """Beyond the silence limit a price is as old as the last frame."""
    venue = FakeVenue()
    async with streaming(venue, timing(ping_s=9.0, silence_s=0.05)) as stream:
        await until(lambda: stream.acknowledged(CANDLE))
        await until(lambda: stream.confirmed_age_s(CANDLE) > 0.05)


async def test_a_venue_that_is_away_is_tried_again() -> None:
    """Refused connections are no end either, and the first success is then a gap."""
    venue = FakeVenue()
    heard: list[bool] = []

    async def up(gap: bool, gap_s: float) -> None:
        heard.append(gap)

    async with running(venue):
        url = venue.url
    stream = Stream("ws" + url[4:] + "/ws", SystemClock(), FAST, Random(1))
    stream.on_up(up)
    tried = 0

    async def count() -> None:
        nonlocal tried
        tried += 1

    stream.before_connect(count)
    async with serving(stream.run):
        await until(lambda: tried >= 3)
        assert not stream.connected


def test_delays_grow_to_their_limit_and_differ_by_seed() -> None:
    """0.25 s doubling to 30 s, with jitter that never draws them together."""
    one = Stream("ws://127.0.0.1:1", SystemClock(), StreamTiming(), Random(1))
    other = Stream("ws://127.0.0.1:1", SystemClock(), StreamTiming(), Random(2))
    delays = [one._delay(n) for n in range(12)]
    assert 0.125 <= delays[0] <= 0.25
    assert 15 <= delays[11] <= 30
    assert delays != [other._delay(n) for n in range(12)]


async def test_messages_are_handled_in_order_and_a_bad_one_is_skipped() -> None:
    """One unreadable message is counted and said once; the next is handled."""
    venue = FakeVenue()
    seen: list[Any] = []

    def handler(data: object) -> None:
        if data == "bad":
            raise UnreadableAnswer("bad")
        seen.append(data)

    async with streaming(venue) as stream:
        stream.handle("trades", handler)
        await until(lambda: stream.acknowledged(CANDLE))
        await venue.sockets[-1].send_str("Websocket connection established.")
        for data in (1, "bad", 2, "bad", 3):
            await venue.tell("trades", data)
        await venue.tell("unknown", 4)
        await until(lambda: len(seen) == 3)
    assert seen == [1, 2, 3]
    assert stream.unreadable == 2


async def test_a_bug_in_a_handler_is_not_hidden() -> None:
    """What is not the venue's fault ends the service, so that the supervisor sees it."""
    venue = FakeVenue()

    def handler(data: object) -> None:
        raise RuntimeError("bug")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with streaming(venue) as stream:
            stream.handle("trades", handler)
            await until(lambda: stream.acknowledged(CANDLE))
            await venue.tell("trades", 1)
            await asyncio.sleep(0.1)
    assert caught.group_contains(RuntimeError, match="bug")


async def test_a_burst_of_frames_leaves_the_loop_to_others() -> None:
    """A tick of 200 coins is hundreds of frames that wait already: an exit must get through."""

    class Burst:
        close_code = 1000
        left = 10 * FRAMES_A_TURN

        def __aiter__(self) -> Burst:
            return self

        async def __anext__(self) -> aiohttp.WSMessage:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, "{}", None)

    stream = Stream("ws://127.0.0.1:1/ws", SystemClock(), FAST, Random(1))
    burst, turns = Burst(), 0
    reading = asyncio.create_task(stream._read(burst))  # type: ignore[arg-type]
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    with pytest.raises(StreamLost):
        await reading
    assert turns >= 10

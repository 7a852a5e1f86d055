"""The feed: what is subscribed, which price is current, where bars come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.adapters.venues.hyperliquid import Hyperliquid, connect
from bot.domain.errors import ConfigError
from bot.domain.types import Market, Ms, Symbol, Timeframe
from bot.runtime.clock import SystemClock
from tests.unit.adapters.venues.hyperliquid.fake_venue import (
    META,
    FakeVenue,
    candle,
    context,
    options,
    running,
    serving,
)
from tests.until import until

BTC, ETH = Symbol("BTC"), Symbol("ETH")
MIN = 60_000
T0 = 1_700_000_100_000 // MIN * MIN


class SteppedClock(SystemClock):
    """Real pauses; market time is set by the test."""

    at = T0

    def now(self) -> Ms:
        return Ms(self.at)


@asynccontextmanager
async def feeding(
    venue: FakeVenue, **changes: Any
) -> AsyncIterator[tuple[Hyperliquid, SteppedClock]]:
    async with running(venue):
        clock = SteppedClock()
        hyperliquid = connect(options(venue.url, **changes), clock)
        async with serving(hyperliquid.run):
            await until(lambda: hyperliquid.stream.connected)
            yield hyperliquid, clock
        await hyperliquid.close()


def subscribed(venue: FakeVenue) -> list[tuple[str, str, str | None]]:
    return [
        (each["type"], each["coin"], each.get("interval"))
        for each in venue.subscribed[-1]
        if "coin" in each
    ]


def snapshot(body: dict[str, Any]) -> list[dict[str, Any]]:
    req = body["req"]
    length = Timeframe(req["interval"]).ms
    first = req["startTime"] // length * length
    times = range(first, req["endTime"] + 1, length)
    return [candle(req["coin"], req["interval"], t, length, 7.0) for t in times]


async def test_watch_subscribes_prices_and_the_finest_candles() -> None:
    """Coarser timeframes are folded from the finest; a new list replaces the old one."""
    venue = FakeVenue()
    async with feeding(venue) as (hyperliquid, _):
        await hyperliquid.feed.watch([BTC, ETH], [Timeframe.H1, Timeframe.M5, Timeframe.H4])
        assert subscribed(venue) == [
            ("activeAssetCtx", "BTC", None),
            ("activeAssetCtx", "ETH", None),
            ("candle", "BTC", "5m"),
            ("candle", "ETH", "5m"),
        ]
        await hyperliquid.feed.watch([ETH], [Timeframe.M5])
        await until(lambda: len(venue.unsubscribed) == 2)
        assert {each["coin"] for each in venue.unsubscribed} == {"BTC"}
        assert len(subscribed(venue)) == 4


async def test_timeframes_that_do_not_fold_and_too_many_symbols_are_refused() -> None:
    """Said at once, not discovered when the venue refuses."""
    venue = FakeVenue()
    async with feeding(venue) as (hyperliquid, _):
        with pytest.raises(ConfigError, match="multiples"):
            await hyperliquid.feed.watch([BTC], [Timeframe.M3, Timeframe.M5])
        with pytest.raises(ConfigError, match="subscriptions"):
            await hyperliquid.feed.watch([Symbol(str(n)) for n in range(331)], [Timeframe.M5])


async def test_prices_reach_listeners_as_they_come() -> None:
    """Mark, oracle, funding from the context; bid and ask are impact prices."""
    venue = FakeVenue()
    heard: list[Market] = []
    async with feeding(venue) as (hyperliquid, _):
        feed = hyperliquid.feed
        feed.on_price(heard.append)
        await feed.watch([BTC], [Timeframe.M1])
        assert feed.market(BTC) is None
        assert feed.confirmed_age_s(BTC) == float("inf")
        await venue.tell("activeAssetCtx", {"coin": "BTC", "ctx": context("101.5")})
        await venue.tell("activeAssetCtx", {"coin": "ETH", "ctx": context("7")})
        await until(lambda: heard)
        assert feed.market(BTC) == heard[0]
        assert feed.confirmed_age_s(BTC) == 0.0
    (market,) = heard
    assert (market.mark, market.bid, market.ask, market.at) == (101.5, 99.9, 100.2, T0)
    assert market.funding_hourly == 0.0000125


async def test_focus_follows_the_top_of_the_book() -> None:
    """For positions and candidates bid and ask are the book's, until the focus moves on."""
    venue = FakeVenue()
    async with feeding(venue) as (hyperliquid, _):
        feed = hyperliquid.feed
        await feed.watch([BTC, ETH], [Timeframe.M1])
        await feed.focus([BTC, Symbol("SOL")])
        assert [each for each in subscribed(venue) if each[0] == "bbo"] == [("bbo", "BTC", None)]
        await venue.tell("activeAssetCtx", {"coin": "BTC", "ctx": context()})
        levels = [{"px": "99.99", "sz": "1", "n": 1}, {"px": "100.01", "sz": "1", "n": 1}]
        await venue.tell("bbo", {"coin": "BTC", "time": 1, "bbo": levels})
        await until(lambda: (m := feed.market(BTC)) is not None and m.bid == 99.99)
        await feed.focus([ETH])
        await until(lambda: venue.unsubscribed == [{"type": "bbo", "coin": "BTC"}])
        await venue.tell("activeAssetCtx", {"coin": "BTC", "ctx": context()})
        await until(lambda: (m := feed.market(BTC)) is not None and m.bid == 99.9)


async def test_a_lost_connection_ages_the_price() -> None:
    """Confirmed is only what a living, acknowledged subscription stands for."""
    venue = FakeVenue()
    async with feeding(venue) as (hyperliquid, _):
        feed = hyperliquid.feed
        await feed.watch([BTC], [Timeframe.M1])
        await venue.tell("activeAssetCtx", {"coin": "BTC", "ctx": context()})
        await until(lambda: feed.confirmed_age_s(BTC) == 0.0)
        venue.acknowledges = False
        await venue.cut()
        await until(lambda: len(venue.subscribed) == 2)
        assert feed.confirmed_age_s(BTC) > 0.0


async def test_a_book_does_not_outlive_its_connection() -> None:
    """After a loss bid and ask are the impact prices again, until a new book comes."""
    venue = FakeVenue()
    async with feeding(venue) as (hyperliquid, _):
        feed = hyperliquid.feed
        await feed.watch([BTC], [Timeframe.M1])
        await feed.focus([BTC])
        levels = [{"px": "99.99", "sz": "1", "n": 1}, {"px": "100.01", "sz": "1", "n": 1}]
        await venue.tell("bbo", {"coin": "BTC", "time": 1, "bbo": levels})
        await venue.tell("activeAssetCtx", {"coin": "BTC", "ctx": context()})
        await until(lambda: (m := feed.market(BTC)) is not None and m.bid == 99.99)
        await venue.cut()
        await until(lambda: len(venue.subscribed) == 2)
        await venue.tell("activeAssetCtx", {"coin": "BTC", "ctx": context("101")})
        await until(lambda: (m := feed.market(BTC)) is not None and m.mark == 101.0)
        assert (m := feed.market(BTC)) is not None and m.bid == 99.9


async def test_bars_come_from_rest_once_and_then_from_frames() -> None:
    """The frame of the next bar closes the one before; nothing is asked again."""
    venue = FakeVenue()
    venue.info["candleSnapshot"] = snapshot
    async with feeding(venue) as (hyperliquid, clock):
        feed = hyperliquid.feed
        await feed.watch([BTC], [Timeframe.M1])
        bars = await feed.bars(BTC, Timeframe.M1, 10)
        assert (len(bars), bars.ts[-1]) == (10, T0 - MIN)
        for n, close in enumerate((8.0, 9.0)):
            frame = candle("BTC", "1m", T0 + n * MIN, MIN, close)
            await venue.tell("candle", frame if n else [frame])
        clock.at = T0 + MIN
        await venue.tell("activeAssetCtx", {"coin": "BTC", "ctx": context()})
        await until(lambda: feed.market(BTC))  # frames are read in order
        bars = await feed.bars(BTC, Timeframe.M1, 10)
        assert (bars.ts[-1], bars.close[-1]) == (T0, 8.0)
        assert venue.asked["candleSnapshot"] == 1


async def test_a_bar_whose_last_frame_may_be_lost_is_asked_for() -> None:
    """A broken connection between a bar's frames sends us to REST for its end."""
    venue = FakeVenue()
    venue.info["candleSnapshot"] = snapshot
    async with feeding(venue) as (hyperliquid, clock):
        feed = hyperliquid.feed
        await feed.watch([BTC], [Timeframe.M1])
        await feed.bars(BTC, Timeframe.M1, 10)
        await venue.tell("candle", candle("BTC", "1m", T0, MIN, 8.0))
        await venue.cut()
        await until(lambda: len(venue.subscribed) == 2 and len(subscribed(venue)) == 2)
        await venue.tell("candle", candle("BTC", "1m", T0 + MIN, MIN, 9.0))
        clock.at = T0 + MIN
        bars = await feed.bars(BTC, Timeframe.M1, 10)
        assert (bars.ts[-1], bars.close[-1]) == (T0, 7.0)
        assert venue.asked["candleSnapshot"] == 2


async def test_a_reconnection_catches_up_by_itself() -> None:
    """Bars that ended while we were away are fetched before anybody asks."""
    venue = FakeVenue()
    venue.info["candleSnapshot"] = snapshot
    async with feeding(venue) as (hyperliquid, clock):
        feed = hyperliquid.feed
        await feed.watch([BTC], [Timeframe.M1])
        await feed.bars(BTC, Timeframe.M1, 10)
        clock.at = T0 + 3 * MIN
        await venue.cut()
        await until(lambda: venue.asked["candleSnapshot"] == 2)
        assert venue.requests[-1]["type"] in ("candleSnapshot", "userFillsByTime", "userFunding")


async def test_markets_and_instruments_are_told_by_one_question_each() -> None:
    """The universe is asked for as a whole."""
    venue = FakeVenue()
    venue.info["metaAndAssetCtxs"] = [META, [context(), context(), context("7")]]
    async with feeding(venue) as (hyperliquid, _):
        found = await hyperliquid.feed.instruments()
        assert found[Symbol("OLD")].delisted and found[ETH].asset_id == 2
        markets = await hyperliquid.feed.markets()
        assert markets[ETH].mark == 7.0
        assert (venue.asked["meta"], venue.asked["metaAndAssetCtxs"]) == (1, 1)

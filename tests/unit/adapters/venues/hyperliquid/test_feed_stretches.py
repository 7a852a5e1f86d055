"""However many coins the venue lists, the loop gets its turn between some of them."""

from __future__ import annotations

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.adapters.venues.hyperliquid.feed import HyperliquidFeed
from bot.adapters.venues.hyperliquid.options import StreamTiming
from bot.adapters.venues.hyperliquid.parse_market import market_parts, markets
from bot.adapters.venues.hyperliquid.queries import Queries
from bot.adapters.venues.hyperliquid.shapes import UnreadableAnswer
from bot.adapters.venues.hyperliquid.stream import Stream
from bot.adapters.venues.hyperliquid.universe import Universe
from bot.domain.types import Ms, Symbol, Timeframe
from bot.runtime.clock import ManualClock
from tests.stretches import counted
from tests.unit.adapters.venues.hyperliquid.fake_venue import context

COINS = 200
ROWS = [{"name": f"C{number}", "szDecimals": 2, "maxLeverage": 20} for number in range(COINS)]
CONTEXTS = [context(str(100 + number)) for number in range(COINS)]
NAMES = tuple(Symbol(str(row["name"])) for row in ROWS)
# Calls of functions; a thousand take a fifth of a millisecond where nothing else runs.
A_STRETCH = 6_000


def feed() -> HyperliquidFeed:
    """Of a venue that answers at once; nothing connects."""

    async def contexts() -> object:
        return [{"universe": ROWS}, CONTEXTS]

    clock = ManualClock(Ms(0))
    stream = Stream("ws://127.0.0.1:9", clock, StreamTiming(), Random(1))
    queries = cast(Queries, SimpleNamespace(contexts=contexts, candles=None))
    return HyperliquidFeed(queries, stream, Universe(), clock, settle_ms=2_000)


async def test_the_prices_of_all_coins_are_read_a_part_at_a_time() -> None:
    """The first look of an hour reads them all before a scan begins."""
    with counted() as stretches:
        found = await asyncio.create_task(feed().markets())
    assert tuple(found) == NAMES
    assert found[NAMES[7]].mark == 107.0
    assert stretches.longest < A_STRETCH


async def test_a_universe_that_is_watched_already_is_no_work() -> None:
    """The same list comes every hour, and with it the same 400 subscriptions."""
    given = feed()
    await given.watch(NAMES, [Timeframe.M5])
    with counted() as stretches:
        await asyncio.create_task(given.watch(NAMES, [Timeframe.M5]))
    assert stretches.longest < A_STRETCH


async def test_a_coin_that_comes_and_one_that_goes_are_told_apart() -> None:
    given = feed()
    await given.watch(NAMES[:3], [Timeframe.M5])
    assert given._stream.subscriptions == 6
    await given.watch(NAMES[1:3], [Timeframe.M5])
    assert given._stream.subscriptions == 4
    await given.watch(NAMES[:4], [Timeframe.H1])
    assert given._stream.subscriptions == 8


def test_parts_say_what_the_whole_says() -> None:
    answer: list[Any] = [{"universe": ROWS}, CONTEXTS]
    parts = [markets(part, Ms(1)) for part in market_parts(answer)]
    assert len(parts) > 1
    assert {symbol: one for part in parts for symbol, one in part.items()} == markets(answer, Ms(1))


@pytest.mark.parametrize("contexts", [CONTEXTS[1:], {"a": 1}])
def test_contexts_that_do_not_fit_the_coins_are_refused(contexts: object) -> None:
    """Matched by their place: one that is missing would give each coin another's price."""
    with pytest.raises(UnreadableAnswer, match="200 contexts"):
        list(market_parts([{"universe": ROWS}, contexts]))

"""Long answers are read in parts: the loop is never deaf for the whole of one."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from bot.adapters.venues.hyperliquid.parse_market import CANDLES_A_PART, candle_parts, candles
from bot.adapters.venues.hyperliquid.queries import Queries
from bot.adapters.venues.hyperliquid.transport import Transport
from bot.domain.types import Ms, Timeframe

PARTS = 3
MINUTE = 60_000


def _answer(count: int) -> list[dict[str, Any]]:
    prices = {"o": "1.5", "h": "2.0", "l": "1.0", "c": "1.7", "v": "10"}
    return [{"t": number * MINUTE, **prices} for number in range(count)]


class FakeTransport:
    """Answers every question at once with so many candles."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def info(self, _request: object, _priority: object) -> object:
        return _answer(self._count)


async def _turns_while_reading(askers: int, count: int) -> int:
    """How many turns another task gets while answers of `count` candles are read."""
    queries = Queries(cast(Transport, FakeTransport(count)), "0x0")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(other())
    span = (Timeframe.M1, Ms(0), Ms(count * MINUTE))
    found = await asyncio.gather(*(queries.candles("BTC", *span) for _ in range(askers)))
    beside.cancel()
    assert [len(rows) for rows in found] == [count] * askers
    assert [row[0] for row in found[0]] == [number * MINUTE for number in range(count)]
    return turns


def test_no_part_is_longer_than_a_part() -> None:
    parts = list(candle_parts(_answer(PARTS * CANDLES_A_PART)))
    assert [len(candles(part)) for part in parts] == [CANDLES_A_PART] * PARTS


async def test_a_long_answer_is_read_in_turns() -> None:
    """Others run between its parts."""
    assert await _turns_while_reading(1, PARTS * CANDLES_A_PART) >= PARTS


async def test_answers_that_come_together_are_read_one_part_a_turn() -> None:
    """A start fetches for every symbol: the loop runs all that is ready before it looks up."""
    assert await _turns_while_reading(4, PARTS * CANDLES_A_PART) >= 4 * PARTS

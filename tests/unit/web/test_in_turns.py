"""A long answer is put together a part at a time, and is the same answer."""

from __future__ import annotations

import asyncio

from bot.web.answers import PART, in_turns
from bot.web.encode import encode


def rows(count: int) -> dict[str, object]:
    return {"traces": [{"started_at": 1_000 * n, "nan": float("nan")} for n in range(count)]}


def test_the_answer_is_the_same() -> None:
    content = {**rows(3 * PART + 1), "stale": True, "at": [1, 2]}
    assert encode(asyncio.run(in_turns(content))) == encode(content)


def test_the_loop_is_free_between_two_parts() -> None:
    async def turns_of_another_task() -> int:
        working = asyncio.create_task(in_turns(rows(4 * PART)))
        turns = 0
        while not working.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(turns_of_another_task()) > 4

"""bot.app.followed: a simulator that comes back at another speed is not followed blindly."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from bot.app.followed import Followed
from bot.domain.errors import ConfigError
from bot.runtime.clock import SystemClock
from tests.unit.app.test_world_remote import GOOD, answering, opened


async def followed(tmp_path: Path, url: str) -> Followed:
    world = await opened(tmp_path, GOOD)
    return Followed(replace(world, base_url=url, clock=SystemClock()))


async def test_another_speed_after_a_gap_ends_the_process_with_what_to_do(tmp_path: Path) -> None:
    """Both speeds and both ways out; the first connection is no reason to ask."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=GOOD.replace("60", "120"))

    async with answering(answer) as url, asyncio.timeout(20):
        one = await followed(tmp_path, url)
        await one.came_up(False, 0.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.run(), 0.1)
        await one.came_up(True, 3.0)
        with pytest.raises(ConfigError, match=r"--speed 120.*before it was 60; start Keel again"):
            await one.run()


async def test_the_same_speed_goes_on(tmp_path: Path) -> None:
    """The usual case: a line was cut, or the simulator began again as it was."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=GOOD)

    async with answering(answer) as url, asyncio.timeout(20):
        assert await (await followed(tmp_path, url)).step()


async def test_without_an_answer_it_is_asked_again(tmp_path: Path) -> None:
    """It may still be starting: no reason to leave, and none to forget the question."""
    asked = []

    async def answer(_: web.Request) -> web.Response:
        asked.append(1)
        return web.Response(status=503 if len(asked) == 1 else 200, text=GOOD.replace("60", "9"))

    async with answering(answer) as url, asyncio.timeout(20):
        one = await followed(tmp_path, url)
        await one.came_up(True, 3.0)
        with pytest.raises(ConfigError, match="--speed 9"):
            await one.run()
    assert len(asked) == 2

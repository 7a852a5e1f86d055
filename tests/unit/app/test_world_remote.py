"""bot.app.world on an exchange of another process: what it says of its clock, or strangers do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bot.app.world import World, open_world
from bot.domain.errors import ConfigError
from bot.runtime.clock import ScaledClock
from tests.unit.config.given import settings

GOOD = '{"now": 1700000000000, "speed": 60, "epoch": 1, "incarnation": "ab12", "ended": false}'


@asynccontextmanager
async def answering(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> AsyncIterator[str]:
    """The address of a server that answers GET /simulator/clock."""
    app = web.Application()
    app.router.add_get("/simulator/clock", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def opened(tmp_path: Path, body: str, status: int = 200) -> World:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    async with answering(answer) as url:
        flags = {"DATA_DIR": str(tmp_path), "HYPERLIQUID_BASE_URL": url}
        return await open_world(settings(flags), 60)


async def test_its_clock_is_followed_and_its_life_is_known(tmp_path: Path) -> None:
    """Market time, speed and incarnation are what it says."""
    world = await opened(tmp_path, GOOD)
    assert isinstance(world.clock, ScaledClock)
    assert world.clock.now() >= 1_700_000_000_000
    assert (world.speed, world.incarnation, world.exchange) == (60.0, "ab12", None)


async def test_full_speed_cannot_be_followed(tmp_path: Path) -> None:
    """The remedy is at the simulator."""
    with pytest.raises(ConfigError, match="runs at speed 'max', which cannot be followed"):
        await opened(tmp_path, GOOD.replace("60", '"max"'))


@pytest.mark.parametrize(
    "body",
    [
        "<html>hello</html>",
        "",
        "[]",
        "[1, 2]",
        "3",
        "null",
        "{}",
        '{"speed": 60}',
        GOOD.replace("1700000000000", "null"),
        GOOD.replace("1700000000000", '"noon"'),
        GOOD.replace("1700000000000", "-1"),
        GOOD.replace("1700000000000", "true"),
        GOOD.replace("60", "0"),
        GOOD.replace("60", "true"),
        GOOD.replace("60", "1e999"),
        GOOD.replace('"ab12"', "7"),
        GOOD.replace('"ab12"', '""'),
        "[" * 9_000,
        '{"now": ' + "1" * 50_000,
    ],
    ids=lambda body: body[:24],
)
async def test_a_stranger_at_the_address_is_said_in_one_line(tmp_path: Path, body: str) -> None:
    """Whatever foreign JSON, or none, comes back."""
    with pytest.raises(ConfigError, match="is no simulated exchange of this Keel") as caught:
        await opened(tmp_path, body)
    [line] = caught.value.problems
    assert line.startswith("HYPERLIQUID_BASE_URL: what answers at http://127.0.0.1:")
    assert "python -m bot.simulator" in line and "\n" not in line


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_server_that_refuses_is_a_stranger_too(tmp_path: Path, status: int) -> None:
    """Its status is named."""
    with pytest.raises(ConfigError, match=rf"\(GET /simulator/clock: {status}"):
        await opened(tmp_path, GOOD, status)

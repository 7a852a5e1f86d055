"""Connections over real sockets: posts, their limit, silence, and how many there may be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.domain.types import Ms
from tests.unit.simulator.given import ETH, limit
from tests.unit.simulator.online import Online, online
from tests.until import until


def order(client: Online, **envelope: Any) -> dict[str, Any]:
    orders = [limit(ETH, "1", "3010", "Ioc")]
    return client.sign({"type": "order", "orders": orders, "grouping": "na"}, **envelope)


@pytest.mark.parametrize("drain", [False, True])
async def test_an_action_by_post_is_answered_and_told(tmp_path: Path, drain: bool) -> None:
    """The same answer as by HTTP, under the number of the request."""
    async with online(tmp_path, drain=drain) as client, client.socket() as socket:
        await socket.request(9, "action", order(client))
        answer = await socket.hear("post")
        assert answer["id"] == 9 and answer["response"]["type"] == "action"
        payload = answer["response"]["payload"]
        assert payload["status"] == "ok"
        assert "filled" in payload["response"]["data"]["statuses"][0]
        assert str(client.account.size("ETH")) == "1"


async def test_a_refusal_by_post_is_an_answer(tmp_path: Path) -> None:
    async with online(tmp_path) as client, client.socket() as socket:
        await socket.request(1, "action", order(client, expires=1))
        payload = (await socket.hear("post"))["response"]["payload"]
        assert payload == {"status": "err", "response": "Action already expired"}


async def test_an_info_by_post_carries_its_type(tmp_path: Path) -> None:
    async with online(tmp_path) as client, client.socket() as socket:
        await socket.request(2, "info", {"type": "l2Book", "coin": "ETH"})
        payload = (await socket.hear("post"))["response"]["payload"]
        assert payload["type"] == "l2Book" and payload["data"]["coin"] == "ETH"


async def test_an_unknown_kind_of_post_is_no_request(tmp_path: Path) -> None:
    async with online(tmp_path) as client, client.socket() as socket:
        await socket.request(3, "explorer", {"type": "blockDetails"})
        response = (await socket.hear("post"))["response"]
        assert response["type"] == "error" and response["payload"].startswith("422: Failed")


async def test_a_hundred_posts_may_be_under_way(tmp_path: Path) -> None:
    """The next one has an error of its own; the hundred are answered all the same."""
    async with online(tmp_path) as client, client.socket() as socket:
        for number in range(100):
            await socket.request(number, "info", {"type": "exchangeStatus"})
        answers = [(await socket.hear("post"))["id"] for _ in range(100)]
        assert answers == list(range(100))
        await socket.request(100, "info", {"type": "exchangeStatus"})
        assert (await socket.hear("post"))["id"] == 100


async def test_a_silent_connection_is_closed_after_a_minute(tmp_path: Path) -> None:
    """A minute in which nothing was sent, by machine time; a pong counts as sent."""
    async with online(tmp_path) as client, client.socket() as socket:
        await until(lambda: client.clock.sleepers() == 1)
        await client.clock.run_for(59_000)
        await socket.say({"method": "ping"})
        await socket.hear("pong")
        await client.clock.run_for(59_000)
        assert not client.exchange._stream.clients[0].gone
        await client.clock.run_for(2_000)
        message = await socket.opened.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
        await until(lambda: not client.exchange._stream.clients)


@pytest.mark.parametrize(("drain", "idle"), [(True, 60.0), (False, 0.0)])
async def test_in_lockstep_or_when_switched_off_silence_is_no_end(
    tmp_path: Path, drain: bool, idle: float
) -> None:
    async with online(tmp_path, drain=drain, idle_close_s=idle) as client, client.socket():
        await until(lambda: len(client.exchange._stream.clients) == 1)
        await asyncio.sleep(0)
        assert client.clock.sleepers() == 0


async def test_ten_connections_at_a_time_and_thirty_a_minute(tmp_path: Path) -> None:
    """429 for one more; a minute of market time later it may be opened."""
    async with online(tmp_path, idle_close_s=0) as client:

        async def opened() -> aiohttp.ClientWebSocketResponse:
            return await client.session.ws_connect(client.url + "/ws")

        for _ in range(3):
            ten = [await opened() for _ in range(10)]
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await opened()
            for socket in ten:
                await socket.close()
            await until(lambda: not client.exchange._stream.clients)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await opened()
        client.clock.advance(60_000)
        await (await opened()).close()


async def test_without_limits_connections_are_not_counted(tmp_path: Path) -> None:
    async with online(tmp_path, rate_limit=False) as client:
        sockets = [await client.session.ws_connect(client.url + "/ws") for _ in range(35)]
        for socket in sockets:
            await socket.close()


async def test_users_are_counted_over_all_connections_of_an_address(tmp_path: Path) -> None:
    async with online(tmp_path) as client, client.socket() as one, client.socket() as two:
        for number in range(10):
            await one.subscribe(type="userFills", user=f"0x{number:040x}")
            await one.hear("subscriptionResponse")
        await two.subscribe(type="userFills", user=f"0x{11:040x}")
        assert await two.hear("error") == "Cannot track more than 10 total users."


async def shown(client: Online, in_time: int, late_ms: int, late: int) -> list[str]:
    """Prices of ETH that a reader sees: of ticks in time, and of some that come so late."""

    async def play() -> None:
        for number in range(1, in_time + late + 1):
            if number == in_time + 1:
                client.clock.set(Ms(client.clock.now() + late_ms))
            await client.tick(ETH=3000.0 + number)

    async with client.socket() as socket:
        await socket.subscribe(type="activeAssetCtx", coin="ETH")
        await socket.hear("activeAssetCtx")
        playing = asyncio.create_task(play())
        seen = [""]
        while seen[-1] != str(3000.0 + in_time + late):
            seen.append((await socket.hear("activeAssetCtx"))["ctx"]["markPx"])
        await asyncio.wait_for(playing, 5)
        return seen[1:]


async def test_a_venue_that_is_late_shows_where_the_market_stands(tmp_path: Path) -> None:
    """The end of each bar and what is newest: else a slow reader's line fills up with the past."""
    async with online(tmp_path) as client:
        seen = await shown(client, in_time=6, late_ms=45_000, late=9)
    in_time = [f"{3000.0 + number}" for number in range(1, 7)]
    assert seen == [*in_time, "3011.0", "3015.0"]


async def test_in_lockstep_no_tick_is_late(tmp_path: Path) -> None:
    """There the ticks wait for the readers; each is shown."""
    async with online(tmp_path, drain=True) as client:
        seen = await shown(client, in_time=6, late_ms=45_000, late=9)
    assert seen == [f"{3000.0 + number}" for number in range(1, 16)]

"""The embedded exchange over real sockets: HTTP, WebSocket, time, lockstep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eth_account import Account
from hyperliquid.utils.signing import sign_l1_action

from bot.domain.types import Ms, Timeframe
from bot.ports import Clock
from bot.runtime.clock import LockstepClock, ManualClock
from bot.simulator import SimulatedExchange, SimulatorOptions, server
from tests.stretches import counted
from tests.unit.simulator.given import ETH, KEY, START, limit, walk, write_candles
from tests.until import until

TICK_MS = 5_000
QUARTER = 181  # ticks
A_STRETCH = 3_000  # calls of functions; a thousand take a fifth of a millisecond
USER = Account.from_key(KEY).address.lower()


class Client:
    """One aiohttp client of a served exchange."""

    def __init__(self, session: aiohttp.ClientSession, port: int, clock: Clock) -> None:
        self.session, self.url, self.clock = session, f"http://127.0.0.1:{port}", clock
        self.nonce = clock.wall()

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        async with self.session.post(self.url + path, json=body) as answer:
            text = await answer.text()
            kind = answer.headers["Content-Type"]
            return answer.status, json.loads(text) if "json" in kind else text

    async def ask(self, kind: str, **body: Any) -> Any:
        status, answer = await self.post("/info", {"type": kind, **body})
        assert status == 200, answer
        return answer

    async def place(self, *orders: dict[str, Any]) -> Any:
        action = {"type": "order", "orders": list(orders), "grouping": "na"}
        self.nonce += 1
        wallet = Account.from_key(KEY)
        signature = sign_l1_action(wallet, action, None, self.nonce, None, False)
        body = {"action": action, "nonce": self.nonce, "signature": signature}
        status, answer = await self.post("/exchange", body)
        assert status == 200, answer
        return answer


@asynccontextmanager
async def served(
    options: SimulatorOptions, clock: Clock | None = None, *, drain: bool = False
) -> AsyncIterator[tuple[SimulatedExchange, Client]]:
    exchange = SimulatedExchange(options, START)
    clock = clock or ManualClock(exchange.start_at)
    try:
        port = await exchange.serve(clock, drain=drain)
        async with aiohttp.ClientSession() as session:
            yield exchange, Client(session, port, clock)
    finally:
        await exchange.close()


@asynccontextmanager
async def running(exchange: SimulatedExchange) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(exchange.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_questions_and_refusals_over_http(tmp_path: Path) -> None:
    """200 with JSON, 422 with the venue's text, for broken JSON too."""
    async with served(SimulatorOptions(tmp_path / "s.db")) as (_, client):
        assert len((await client.ask("meta"))["universe"]) == 12
        text = "Failed to deserialize the JSON body into the target type"
        assert await client.post("/info", {"type": "nonsense"}) == (422, text)
        assert (await client.post("/exchange", {"action": 5}))[0] == 422
        async with client.session.post(client.url + "/info", data=b"{") as answer:
            assert (answer.status, await answer.text()) == (422, text)


async def test_a_tick_of_all_coins_is_told_in_steps(tmp_path: Path) -> None:
    """Each quarter of an hour every coin's figures of the day are counted anew."""
    async with (
        served(SimulatorOptions(tmp_path / "s.db")) as (exchange, client),
        client.session.ws_connect(client.url + "/ws") as socket,
    ):
        for coin in exchange.coins:
            for wish in ({"type": "activeAssetCtx"}, {"type": "candle", "interval": "1m"}):
                body = {"method": "subscribe", "subscription": wish | {"coin": coin}}
                await socket.send_json(body)
        await until(lambda: len(exchange._stream._keys) == 2 * len(exchange.coins))
        with counted() as stretches:
            for index in range(exchange._world.index + 1, exchange._world.index + QUARTER):
                task = asyncio.create_task(exchange._play(index, Ms(index * TICK_MS)))
                await task
    assert stretches.longest < A_STRETCH


async def test_json_nested_too_deep_is_malformed(tmp_path: Path) -> None:
    """Not an error of the server: the reader's recursion has a bound."""
    async with served(SimulatorOptions(tmp_path / "s.db")) as (_, client):
        for path in ("/info", "/exchange", "/simulator/deposit"):
            async with client.session.post(client.url + path, data=b"[" * 50_000) as answer:
                assert answer.status == 422


async def test_an_order_over_http_is_in_the_ledger_before_the_answer(tmp_path: Path) -> None:
    """A process killed right after the answer has lost nothing."""
    import sqlite3

    ledger = tmp_path / "s.db"
    async with served(SimulatorOptions(ledger, accounts=(USER,))) as (_, client):
        mid = Decimal((await client.ask("allMids"))["ETH"])
        answer = await client.place(limit(1, "0.1", str((mid * 2).to_integral()), "Gtc"))
        assert answer["status"] == "err"
        answer = await client.place(limit(1, "0.1", str((mid * Decimal("1.01")).to_integral())))
        oid = answer["response"]["data"]["statuses"][0]["filled"]["oid"]
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as other:
            rows = other.execute("SELECT oid FROM orders").fetchall()
            fills = other.execute("SELECT body FROM events WHERE kind = 'fill'").fetchall()
        other.close()
        assert rows == [(oid,)] and len(fills) >= 1


async def test_the_rate_window_is_of_market_time(tmp_path: Path) -> None:
    """1200 a minute, then 429 with null; a minute of market time later it is open again."""
    clock = ManualClock(START)
    async with served(SimulatorOptions(tmp_path / "s.db"), clock) as (_, client):
        for _ in range(60):
            await client.ask("meta")
        assert await client.post("/info", {"type": "meta"}) == (429, None)
        assert await client.post("/exchange", {"action": {"type": "noop"}}) == (429, None)
        clock.advance(60_000)
        assert (await client.post("/info", {"type": "meta"}))[0] == 200


async def test_the_rate_window_can_be_switched_off(tmp_path: Path) -> None:
    async with served(SimulatorOptions(tmp_path / "s.db", rate_limit=False)) as (_, client):
        for _ in range(70):
            await client.ask("meta")


async def test_the_clock_is_shown(tmp_path: Path) -> None:
    async with served(SimulatorOptions(tmp_path / "s.db")) as (exchange, client):
        async with client.session.get(client.url + "/simulator/clock") as answer:
            shown = await answer.json()
        assert shown.pop("incarnation") == exchange.incarnation
        assert shown == {"now": START, "speed": 1.0, "epoch": START, "ended": False}
        assert exchange.start_at == START and exchange.interval is None
        assert exchange.coins[:2] == ("BTC", "ETH")


async def test_a_candle_world_plays_to_its_end_and_then_stands_still(tmp_path: Path) -> None:
    """After the last tick `finished` is set; questions are still answered."""
    file = write_candles(tmp_path / "ETH-5m.csv", walk(40))
    options = SimulatorOptions(tmp_path / "s.db", candles=(file,))
    async with served(options) as (exchange, client):
        assert exchange.interval is Timeframe.M5
        clock = client.clock
        assert isinstance(clock, ManualClock)
        async with running(exchange) as task:
            await clock.run_until(Ms(walk(40)[-1][0] + 300_000))
            await until(exchange.finished.is_set)
            assert not task.done()
            mids = await client.ask("allMids")
            assert Decimal(mids["ETH"]) == Decimal(repr(walk(40)[-1][4]))
            async with client.session.get(client.url + "/simulator/clock") as answer:
                assert (await answer.json())["ended"] is True


async def test_the_socket_carries_frames_acks_and_posts(tmp_path: Path) -> None:
    file = write_candles(tmp_path / "ETH-5m.csv", walk(40))
    options = SimulatorOptions(tmp_path / "s.db", candles=(file,), idle_close_s=0)
    async with served(options) as (exchange, client):
        clock = client.clock
        assert isinstance(clock, ManualClock)
        async with client.session.ws_connect(client.url + "/ws") as socket:
            wish = {"type": "candle", "coin": "ETH", "interval": "5m"}
            await socket.send_json({"method": "subscribe", "subscription": wish})
            ack = await socket.receive_json(timeout=2)
            assert ack["data"] == {"method": "subscribe", "subscription": wish}
            assert (await socket.receive_json(timeout=2))["channel"] == "candle"
            request = {"type": "info", "payload": {"type": "allMids"}}
            await socket.send_json({"method": "post", "id": 7, "request": request})
            post = await socket.receive_json(timeout=2)
            assert post["data"]["id"] == 7
            assert post["data"]["response"]["payload"]["data"].keys() == {"ETH"}
            async with running(exchange):
                await clock.run_until(Ms(exchange.start_at + 299_999))
                rows = [await socket.receive_json(timeout=2) for _ in range(4)]
            expected = next(row for row in walk(40) if row[0] == exchange.start_at)
            final = rows[-1]["data"]
            shown = [final["t"], *(float(final[key]) for key in "ohlcv")]
            assert shown == list(expected)


async def test_a_client_that_does_not_read_is_let_go(tmp_path: Path, monkeypatch: Any) -> None:
    """In lockstep it would hold time for ever."""
    monkeypatch.setattr("bot.simulator.client.READ_LIMIT_S", 0.05)
    options = SimulatorOptions(tmp_path / "s.db")
    async with served(options, drain=True) as (exchange, client):
        socket = await client.session.ws_connect(client.url + "/ws", autoping=False)
        async with running(exchange):
            assert isinstance(client.clock, ManualClock)
            await until(lambda: client.clock.sleepers() == 1)  # type: ignore[attr-defined]
            client.clock.advance(5_000)
            while (await socket.receive(timeout=2)).type is not aiohttp.WSMsgType.CLOSED:
                pass
        await socket.close()


async def lockstep_run(folder: Path) -> list[str]:
    """A bot of ten lines that trades on frames; returns all it saw."""
    folder.mkdir()
    file = write_candles(folder / "ETH-5m.csv", walk(60))
    options = SimulatorOptions(folder / "s.db", candles=(file,), accounts=(USER,))
    exchange = SimulatedExchange(options, START)
    clock = LockstepClock(exchange.start_at)
    seen: list[str] = []
    port = await exchange.serve(clock, drain=True)
    driver = asyncio.create_task(clock.run())

    async def trade(client: Client, number: int) -> None:
        with clock.busy():
            price = str(101 + number % 2)
            side = "1" if number % 2 else "-1"
            seen.append(json.dumps(await client.place(limit(0, side, price, "Ioc"))))

    async with aiohttp.ClientSession() as session, running(exchange):
        client = Client(session, port, clock)
        async with session.ws_connect(client.url + "/ws") as socket:
            for wish in (
                {"type": "candle", "coin": "ETH", "interval": "5m"},
                {"type": "userFills", "user": USER},
                {"type": "orderUpdates", "user": USER},
            ):
                await socket.send_json({"method": "subscribe", "subscription": wish})
            reading = asyncio.create_task(collect(socket, seen))
            for number in range(12):
                await clock.sleep_until(Ms(exchange.start_at + number * 700_000 + 1))
                await trade(client, number)
            await exchange.finished.wait()
            reading.cancel()
    driver.cancel()
    await exchange.close()
    return seen


async def collect(socket: aiohttp.ClientWebSocketResponse, seen: list[str]) -> None:
    async for message in socket:
        seen.append(str(message.data))


async def test_lockstep_gives_the_same_frames_and_answers_every_time(tmp_path: Path) -> None:
    """Same files, same requests: the same oids, tids, hashes, in the same order."""
    first = await lockstep_run(tmp_path / "a")
    second = await lockstep_run(tmp_path / "b")
    assert first == second
    assert sum('"filled"' in line for line in first) > 5
    assert sum('"channel":"candle"' in line for line in first) > 100


async def test_while_its_ledger_cannot_be_written_the_market_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: no tick goes on, no answer tells what a kill would undo; then all goes on."""
    monkeypatch.setattr(server, "WRITE_AGAIN_S", 0.01)
    clock = ManualClock(START)
    async with served(SimulatorOptions(tmp_path / "s.db"), clock) as (exchange, client):
        world, db = exchange._world, exchange._world.ledger._db
        async with running(exchange) as playing:
            db.execute("PRAGMA query_only = ON")
            before = world.index
            clock.advance(60_000)
            await until(lambda: world.index > before)
            await asyncio.sleep(0.05)
            assert world.index == before + 1 and not playing.done()
            status, _ = await client.post("/info", {"type": "clearinghouseState", "user": USER})
            assert status == 503
            db.execute("PRAGMA query_only = OFF")
            await until(lambda: world.index > before + 5)
            assert (await client.ask("clearinghouseState", user=USER))["withdrawable"] == "10000.0"
        db.execute("PRAGMA query_only = ON")  # and a close in such a moment still closes


async def test_closing_twice_is_safe(tmp_path: Path) -> None:
    async with served(SimulatorOptions(tmp_path / "s.db")) as (exchange, _):
        await exchange.close()


async def test_funding_is_charged_before_an_action_that_comes_after_it(tmp_path: Path) -> None:
    """Between the hour and the next tick: who closes has paid, who opens has not."""
    clock = ManualClock(Ms(START))
    async with served(SimulatorOptions(tmp_path / "s.db"), clock) as (_, client):
        await client.ask("clearinghouseState", user=USER)
        price = 1.02 * float((await client.ask("allMids"))["ETH"])
        buy = limit(ETH, "0.1", f"{price:.0f}", "Ioc")
        sell = limit(ETH, "-0.1", f"{price * 0.94:.0f}", "Ioc")
        first = await client.place(buy)
        assert "filled" in first["response"]["data"]["statuses"][0], first
        clock.set(Ms(START + 61 * 60_000))
        await client.place(sell)
        await client.place(buy)
        rows = await client.ask("userFunding", user=USER, startTime=0)
        assert [row["delta"]["szi"] for row in rows] == ["0.1"]


async def test_at_rest_nothing_happens_by_itself(tmp_path: Path) -> None:
    """Prices stand still although time goes on; questions are still answered."""
    clock = ManualClock(Ms(START))
    async with (
        served(SimulatorOptions(tmp_path / "s.db"), clock) as (exchange, client),
        running(exchange) as task,
    ):
        await clock.run_for(60_000)
        before = await client.ask("allMids")
        await exchange.rest()
        await clock.run_for(3_600_000)
        assert await client.ask("allMids") == before
        assert not task.done()
        await exchange.close()
        await task

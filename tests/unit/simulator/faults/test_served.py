"""Faults of a served exchange: POST /simulator/faults, seeded chances, and no cost without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.domain.types import Ms
from tests.unit.simulator.given import ETH, START, limit
from tests.unit.simulator.online import Online, online


async def give(client: Online, body: Any) -> tuple[int, Any]:
    async with client.session.post(client.url + "/simulator/faults", json=body) as answer:
        return answer.status, await answer.json()


async def refused(client: Online, count: int = 40) -> list[int]:
    """Which of so many questions were answered 429."""
    found = []
    for number in range(count):
        status, _ = await client.post("/info", {"type": "allMids"})
        found += [number] if status == 429 else []
    return found


async def test_a_script_is_taken_and_told_over_http(tmp_path: Path) -> None:
    """Tests give it to a simulator of its own process; a wrong one changes nothing."""
    async with online(tmp_path) as client:
        row = {"kind": "too_many_requests", "on": "info", "after": 1, "times": 2}
        status, said = await give(client, {"fault": [row]})
        assert status == 200
        assert await refused(client, 5) == [1, 2]
        status, said = await give(client, {"fault": [{"kind": "no"}]})
        assert status == 400 and len(said["problems"]) == 1
        async with client.session.get(client.url + "/simulator/faults") as answer:
            (told,) = (await answer.json())["faults"]
        assert (told["kind"], told["met"], told["struck"]) == ("too_many_requests", 5, 2)


async def test_the_same_seed_strikes_the_same_requests(tmp_path: Path) -> None:
    """And another seed others."""
    found = []
    async with online(tmp_path, rate_limit=False) as client:
        row = {"kind": "too_many_requests", "on": "info", "times": 0, "rate": 0.3}
        for seed in (1, 1, 2):
            await give(client, {"seed": seed, "fault": [row]})
            found.append(await refused(client))
    assert found[0] == found[1] != found[2]
    assert found[0]


async def test_a_fault_of_a_while_begins_and_ends_by_market_time(tmp_path: Path) -> None:
    """From its moment on, for so long; the next script ends what the last one began."""
    async with online(tmp_path) as client:
        await give(client, {"fault": [{"kind": "post_only", "at_s": 10, "for_s": 20}]})
        order = limit(ETH, "1", "3100", "Ioc")

        async def state() -> str:
            answer = await client.act("order", orders=[order], grouping="na")
            return str(answer["status"])

        assert await state() == "ok"
        client.clock.set(Ms(START + 15_000))
        assert await state() == "err"
        client.clock.set(Ms(START + 31_000))
        assert await state() == "ok"
        await give(client, {"fault": [{"kind": "halt"}]})
        assert await state() == "err"
        await give(client, {})
        assert await state() == "ok"


async def test_without_faults_nothing_is_asked(tmp_path: Path) -> None:
    """No hook stands in the way of a frame or an order."""
    async with online(tmp_path) as client:
        assert client.exchange._stream.tamper is None
        assert client.exchange._engine.before_order is None
        assert not client.exchange._faults._faults.active


async def test_funding_is_charged_before_what_comes_after_the_hour(tmp_path: Path) -> None:
    """A position opened after the payment, and before the next tick, does not pay it."""
    async with online(tmp_path) as client:
        hour = client.exchange._world.next_funding
        client.clock.set(Ms(hour + 2_000))
        await client.place(limit(ETH, "1", "3100", "Ioc"))
        await client.tick(ETH=3_000.0)
        assert not client.account.fundings

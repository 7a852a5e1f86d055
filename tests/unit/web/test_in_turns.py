"""A long answer is put together a part at a time, and is the same answer."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from bot.web.answers import PART, in_turns
from bot.web.encode import Plain, Written, encode, write
from tests.stretches import counted
from tests.unit.web.conftest import FakeDaemon

# Calls of functions in one stretch; a thousand take a fifth of a millisecond.
A_STRETCH = 6_000


def rows(count: int) -> dict[str, object]:
    return {"traces": [{"started_at": 1_000 * n, "nan": float("nan")} for n in range(count)]}


async def test_the_answer_is_the_same() -> None:
    """Lists and tuples, single values, what was written before, and a key that tells of times."""
    content = {
        **rows(PART // 20),
        "stale": True,
        "seen_at": [1, 2],
        "none": [],
        "points": Plain([[1, 2.0]]),
        "pair": ("a", {"b_at": 3}),
    }
    assert (await in_turns(content)).body == encode(content)
    assert (await in_turns({})).body == encode({})


async def test_what_was_written_before_goes_out_as_it_is() -> None:
    row = {"id": "BTC-20260101T0000-1", "why": "ä\n"}
    kept = Written(write(row))
    answer = await in_turns({"decisions": [kept, kept]})
    assert json.loads(bytes(answer.body)) == {"decisions": [row, row]}
    assert json.loads(encode({"decision": kept})) == {"decision": row}


async def test_the_loop_is_free_between_two_parts() -> None:
    working = asyncio.create_task(in_turns(rows(4 * PART // 40)))
    turns = 0
    while not working.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 4


@pytest.mark.parametrize(
    "route", ["/status", "/trades?limit=200", "/traces?limit=500", "/decisions?limit=100"]
)
async def test_no_route_writes_all_it_has_in_one_go(
    client: httpx.AsyncClient, daemon: FakeDaemon, route: str
) -> None:
    """However much there is to show: 40 rows of 40 figures, or lists of hundreds."""
    daemon.figures = 40
    with counted() as stretches:
        answer = await asyncio.create_task(client.get(route))
    assert answer.status_code == 200
    assert len(answer.content) > PART / 2
    assert stretches.longest < A_STRETCH


@pytest.mark.parametrize("name", ["status", "metrics"])
async def test_the_figures_are_read_in_a_turn_of_their_own(
    client: httpx.AsyncClient, daemon: FakeDaemon, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way through the framework, the reading of memory and the writing: one stretch each."""
    calls_before = [0]
    read = getattr(daemon, name)

    def noted() -> object:
        calls_before.append(stretches.so_far)
        return read()

    monkeypatch.setattr(daemon, name, noted)
    with counted() as stretches:
        await asyncio.create_task(client.get(f"/{name}"))
    assert calls_before[-1] < 100

"""While the database is away questions get the last good answer, and it says so."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from bot.domain.errors import TransientError
from bot.domain.types import Ms
from bot.web.last_good import KEPT, LastGood
from tests.unit.web.conftest import FakeDaemon

QUESTIONS = (
    "/decisions?limit=3",
    "/traces?limit=3",
    "/traces/funnel",
    "/traces/report?symbol=BTC",
    "/equity?limit=10",
    "/trades/summary",
    "/candles?symbol=BTC",
)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_last_good_answer_is_given_again_and_marked(
    client: httpx.AsyncClient, daemon: FakeDaemon, question: str
) -> None:
    """From when it is, and why; well again, the mark is gone. Nothing known yet is a 503."""
    daemon.database = False
    assert (await client.get(question)).status_code == 503
    daemon.database = True
    good = (await client.get(question)).json()
    assert "stale" not in good
    daemon.database = False
    answer = await client.get(question)
    mark = {
        "stale": True,
        "stale_since_at": "2023-11-14T22:13:20.000Z",
        "stale_why": "the database is away",
    }
    assert (answer.status_code, answer.json()) == (200, {**good, **mark})
    daemon.database = True
    assert (await client.get(question)).json() == good


async def test_another_question_is_not_answered_with_it(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """Each symbol, limit and stretch of time is a question of its own."""
    for known, other in (
        ("/candles?symbol=BTC", "/candles?symbol=BTC&timeframe=1h"),
        ("/decisions?limit=3", "/decisions?limit=4"),
        ("/equity?since=2023-11-14T16:00:00Z", "/equity?since=2023-11-07T22:00:00Z"),
    ):
        daemon.database = True
        assert (await client.get(known)).status_code == 200
        daemon.database = False
        assert (await client.get(known)).json()["stale"]
        assert (await client.get(other)).status_code == 503


async def test_what_nothing_is_known_of_stays_unknown(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """A 404 is an answer, and none to keep."""
    for away in (False, True):
        daemon.database = not away
        found = await client.get("/candles?symbol=NOPE")
        assert found.status_code == (503 if away else 404)


async def test_an_older_answer_does_not_wait_for_a_lock() -> None:
    """It is given after a moment; where there is none yet the question is waited for."""
    kept = LastGood(lambda: Ms(5))
    done = asyncio.Event()

    async def slow() -> dict[str, object]:
        await done.wait()
        return {"number": 2}

    done.set()
    assert await kept.answer((1,), slow(), wait_s=0.01) == {"number": 2}
    done.clear()
    again = await kept.answer((1,), slow(), wait_s=0.01)
    assert (again["stale"], again["stale_why"]) == (True, "the database takes its time")


async def test_what_is_kept_is_bounded() -> None:
    """The one that was longest not asked for goes first."""
    kept = LastGood(lambda: Ms(5))

    async def good(number: int) -> dict[str, object]:
        return {"number": number}

    async def away() -> dict[str, object]:
        raise TransientError("away")

    for number in range(KEPT + 1):
        await kept.answer((number,), good(number))
    assert (await kept.answer((1,), away()))["number"] == 1
    with pytest.raises(TransientError):
        await kept.answer((0,), away())

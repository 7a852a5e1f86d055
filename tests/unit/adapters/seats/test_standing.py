"""A way of asking is trusted while it is seen to be obeyed, and tried again where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bot.adapters.seats.model import AnswerFormat, probe
from bot.adapters.seats.model.failure import ModelFailure
from bot.adapters.seats.model.standing import SILENT_S, USELESS_IN_A_ROW
from bot.domain.types import Abstention, AbstentionKind, Opinion
from tests.aimock import ANSWER, answer
from tests.unit.adapters.seats.given import POLICY, Table, chat, question
from tests.until import until

AWAY = ModelFailure(AbstentionKind.TRANSPORT, "nobody listens")
USELESS = chat({"verdict": "buy"})


def way_of(body: Mapping[str, Any]) -> AnswerFormat:
    if "tools" in body:
        return AnswerFormat.TOOL
    return AnswerFormat(body["response_format"]["type"])


def is_trial(body: Mapping[str, Any]) -> bool:
    return "keel probe" in str(body)


class Endpoint:
    """Obeys the ways in `obeys`, and a trial in those of `pretends`; or is away."""

    def __init__(self, *obeys: AnswerFormat, pretends: tuple[AnswerFormat, ...] = ()) -> None:
        self.obeys = obeys
        self.pretends = pretends
        self.away = False
        self.pause: Callable[[], Any] | None = None
        self.table = Table(self.reply)
        self.table.seat.standing.watched = True

    async def reply(self) -> str:
        body = self.table.line.asked[-1]
        if self.pause is not None:
            await self.pause()
        if self.away:
            raise AWAY
        way = way_of(body)
        if is_trial(body):
            return chat({"answer": "LEFT" if way in (*self.obeys, *self.pretends) else "Paris"})
        return chat(ANSWER) if way in self.obeys else USELESS

    @asynccontextmanager
    async def tried(self) -> AsyncIterator[Table]:
        """With the service that runs a trial whenever one is wanted."""

        async def run() -> None:
            while True:
                await self.table.seat.standing.wanted.wait()
                await probe(self.table.seat, f"probe-{self.table.seat.standing.trials}")

        service = asyncio.create_task(run())
        try:
            yield self.table
        finally:
            service.cancel()

    def asked(self) -> list[tuple[bool, AnswerFormat]]:
        return [(is_trial(body), way_of(body)) for body in self.table.line.asked]


def kind_of(said: object) -> str:
    return said.kind if isinstance(said, Abstention) else "opinion"


async def test_one_that_begins_to_ignore_its_schema_is_tried_again_and_demoted() -> None:
    """Three paid answers of no use, a trial, and the next question goes out in another way."""
    endpoint = Endpoint(AnswerFormat.TOOL)
    async with endpoint.tried() as table:
        said = [kind_of(await table.ask(f"T-{n}")) for n in range(USELESS_IN_A_ROW + 1)]
        assert said == ["schema"] * USELESS_IN_A_ROW + ["opinion"]
        assert endpoint.asked() == [
            *[(False, AnswerFormat.JSON_SCHEMA)] * USELESS_IN_A_ROW,
            (True, AnswerFormat.JSON_SCHEMA),
            (True, AnswerFormat.TOOL),
            (False, AnswerFormat.TOOL),
        ]


async def test_one_that_passes_its_trial_and_is_of_no_use_again_is_demoted_too() -> None:
    """A tiny schema may be obeyed where the real one is not: nobody pays for that for ever."""
    endpoint = Endpoint(AnswerFormat.JSON_OBJECT, pretends=tuple(AnswerFormat))
    async with endpoint.tried() as table:
        said = [kind_of(await table.ask(f"T-{n}")) for n in range(4 * USELESS_IN_A_ROW + 1)]
        assert said == ["schema"] * 4 * USELESS_IN_A_ROW + ["opinion"]
        assert table.seat.format is AnswerFormat.JSON_OBJECT


async def test_one_that_is_of_no_use_in_any_way_falls_silent_for_an_hour() -> None:
    """Nothing is paid meanwhile; then the next question has it tried again from the top."""
    endpoint = Endpoint(pretends=(AnswerFormat.JSON_SCHEMA,))
    async with endpoint.tried() as table:
        for n in range(2 * USELESS_IN_A_ROW):
            await table.ask(f"T-{n}")
        assert kind_of(await table.ask("T-a")) == "schema"
        assert table.seat.format is None
        asked = len(table.line.asked)
        await table.ask("T-b")
        assert len(table.line.asked) == asked
        able = [table.seat.able]
        endpoint.obeys = (AnswerFormat.JSON_SCHEMA,)
        await table.clock.run_for(int(SILENT_S * 1000))
        able.append(table.seat.able)
        assert able == [False, True], "being asked is what has it tried again"
        assert kind_of(await table.ask("T-c")) == "opinion"


async def test_one_that_goes_away_between_two_doubts_is_tried_when_it_is_back() -> None:
    """What was given up stays given up, though the trial that should follow reached nobody."""
    endpoint = Endpoint(AnswerFormat.TOOL, pretends=(AnswerFormat.JSON_SCHEMA,))
    async with endpoint.tried() as table:
        for n in range(2 * USELESS_IN_A_ROW - 1):
            await table.ask(f"T-{n}")

        async def leave() -> None:
            endpoint.away = is_trial(table.line.asked[-1])

        endpoint.pause = leave
        assert kind_of(await table.ask("T-a")) == "schema"
        await until(lambda: not table.seat.standing.reached)
        endpoint.pause, endpoint.away = None, False
        assert [kind_of(await table.ask(f"U-{n}")) for n in range(2)] == ["schema", "opinion"]
        assert table.seat.format is AnswerFormat.TOOL


async def test_without_a_watcher_nobody_waits_for_a_trial() -> None:
    """A seat by itself, as in a benchmark, is trusted as it is built."""
    table = Table(USELESS)
    said = [kind_of(await table.ask(f"T-{n}")) for n in range(2 * USELESS_IN_A_ROW)]
    assert said == ["schema"] * 2 * USELESS_IN_A_ROW
    assert len(table.line.asked) == 2 * USELESS_IN_A_ROW


async def test_an_answer_of_use_ends_the_row() -> None:
    """Now and then an answer is broken: that alone is no reason to pay for trials."""
    endpoint = Endpoint(AnswerFormat.JSON_SCHEMA)
    async with endpoint.tried() as table:
        for n in range(4 * USELESS_IN_A_ROW):
            endpoint.obeys = (AnswerFormat.JSON_SCHEMA,) if n % USELESS_IN_A_ROW == 0 else ()
            await table.ask(f"T-{n}")
        assert not any(trial for trial, _ in endpoint.asked())


async def test_other_ends_say_nothing_about_a_schema() -> None:
    """An endpoint that is away or refuses is the breaker's business."""
    endpoint = Endpoint(AnswerFormat.JSON_SCHEMA)
    endpoint.away = True
    async with endpoint.tried() as table:
        for n in range(2 * USELESS_IN_A_ROW):
            await table.ask(f"T-{n}")
        assert not any(trial for trial, _ in endpoint.asked())


@pytest.mark.parametrize(
    ("obeys", "expected"),
    [((AnswerFormat.JSON_SCHEMA,), "opinion"), ((AnswerFormat.TOOL,), "schema")],
)
async def test_the_first_vote_of_one_that_was_away_waits_for_its_trial(
    obeys: tuple[AnswerFormat, ...], expected: str
) -> None:
    """Its way of asking was never proven: the vote is given once it is, or not at all."""
    endpoint = Endpoint(AnswerFormat.JSON_SCHEMA)
    table = endpoint.table
    endpoint.away = True
    await probe(table.seat, "probe-0")
    assert kind_of(await table.ask("T-1")) == "transport"
    endpoint.away = False
    asking = asyncio.create_task(table.seat.ask(question("T-2")))
    await until(lambda: table.seat.standing.wanted.is_set())
    assert not asking.done()
    endpoint.obeys = obeys
    async with endpoint.tried():
        said = await asking
    assert kind_of(said) == expected
    (row,) = said.attempts
    assert row.cost > 0
    assert table.seat.format is obeys[0]


async def test_a_vote_is_not_given_where_the_trial_reaches_nobody() -> None:
    """The endpoint came and went: nothing is known of it."""
    endpoint = Endpoint(AnswerFormat.JSON_SCHEMA)
    table = endpoint.table
    endpoint.away = True
    await probe(table.seat, "probe-0")
    endpoint.away = False
    asking = asyncio.create_task(table.seat.ask(question("T-2")))
    await until(lambda: table.seat.standing.wanted.is_set())
    endpoint.away = True
    async with endpoint.tried():
        assert kind_of(await asking) == "schema"


async def test_no_question_leaves_before_a_trial_has_ended() -> None:
    """It waits, within its own deadline, and goes out in the way that was found."""
    endpoint = Endpoint(AnswerFormat.TOOL)
    table = endpoint.table
    table.seat.standing.watch()
    asking = [asyncio.create_task(table.seat.ask(question(f"T-{n}"))) for n in range(3)]
    await table.clock.run_for(1_000)
    assert table.line.asked == []
    async with endpoint.tried():
        said = [await one for one in asking]
    assert all(isinstance(one, Opinion) for one in said)
    assert [way for trial, way in endpoint.asked() if not trial] == [AnswerFormat.TOOL] * 3


async def test_a_trial_that_does_not_end_is_a_timeout_of_the_question() -> None:
    """Nothing was sent and nothing is owed."""
    table = Table(chat(answer()), policy=replace(POLICY, deadline_s=0.05))
    table.seat.standing.watch()
    said = await table.seat.ask(question())
    assert isinstance(said, Abstention)
    assert (said.kind, table.line.asked) == (AbstentionKind.TIMEOUT, [])
    assert said.attempts[0].stands_at == 0


async def test_answers_from_before_a_trial_do_not_count_against_what_it_found() -> None:
    """Twenty are on their way when the third of them brings the doubt."""
    endpoint = Endpoint(AnswerFormat.TOOL)
    gate = asyncio.Event()
    endpoint.pause = gate.wait
    async with endpoint.tried() as table:
        asking = [asyncio.create_task(table.seat.ask(question(f"T-{n}"))) for n in range(12)]
        await until(lambda: len(table.line.asked) == 12)
        gate.set()
        assert {kind_of(await one) for one in asking} == {"schema"}
        assert kind_of(await table.ask("T-x")) == "opinion"
        assert sum(trial for trial, _ in endpoint.asked()) == 2

"""A model's seat: what it asks, when it asks again, and the typed end of every question."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from bot.adapters.seats.model import AnswerFormat
from bot.adapters.seats.model.failure import ModelFailure
from bot.domain.types import (
    ANSWERED,
    ASKED,
    ZERO,
    Abstention,
    AbstentionKind,
    Action,
    Messages,
    Opinion,
)
from tests.aimock import answer
from tests.unit.adapters.seats.given import (
    ANSWERED as GOOD,
)
from tests.unit.adapters.seats.given import (
    COST,
    POLICY,
    Table,
    chat,
    limits,
    question,
)
from tests.until import until


def broken(kind: AbstentionKind, *, again: bool = True, unknown: bool = False) -> ModelFailure:
    return ModelFailure(kind, "as the test wants it", again=again, unknown=unknown)


async def test_an_answer_is_an_opinion_with_its_row() -> None:
    """Action, confidence, tokens, cost to the last digit, the names that came back, the text."""
    table = Table(GOOD)
    said = await table.ask()
    assert isinstance(said, Opinion)
    assert (said.seat, said.action, said.confidence) == ("openai", Action.LONG, 0.9)
    (row,) = said.attempts
    assert (row.kind, row.cost, row.reserved, row.late) == (ANSWERED, COST, ZERO, False)
    assert (row.model, row.system_fingerprint) == ("model-1-0815", "fp_1")
    assert (row.action, row.confidence) == ("LONG", 0.9)
    assert row.price_version.startswith("model-1@2026-01-01#")
    assert json.loads(row.raw) == answer()
    assert list(table.store.rows.values())[-1].kind in (ASKED, ANSWERED)


async def test_a_passing_failure_is_asked_again_after_2_and_4_s() -> None:
    """Three attempts, each with a row of its own; the waits are spec 10's."""
    table = Table(broken(AbstentionKind.TRANSPORT), broken(AbstentionKind.TIMEOUT), GOOD)
    said = await table.ask()
    assert isinstance(said, Opinion)
    kinds = [(row.number, row.kind) for row in said.attempts]
    assert kinds == [(1, "transport"), (2, "timeout"), (3, ANSWERED)]
    asked = [row.asked_at for row in said.attempts]
    assert [b - a for a, b in itertools.pairwise(asked)] == [2000, 4000]


async def test_it_gives_up_after_the_attempts() -> None:
    """The last failure names the abstention."""
    table = Table(broken(AbstentionKind.TRANSPORT))
    said = await table.ask()
    assert isinstance(said, Abstention)
    assert (said.kind, len(said.attempts), len(table.line.asked)) == ("transport", 3, 3)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (chat(None, refusal="I cannot help with that"), AbstentionKind.REFUSAL),
        (chat("", finish_reason="content_filter"), AbstentionKind.REFUSAL),
        (chat(answer(), finish_reason="length"), AbstentionKind.CUT_OFF),
        (chat(answer(price=64_000)), AbstentionKind.SCHEMA),
        (chat(answer(symbol="DOGE")), AbstentionKind.SCHEMA),
        (chat(answer(size_usd=9_000)), AbstentionKind.SCHEMA),
        (chat(answer(confidence="high")), AbstentionKind.SCHEMA),
        (chat(answer(action="BUY")), AbstentionKind.SCHEMA),
    ],
)
async def test_an_answer_of_no_use_is_paid_and_not_asked_again(
    reply: str, kind: AbstentionKind
) -> None:
    """The endpoint works, and would say the same: one attempt, at its real cost."""
    table = Table(reply)
    said = await table.ask()
    assert isinstance(said, Abstention)
    assert said.kind == kind
    (row,) = said.attempts
    assert (row.kind, row.cost, row.reserved) == (kind.value, COST, ZERO)
    assert table.seat.view().failures == 0


@pytest.mark.parametrize(
    "text", ["", "   ", "I would go long", '{"evidence": [', "```json\n{}\n```"]
)
async def test_what_is_no_json_is_asked_again(text: str) -> None:
    """Some endpoints return nothing now and then; each try costs and is told."""
    table = Table(chat(text), GOOD)
    said = await table.ask()
    assert isinstance(said, Opinion)
    assert [row.kind for row in said.attempts] == ["not_json", ANSWERED]
    assert table.purse.spent == 2 * COST


async def test_an_answer_that_quotes_a_date_is_an_opinion() -> None:
    """It is held against its score; the vote is not lost."""
    said = await Table(chat(answer(reasoning="A breakout as on 21.11.2026."))).ask()
    assert isinstance(said, Opinion)
    assert said.fabricated == ("number 21.11.2026",)


async def test_whatever_reading_an_answer_raises_is_an_abstention_with_its_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call was paid for: its row says so, and the breaker hears that the endpoint lives."""

    def stumbles(*_: object, **__: object) -> Opinion:
        raise ZeroDivisionError("a fault of ours")

    table = Table(broken(AbstentionKind.TRANSPORT, again=False), GOOD)
    await table.ask("A-20261121T1200-1")
    monkeypatch.setattr("bot.adapters.seats.model.seat.hear", stumbles)
    said = await table.ask()
    assert isinstance(said, Abstention)
    assert (said.kind, said.detail) == ("schema", "it cannot be read: ZeroDivisionError")
    (row,) = said.attempts
    assert (row.kind, row.cost, row.reserved) == ("schema", COST, ZERO)
    assert table.seat.view().failures == 0


async def test_nothing_is_sent_without_a_budget() -> None:
    """The abstention says what is left, and the line was never used."""
    table = Table(GOOD, spending=limits(decision="0.000001"))
    said = await table.ask()
    assert isinstance(said, Abstention)
    assert said.kind == AbstentionKind.BUDGET
    assert "a decision" in said.detail
    assert table.line.asked == []
    assert table.purse.spent == table.purse.reserved == 0


async def test_nothing_is_sent_that_cannot_be_booked() -> None:
    """With the database away nobody could say later what was spent."""
    table = Table(GOOD)
    table.store.away = True
    said = await table.ask()
    assert isinstance(said, Abstention)
    assert said.kind == AbstentionKind.BUDGET
    assert table.line.asked == []
    assert table.purse.reserved == 0


async def test_the_reserve_is_durable_before_the_request_leaves() -> None:
    """A process that is killed now has booked at least what it may have spent."""
    table = Table(GOOD)
    seen: list[tuple[str, Decimal]] = []

    def look() -> str:
        seen.extend((row.kind, row.reserved) for row in table.store.rows.values())
        return GOOD

    table.line.replies = [look]
    await table.ask()
    ((kind, reserved),) = seen
    assert kind == ASKED
    assert reserved > COST


async def test_an_unanswered_call_stands_at_its_reserve() -> None:
    """It may have been worked on and billed: in a column of its own, not as a cost."""
    table = Table(broken(AbstentionKind.TIMEOUT, again=False, unknown=True))
    said = await table.ask()
    assert isinstance(said, Abstention)
    (row,) = said.attempts
    assert row.cost == 0
    assert row.reserved == table.purse.reserved == table.seat.cost_of(question())


async def test_a_cancelled_call_stands_at_its_reserve_too() -> None:
    """The council went on without it; the provider may bill all the same."""
    table = Table(lambda: asyncio.Event().wait())
    task = asyncio.create_task(table.seat.ask(question()))
    await until(lambda: table.line.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await table.purse.flush()
    (row,) = table.store.rows.values()
    assert (row.kind, row.cost) == (AbstentionKind.TIMEOUT.value, ZERO)
    assert row.reserved == table.purse.reserved > 0


async def test_what_our_own_code_raises_is_a_failure_that_stands_at_its_reserve() -> None:
    """A trial at the start has no council around it: an error without a kind ended every model."""
    table = Table(LookupError("unknown codec"), ANSWERED)
    said = await table.ask()
    assert (said.kind, said.detail) == ("error", "LookupError")
    (row,) = table.store.rows.values()
    assert row.reserved == table.purse.reserved > 0
    assert table.seat.view().failures == 1


async def test_an_answer_without_usage_stands_at_its_reserve() -> None:
    """What it cost is not known; it is never taken for nothing."""
    table = Table(chat(answer(), usage=None))
    said = await table.ask()
    assert isinstance(said, Opinion)
    assert said.attempts[0].cost == 0
    assert said.attempts[0].reserved > 0


@pytest.mark.parametrize(
    "reply",
    [
        chat(None, refusal="I cannot", usage=None),
        chat("{", finish_reason="length", usage=None),
        chat("", usage=None),
        chat("x", finish_reason="error", usage=None),
        '{"error": {"message": "the upstream broke"}}',
    ],
)
async def test_work_of_no_use_without_usage_stands_at_its_reserve(reply: str) -> None:
    """It was worked on, and may be billed."""
    table = Table(reply, policy=replace(POLICY, attempts=1))
    said = await table.ask()
    assert isinstance(said, Abstention)
    assert said.attempts[0].cost == 0
    assert said.attempts[0].reserved == table.seat.cost_of(question())


async def test_the_endpoints_own_word_on_cost_goes_first() -> None:
    """OpenRouter says what a call cost."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "cost": 0.00071}
    table = Table(chat(answer(), usage=usage), can={"cost_in_usage": True})
    said = await table.ask()
    assert said.attempts[0].cost == Decimal("0.00071")


@pytest.mark.parametrize(
    ("said", "booked"),
    [
        ({"cost": 0, "cost_details": {"upstream_inference_cost": 0.03}}, "0.03"),
        ({"cost": 0.001, "cost_details": {"upstream_inference_cost": 0.02}}, "0.021"),
        ({"cost": 0, "cost_details": None}, COST),
        ({"cost": 0.001, "cost_details": {"upstream_inference_cost": None}}, COST),
    ],
)
async def test_a_call_by_ones_own_key_behind_the_endpoint_costs_what_the_upstream_bills(
    said: dict[str, object], booked: str | Decimal
) -> None:
    """The endpoint charges its fee alone, often nothing; unknown, the tokens are priced."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "is_byok": True, **said}
    table = Table(chat(answer(), usage=usage), can={"cost_in_usage": True})
    opinion = await table.ask()
    assert opinion.attempts[0].cost == table.purse.spent == Decimal(booked)


@pytest.mark.parametrize(("tokens", "told"), [(200, False), (200_000, True)])
async def test_a_cost_above_its_reserve_is_booked_and_told(tokens: int, told: bool) -> None:
    """The reserve is the most that is possible: either the price or the count is wrong."""
    table = Table(chat(answer(), usage={"prompt_tokens": 1, "completion_tokens": tokens}))
    with capture_logs() as lines:
        await table.ask()
    assert table.purse.spent == Decimal("0.000001") + tokens * Decimal("0.000004")
    assert [line["event"] for line in lines] == ["model_cost_above_reserve"] * told


async def test_retry_after_is_honoured_by_all_questions() -> None:
    """The endpoint asked for 9 s: nobody asks it before."""
    slow = ModelFailure(AbstentionKind.RATE_LIMIT, "429", again=True, retry_after_s=9.0)
    table = Table(slow, GOOD)
    first = asyncio.create_task(table.seat.ask(question("A-20261121T1200-1")))
    await until(lambda: table.line.asked)
    await table.clock.run_for(100)
    second = asyncio.create_task(table.seat.ask(question("B-20261121T1200-1")))
    await table.clock.run_for(8_000)
    assert len(table.line.asked) == 1
    await table.clock.run_for(2_000)
    assert isinstance(await first, Opinion)
    assert isinstance(await second, Opinion)


async def test_its_own_rate_limit_holds_back_what_is_too_many() -> None:
    """A burst of twenty goes at once; at 60 a minute the next leaves a second later."""
    table = Table(GOOD)
    asked = [table.seat.ask(question(f"A{n}-20261121T1200-1")) for n in range(21)]
    everybody = asyncio.gather(*asked)
    await until(lambda: len(table.line.asked) == 20)
    await table.clock.run_for(900)
    assert len(table.line.asked) == 20
    await table.clock.run_for(200)
    assert all(isinstance(said, Opinion) for said in await everybody)
    assert len(table.line.asked) == 21


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    """Retry-After of two minutes ends the question now, as what it is."""
    slow = ModelFailure(AbstentionKind.RATE_LIMIT, "429", again=True, retry_after_s=120.0)
    table = Table(slow)
    began = table.clock.monotonic()
    said = await table.ask()
    assert isinstance(said, Abstention)
    assert (said.kind, len(said.attempts)) == (AbstentionKind.RATE_LIMIT, 1)
    assert table.clock.monotonic() - began < 1
    again = await table.ask("B-20261121T1200-1")
    assert "its rate limit" in again.detail
    assert len(table.line.asked) == 1


async def test_the_breaker_opens_and_lets_one_probe_through() -> None:
    """After five failures in a row nobody asks for a minute; then one does, and it closes."""
    table = Table(broken(AbstentionKind.TRANSPORT))
    await table.ask("A-20261121T1200-1")
    said = await table.ask("B-20261121T1200-1")
    assert len(said.attempts) == 2, "with the breaker open there is no third try"
    able = [table.seat.able]
    shut = await table.ask("C-20261121T1200-1")
    assert shut.kind == AbstentionKind.BREAKER_OPEN
    assert shut.attempts[0].cost == shut.attempts[0].reserved == 0
    assert len(table.line.asked) == 5
    table.line.replies = [GOOD]
    await table.clock.run_for(60_000)
    able.append(table.seat.able)
    assert able == [False, True], "a probe that is due counts: unasked it would never leave"
    assert isinstance(await table.ask("D-20261121T1200-1"), Opinion)
    assert table.seat.view().failures == 0


async def test_an_answer_after_the_deadline_is_marked_late() -> None:
    """The council has decided; the row says so."""
    table = Table(GOOD, policy=replace(POLICY, deadline_s=1.0))

    async def slowly() -> str:
        await table.clock.pause(3)
        return GOOD

    table.line.replies = [slowly]
    said = await table.ask()
    assert said.attempts[0].late


async def test_without_a_prompt_nobody_is_asked() -> None:
    """An empty question would be paid for."""
    table = Table(GOOD)
    said = await table.seat.ask(replace(question(), messages=Messages()))
    assert isinstance(said, Abstention)
    assert (said.kind, table.line.asked) == (AbstentionKind.ERROR, [])


async def test_a_model_that_obeys_no_schema_abstains() -> None:
    """Nothing is sent, and nothing is kept under its name."""
    table = Table(GOOD)
    table.seat.standing.tried(None, reached=True)
    said = await table.seat.ask(question())
    assert isinstance(said, Abstention)
    assert (said.kind, table.line.asked) == (AbstentionKind.SCHEMA, [])
    assert table.seat.identity == ""
    assert table.seat.cost_of(question()) == 0


def test_identity_changes_with_all_that_shapes_an_answer() -> None:
    """Endpoint, model, parameters and the way of asking; not the key."""
    plain = Table(GOOD).seat
    others = [
        Table(GOOD, base_url="https://other.example/v1").seat,
        Table(GOOD, model="model-2").seat,
        Table(GOOD, can={"temperature": 0.5}).seat,
        Table(GOOD, can={"formats": (AnswerFormat.TOOL,)}).seat,
    ]
    assert len({plain.identity, *(seat.identity for seat in others)}) == 5
    assert Table(GOOD, key="sk-another-key-altogether").seat.identity == plain.identity

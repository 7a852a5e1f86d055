"""Three models behind a real OpenAI-compatible server: each way of failing, told and harmless.

The road is the daemon's own, the seats speak HTTP through the `openai` package. The whole daemon
is in test_council_daemon.py.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.seats.model import (
    AnswerFormat,
    AskPolicy,
    Capabilities,
    ModelOptions,
    ModelSeat,
    Purse,
    connect,
    probe,
)
from bot.domain import canonical
from bot.domain.approval import ApprovalPolicy
from bot.domain.prices import Price, PriceBook, SpendingLimits
from bot.domain.reasons import CheckCode, Reason, Stage
from bot.domain.types import ANSWERED, Decision, Rejected, Tier
from bot.pipeline.council import CouncilOptions
from bot.runtime.clock import SystemClock
from tests.aimock import Aimock, Fixture, answer, calls_tool, fails, obeys_probe, replies
from tests.council import template
from tests.daemon import free_port
from tests.judgement import FixedRule
from tests.unit.adapters.seats.given import MemoryAttempts
from tests.unit.pipeline.given import BTC, POLICIES
from tests.unit.pipeline.thinking import Thinking, thinking

NAMES = ("alpha", "beta", "gamma")
KEY = "sk-canary-of-the-scenario"
QUICK = AskPolicy(
    deadline_s=6.0, attempt_s=1.5, attempts=2, first_wait_s=0.05, longest_wait_s=0.1, jitter_s=0.0
)
GOOD = [replies(name, answer()) for name in NAMES]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimock]:
    with Aimock(tmp_path_factory.mktemp("aimock"), GOOD) as running:
        yield running


class Table:
    """Three seats, the road they sit at, and the ledger of what they cost."""

    def __init__(self, seats: Sequence[ModelSeat], store: MemoryAttempts, made: Thinking) -> None:
        self.seats = seats
        self.store = store
        self.made = made

    async def sit(self) -> Decision:
        """One cycle; nothing but the decision may have come of it."""
        held = dict(self.made.kit.books.positions)
        await self.made.road.cycle([BTC])
        assert self.made.kit.books.positions == held, "asking touched a position"
        body = self.made.offers[0].trail.body if self.made.offers else self.made.records[-1].body
        found = body["decision"]
        assert isinstance(found, Decision)
        assert KEY.encode() not in canonical.dumps(body)
        return found


@asynccontextmanager
async def sitting(
    url: str, *, away: Sequence[str] = (), policy: AskPolicy = QUICK, rules_may_trade: bool = False
) -> AsyncIterator[Table]:
    clock, store = SystemClock(), MemoryAttempts()
    purse = Purse(store, clock, SpendingLimits(Decimal(1), Decimal(10)))
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    seats = [
        connect(_options(name, nowhere if name in away else url), purse, clock, policy)
        for name in NAMES
    ]
    policies = replace(
        POLICIES,
        seats=NAMES,
        prompt=template().version,
        approval=ApprovalPolicy(0.5, Tier.TIER_4_NEUTRAL, 1.3, rules_may_trade=rules_may_trade),
        sizing=replace(POLICIES.sizing, taker_fee_frac=0.0),
    )
    made = thinking(
        rules=[FixedRule("scalper.standard", target_r=4.0)],
        seats=seats,
        policies=policies,
        council=CouncilOptions(deadline_s=policy.deadline_s, late_s=1.0),
        template=template(),
    )
    try:
        yield Table(seats, store, made)
    finally:
        for seat in seats:
            await seat.close()


def _options(name: str, url: str) -> ModelOptions:
    price = Price(name, date(2026, 1, 1), Decimal("0.5"), Decimal("0.1"), Decimal(2))
    can = Capabilities(tuple(AnswerFormat), temperature=0.0, max_output_tokens=500)
    return ModelOptions(name, url, name, KEY, can, PriceBook([price]))


async def test_three_models_agree_and_the_trade_is_offered(server: Aimock) -> None:
    """Three votes, each with tokens, cost and the names that came back."""
    server.give(GOOD)
    async with sitting(server.url) as table:
        said = await table.sit()
        assert [voice.seat for voice in said.opinions] == list(NAMES)
        assert len(table.made.offers) == 1
        for voice in said.opinions:
            (row,) = voice.attempts
            assert (row.kind, row.cost, row.model) == (ANSWERED, Decimal("0.00115"), voice.seat)
            assert row.system_fingerprint == f"fp-{voice.seat}"


BAD: dict[str, tuple[Fixture, str, int]] = {
    "429 for ever": (fails("gamma", 429, "slow down", retry_after=30), "rate_limit", 1),
    "500": (fails("gamma", 500, "broken"), "transport", 2),
    "broken JSON": (replies("gamma", '{"evidence": [{"key"'), "not_json", 2),
    "prose": (replies("gamma", "I would go long here."), "not_json", 2),
    "cut off": (replies("gamma", '{"evidence": [', finishReason="length"), "cut_off", 1),
    "refusal": (replies("gamma", "I cannot.", finishReason="content_filter"), "refusal", 1),
    "slow": (replies("gamma", answer(), latency_ms=8000), "timeout", 2),
    "wrong schema": (replies("gamma", {"verdict": "buy"}), "schema", 1),
    "a price": (replies("gamma", answer(entry_price=64_000)), "schema", 1),
    "a symbol": (replies("gamma", answer(symbol="DOGE")), "schema", 1),
    "a size": (replies("gamma", answer(quantity=100)), "schema", 1),
    "key refused": (fails("gamma", 401, f"Incorrect API key provided: {KEY}"), "error", 1),
}


@pytest.mark.parametrize("name", BAD)
async def test_one_that_fails_abstains_and_two_decide(server: Aimock, name: str) -> None:
    """The trace names the kind and each attempt; the failing one is no vote and no HOLD."""
    fixture, kind, attempts = BAD[name]
    server.give([*GOOD[:2], fixture])
    async with sitting(server.url) as table:
        said = await table.sit()
        (silent,) = said.abstentions
        assert (silent.seat, silent.kind) == ("gamma", kind)
        assert [row.kind for row in silent.attempts] == [kind] * attempts
        assert len(said.opinions) == 2
        assert len(table.made.offers) == 1
        kept = json.dumps([str(row) for row in table.store.rows.values()])
        assert KEY not in kept and KEY not in str(said)


async def test_429_is_asked_again_after_what_the_server_wants(server: Aimock) -> None:
    """Retry-After of one second: a second attempt, not before, and it counts."""
    first = fails("gamma", 429, "slow down", retry_after=1)
    first["match"]["sequenceIndex"] = 0
    server.give([*GOOD[:2], first, GOOD[2]])
    async with sitting(server.url) as table:
        said = await table.sit()
        voice = next(voice for voice in said.opinions if voice.seat == "gamma")
        assert [row.kind for row in voice.attempts] == ["rate_limit", ANSWERED]
        assert voice.attempts[1].asked_at - voice.attempts[0].asked_at >= 990


async def test_one_down_two_decide(server: Aimock) -> None:
    """Nobody listens at its address: nothing was sent, so nothing stands in the books."""
    server.give(GOOD)
    async with sitting(server.url, away=["gamma"]) as table:
        said = await table.sit()
        (silent,) = said.abstentions
        assert (silent.seat, silent.kind) == ("gamma", "transport")
        assert all(row.cost == row.reserved == 0 for row in silent.attempts)
        assert len(table.made.offers) == 1


async def test_two_down_is_no_quorum(server: Aimock) -> None:
    """One voice of three never trades."""
    server.give(GOOD)
    async with sitting(server.url, away=["beta", "gamma"]) as table:
        said = await table.sit()
        assert (said.quorum_met, len(said.opinions)) == (False, 1)
        assert table.made.offers == []
        assert table.made.ended() == [(Stage.APPROVE, Reason.NO_QUORUM)]


@pytest.mark.parametrize("may", [True, False])
async def test_all_down_the_rules_answer_and_trade_only_where_they_may(
    server: Aimock, may: bool
) -> None:
    """Marked as a stand-in; RULES_MAY_TRADE decides what that is worth."""
    async with sitting(server.url, away=NAMES, rules_may_trade=may) as table:
        said = await table.sit()
        assert said.stand_in
        assert [silent.kind for silent in said.abstentions] == ["transport"] * 3
        refused = [check.code for check in _verdict(table).failed]
        assert (CheckCode.RULES_MAY_TRADE in refused) is not may
        assert table.made.offers == []  # this signal's score is no better than a HOLD


def _verdict(table: Table) -> Rejected:
    approval = table.made.records[-1].body["approval"]
    assert isinstance(approval, dict)
    verdict = approval["verdict"]
    assert isinstance(verdict, Rejected)
    return verdict


async def test_a_server_that_ignores_the_schema_is_asked_in_another_way(server: Aimock) -> None:
    """The trial finds it out; from then on answers come as arguments of a tool."""
    ignoring = replies("gamma", '{"answer":"Paris"}')
    ignoring["match"]["responseFormat"] = "json_schema"
    tool = calls_tool("gamma", {"answer": "LEFT"})
    tool["match"]["userMessage"] = "keel probe"
    server.give([*GOOD[:2], ignoring, tool, calls_tool("gamma", answer())])
    async with sitting(server.url) as table:
        gamma = table.seats[2]
        found = await probe(gamma, "probe-1")
        assert (found.reached, found.format) == (True, AnswerFormat.TOOL)
        assert [trial.obeyed for trial in found.trials] == [False, True]
        said = await table.sit()
        assert [voice.seat for voice in said.opinions] == list(NAMES)
        sent = server.journal("gamma")[-1]["body"]
        assert "response_format" not in sent
        assert sent["tool_choice"]["function"]["name"] == "council_answer"


async def test_a_server_that_obeys_nothing_has_no_voice(server: Aimock) -> None:
    """Demoted until nothing is left: it abstains without being asked or paid."""
    server.give([*GOOD[:2], replies("gamma", "Paris")])
    async with sitting(server.url) as table:
        found = await probe(table.seats[2], "probe-1")
        assert (found.reached, found.format) == (True, None)
        asked = len(server.journal("gamma"))
        said = await table.sit()
        assert [(one.seat, one.kind) for one in said.abstentions] == [("gamma", "schema")]
        assert len(server.journal("gamma")) == asked


async def test_a_probe_that_reaches_nobody_learns_nothing(tmp_path: Path) -> None:
    """A model that is away keeps the way in which it is asked."""
    async with sitting(f"http://127.0.0.1:{free_port()}/v1") as table:
        found = await probe(table.seats[0], "probe-1")
        assert not found.reached
        assert table.seats[0].format is AnswerFormat.JSON_SCHEMA
        assert obeys_probe()["match"]["userMessage"] == "keel probe"

"""The trial of a model: demoted by what it does, not by what it says it can."""

from __future__ import annotations

import pytest

from bot.adapters.seats.model import AnswerFormat, probe
from bot.adapters.seats.model.failure import ModelFailure
from bot.app.model_probe import line_of
from bot.app.probes import Outcome
from bot.domain.types import AbstentionKind
from tests.unit.adapters.seats.given import COST, Table, chat

OBEYS = chat({"answer": "LEFT"})
PARIS = chat({"answer": "Paris"})


def table(*replies: str | ModelFailure) -> Table:
    return Table(*replies, can={"formats": tuple(AnswerFormat)})


async def test_one_that_obeys_keeps_its_best_way() -> None:
    """One question, its cost booked, and a line that says how and how fast."""
    made = table(OBEYS)
    found = await probe(made.seat, "probe-1")
    assert (found.reached, found.format, found.cost) == (True, AnswerFormat.JSON_SCHEMA, COST)
    assert made.purse.spent == COST
    assert line_of(made.seat, found).outcome is Outcome.OK


@pytest.mark.parametrize(
    "ignored", [PARIS, chat("Paris"), chat({"answer": "LEFT", "more": 1}), chat("[" * 100_000)]
)
async def test_one_that_ignores_the_schema_is_demoted(ignored: str) -> None:
    """The natural answer is not allowed: who says it was not reading the schema."""
    made = table(ignored, OBEYS)
    found = await probe(made.seat, "probe-1")
    assert made.seat.format is found.format is AnswerFormat.TOOL
    line = line_of(made.seat, found)
    assert line.outcome is Outcome.WARN
    assert "ignores json_schema" in line.found


@pytest.mark.parametrize(
    "detail",
    [
        "404 from x: No endpoints found that can handle the requested parameters.",
        "404 from x: No endpoints found that support the provided 'tool_choice' value.",
        "400 from x: response_format of type json_schema is refused",
    ],
)
async def test_one_that_refuses_this_way_alone_is_asked_in_the_next(detail: str) -> None:
    """OpenRouter's 404 speaks of the parameters; the key and the name are good."""
    made = table(ModelFailure(AbstentionKind.ERROR, detail, healthy=True), OBEYS)
    found = await probe(made.seat, "probe-1")
    assert (found.reached, made.seat.format) == (True, AnswerFormat.TOOL)


async def test_one_that_obeys_in_no_way_has_no_voice() -> None:
    """Three ways tried, three paid for, none left."""
    made = table(PARIS)
    found = await probe(made.seat, "probe-1")
    assert (found.reached, made.seat.format) == (True, None)
    assert len(found.trials) == 3
    assert line_of(made.seat, found).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("kind", "detail", "layer"),
    [
        (AbstentionKind.TRANSPORT, "ConnectError: gaierror: Name not known", "DNS"),
        (AbstentionKind.TRANSPORT, "ConnectError: ConnectionRefusedError: refused", "TCP"),
        (AbstentionKind.TRANSPORT, "ConnectError: SSLCertVerificationError: certificate", "TLS"),
        (AbstentionKind.ERROR, "OPENAI_API_KEY is refused: 401 from x", "key"),
        (AbstentionKind.ERROR, "no credit left: 402 from x", "quota"),
        (AbstentionKind.ERROR, "404 from x: no such model", "model"),
        (AbstentionKind.ERROR, "404 from x: No endpoints found for openai/gpt-0.", "model"),
        (AbstentionKind.RATE_LIMIT, "429 from x: slow down", "rate limit"),
        (AbstentionKind.TIMEOUT, "no answer within 30 s", "timeout"),
    ],
)
async def test_one_that_is_away_keeps_its_way_and_names_the_layer(
    kind: AbstentionKind, detail: str, layer: str
) -> None:
    """One question is enough; nothing was learnt about schemas; the remedy fits the layer."""
    made = table(ModelFailure(kind, detail))
    found = await probe(made.seat, "probe-1")
    assert (found.reached, len(found.trials)) == (False, 1)
    assert made.seat.format is AnswerFormat.JSON_SCHEMA
    line = line_of(made.seat, found)
    assert (line.outcome, line.found.split(":")[0]) == (Outcome.FAIL, layer)
    assert line.remedy

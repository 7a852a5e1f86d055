"""A trial of one model: which way of asking it obeys, how fast it is, and what that cost.

Owns the tiny question and what follows from its answer; asks nothing about trading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bot.adapters.seats.model.caller import Answered
from bot.adapters.seats.model.failure import ModelFailure
from bot.adapters.seats.model.options import AnswerFormat, Prompt
from bot.adapters.seats.model.request import body_of
from bot.adapters.seats.model.seat import ModelSeat
from bot.domain.types import ZERO, AbstentionKind, Attempt, TraceId

# The natural answer is not among the allowed ones: an endpoint that ignores a schema says it.
_SYSTEM: Final = "You answer in JSON. Your answer follows the given JSON schema exactly."
_USER: Final = "keel probe: what is the capital of France?"
ALLOWED: Final = ("LEFT", "RIGHT")
SCHEMA: Final[Mapping[str, object]] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": list(ALLOWED)}},
    "required": ["answer"],
    "additionalProperties": False,
}
SCHEMA_NAME: Final = "keel_probe"
# Failures that say nothing about the format: another one would fail as well.
_OTHER = (
    AbstentionKind.TIMEOUT,
    AbstentionKind.TRANSPORT,
    AbstentionKind.RATE_LIMIT,
    AbstentionKind.BUDGET,
)
_UNSERVED = "No endpoints found that"  # "... can handle the requested parameters", "... for X" not


@dataclass(frozen=True, slots=True)
class Trial:
    """One way of asking, and how it went."""

    format: AnswerFormat
    obeyed: bool
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found out. `format` None: no way works; `reached` False: nothing is known."""

    reached: bool
    format: AnswerFormat | None
    trials: tuple[Trial, ...]
    latency_ms: float
    cost: Decimal
    model: str
    system_fingerprint: str


async def probe(seat: ModelSeat, ident: str) -> Probed:
    """Try the ways of asking that are left, best first, until one is obeyed; the seat takes it.

    A model that cannot be reached keeps its format: nothing was learnt about it. `ident`
    names the trial in the ledger of costs.
    """
    trials: list[Trial] = []
    rows: list[Attempt] = []
    for number, answer_format in enumerate(seat.standing.ways, start=1):
        trial, row = await _try(seat, answer_format, TraceId(ident), number)
        trials.append(trial)
        if row is not None:
            rows.append(row)
        if trial.obeyed:
            seat.standing.tried(answer_format, reached=True)
            break
        if trial.kind in _OTHER or _refused_altogether(trial):
            seat.standing.tried(None, reached=False)
            break
    else:
        seat.standing.tried(None, reached=True)
    return _result(seat, trials, rows)


async def _try(
    seat: ModelSeat, answer_format: AnswerFormat, ident: TraceId, number: int
) -> tuple[Trial, Attempt | None]:
    body = body_of(seat.options, answer_format, Prompt(_SYSTEM, _USER, SCHEMA, SCHEMA_NAME))
    try:
        answered = await seat.caller.call(body, ident, number, _judge)
    except ModelFailure as failure:
        trial = Trial(answer_format, False, failure.kind.value, failure.detail)
        return trial, failure.attempt
    return Trial(answer_format, True, answered.attempt.kind, ""), answered.attempt


def _judge(text: str, attempt: Attempt) -> Answered[str]:
    """Whether the schema was obeyed. Raises ModelFailure where it was not."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFailure(AbstentionKind.NOT_JSON, f"said {text[:60]!r}", healthy=True) from error
    if not isinstance(value, dict) or set(value) != {"answer"} or value["answer"] not in ALLOWED:
        detail = f"the schema allows {' or '.join(ALLOWED)}, it said {text[:60]!r}"
        raise ModelFailure(AbstentionKind.SCHEMA, detail, healthy=True)
    return Answered(str(value["answer"]), attempt)


def _refused_altogether(trial: Trial) -> bool:
    """A key, a model name or an account that is refused is refused in every format.

    OpenRouter says 404, too, where the model is there and nobody serves it asked in this way.
    """
    if _UNSERVED in trial.detail:
        return False
    refused = ("_API_KEY is refused", "no credit left", "404 from")
    return trial.kind == AbstentionKind.ERROR and any(word in trial.detail for word in refused)


def _result(seat: ModelSeat, trials: list[Trial], rows: list[Attempt]) -> Probed:
    last = rows[-1] if rows else None
    return Probed(
        reached=seat.standing.reached,
        format=seat.format,
        trials=tuple(trials),
        latency_ms=last.latency_ms if last is not None else 0.0,
        cost=sum((row.stands_at for row in rows), ZERO),
        model=last.model if last is not None else "",
        system_fingerprint=last.system_fingerprint if last is not None else "",
    )

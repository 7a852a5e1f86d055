"""What came back: the text of an answer, who gave it and what it took, out of an endpoint's JSON.

Owns the many spellings of a chat completion; judges the envelope, never the answer in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from bot.adapters.seats.model.failure import ModelFailure
from bot.domain.types import AbstentionKind, Usage

MOST_TOKENS = 100_000_000  # beyond it a count is no count
_SHOWN = 200
_NAME = 200


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Function(_Loose):
    arguments: str | None = None


class _Call(_Loose):
    function: _Function | None = None


class _Message(_Loose):
    content: Any = None  # a text, or a list of parts
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(_Loose):
    finish_reason: str | None = None
    message: _Message | None = None


class _Envelope(_Loose):
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class Billed:
    """What came along with an answer, also with one of no use."""

    model: str = ""
    system_fingerprint: str = ""
    usage: Usage | None = None
    cost: Decimal | None = None


def envelope_of(text: str, mask: Callable[[str], str]) -> _Envelope:
    """Read the frame, each text in it through `mask`: escapes hide a key until they are read.

    Raises ModelFailure when it is none; work may have been billed then.
    """
    try:
        return _Envelope.model_validate(_kept(from_json(text), mask))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise _no_frame(f"{where}: {first['msg']}") from error
    except ValueError as error:
        raise _no_frame(str(error)) from error


def _no_frame(why: str) -> ModelFailure:
    detail = f"the response is no chat completion: {why}"[:_SHOWN]
    return ModelFailure(AbstentionKind.NOT_JSON, detail, again=True, unknown=True)


def _kept(value: Any, mask: Callable[[str], str]) -> Any:
    """A decoded value whose texts may be kept: no key, and no NUL, which PostgreSQL refuses."""
    if isinstance(value, str):
        return mask(value).replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_kept(item, mask) for item in value]
    if isinstance(value, dict):
        return {mask(name): _kept(item, mask) for name, item in value.items()}
    return value


def billed_of(envelope: _Envelope, cost_in_usage: bool) -> Billed:
    """What is known of the work, whether or not the answer is of use."""
    usage = envelope.usage or {}
    return Billed(
        model=(envelope.model or "")[:_NAME],
        system_fingerprint=(envelope.system_fingerprint or "")[:_NAME],
        usage=usage_of(usage),
        cost=_cost(usage) if cost_in_usage else None,
    )


def answer_of(envelope: _Envelope, mask: Callable[[str], str]) -> str:
    """The answer's text, through `mask` as one: parts may spell together what none does alone.

    Raises ModelFailure for whatever is in its place: that was worked on all the same, and stands
    at its reserve where no usage says what it cost.
    """
    if envelope.error is not None and not envelope.choices:
        raise ModelFailure(
            AbstentionKind.TRANSPORT,
            f"the endpoint says: {str(envelope.error)[:_SHOWN]}",
            again=True,
            unknown=True,
        )
    choice = envelope.choices[0] if envelope.choices else _Choice()
    message = choice.message or _Message()
    _refused(choice.finish_reason or "", message)
    text = mask(_arguments(message) or _content(message.content))
    if not text.strip():
        raise _of_no_use(AbstentionKind.NOT_JSON, "the answer is empty", again=True)
    return text


def usage_of(usage: Mapping[str, Any]) -> Usage | None:
    """Tokens under one set of names; None when the endpoint counted none.

    Input: `prompt_tokens`, or DeepSeek's cache hits and misses. What a total holds beyond
    input and output is reasoning that was billed outside of the output (xAI, Gemini).
    """
    hit = _count(usage.get("prompt_cache_hit_tokens"))
    given = _count(usage.get("prompt_tokens"))
    used = given if given is not None else _both(hit, usage.get("prompt_cache_miss_tokens"))
    output = _count(usage.get("completion_tokens"))
    if used is None or output is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    details = usage.get("completion_tokens_details")
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    total = _count(usage.get("total_tokens")) or 0
    beyond = max(0, total - used - output)
    return Usage(
        input=used,
        output=output + beyond,
        cached=min(cached if cached is not None else hit or 0, used),
        reasoning=min(max(reasoning or 0, beyond), output + beyond),
    )


def _refused(reason: str, message: _Message) -> None:
    """Raise for an end that is no answer; the many ways of saying "done" are let through."""
    refusal = (message.refusal or "").strip()
    if refusal or reason in ("content_filter", "refusal", "safety", "SAFETY"):
        said = refusal or f"finish reason {reason}"
        raise _of_no_use(AbstentionKind.REFUSAL, said[:_SHOWN])
    if reason in ("length", "max_tokens", "MAX_TOKENS"):
        detail = f"the answer was cut off at its length limit (finish reason {reason})"
        raise _of_no_use(AbstentionKind.CUT_OFF, detail)
    if reason == "error":  # OpenRouter: the upstream broke in the middle
        detail = "the endpoint's upstream failed (finish reason error)"
        raise ModelFailure(AbstentionKind.TRANSPORT, detail, again=True, unknown=True)


def _of_no_use(kind: AbstentionKind, detail: str, *, again: bool = False) -> ModelFailure:
    return ModelFailure(kind, detail, again=again, unknown=True, healthy=True)


def _arguments(message: _Message) -> str:
    for call in message.tool_calls or ():
        if call.function is not None and call.function.arguments:
            return call.function.arguments
    return ""


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _both(hit: int | None, miss: object) -> int | None:
    missed = _count(miss)
    return None if hit is None or missed is None else hit + missed


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)


def _cost(usage: Mapping[str, Any]) -> Decimal | None:
    """What the endpoint says that a call cost, USD; None where it does not say all of it.

    Asked by a key of one's own that it keeps (OpenRouter's BYOK), it charges its fee, often 0, and
    the upstream sends the bill: both are the cost.
    """
    charged = _dollars(usage.get("cost"))
    if usage.get("is_byok") is not True:
        return charged
    details = usage.get("cost_details")
    upstream = details.get("upstream_inference_cost") if isinstance(details, dict) else None
    billed = _dollars(upstream)
    return None if charged is None or billed is None else charged + billed


def _dollars(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
        return None
    return Decimal(str(value))

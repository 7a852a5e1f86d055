"""Deciding one recorded trace again, from its inputs and the stored candles, and comparing.

Owns the order in which sections are recomputed; the decisions are `bot.pipeline.decide`'s, the
same calls as in live.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar, cast

from pydantic import TypeAdapter

from bot.domain import canonical
from bot.domain.answer import Answer, confirmed
from bot.domain.approval import needs_person
from bot.domain.brief import brief_of
from bot.domain.errors import ConfigError
from bot.domain.evidence import hear
from bot.domain.instrument import Instrument
from bot.domain.model_answer import AnswerError
from bot.domain.prompt import Template, as_stored, bytes_hash, render
from bot.domain.proposal import Rule
from bot.domain.reasons import Stage
from bot.domain.sizing import size
from bot.domain.snapshot import Snapshot, window_hash
from bot.domain.types import (
    Abstention,
    Approved,
    Bars,
    Brief,
    Market,
    Ms,
    Opinion,
    Timeframe,
)
from bot.pipeline.decide import (
    Barred,
    Look,
    Silence,
    Thought,
    decide,
    judge,
    see,
    settle,
    think,
    unasked,
    weigh,
    wish_of,
)
from bot.pipeline.policies import Policies
from bot.ports import CandleStore, TraceRecord

T = TypeVar("T")
_NOTHING: tuple[object, ...] = (None, "", False, [])
Body = Mapping[str, object]

# Sections in the order of the road; what comes after an answer that differs differs too.
SECTIONS = (
    "seen",
    "proposal",
    "flags",
    "score",
    "worth",
    "prompt",
    "answers",
    "decision",
    "approval",
    "desk",
)

ACTED = (Stage.CLEAR, Stage.EXECUTE, Stage.PROTECT)  # a road that ended here met the desk
VOICES = ("answers", "decision")  # whose fields grew after the first traces were written


@dataclass(frozen=True, slots=True)
class Replayed:
    """The verdict: `differs` names the first field that came out otherwise, None when equal."""

    sections: tuple[str, ...]  # recomputed, in order
    differs: str | None = None
    recorded: object = None
    recomputed: object = None


async def windows_of(
    record: TraceRecord, candles: CandleStore, source: str
) -> Mapping[Timeframe, Bars]:
    """Fetch the bars a decision saw. Raises ConfigError when they are gone or were changed."""
    found: dict[Timeframe, Bars] = {}
    with _readable(record):
        inputs = cast(Mapping[str, Mapping[str, Mapping[str, object]]], record.body["inputs"])
        spans = [
            (Timeframe(name), Ms(int(str(said["first"]))), Ms(int(str(said["last"]))), said)
            for name, said in inputs["windows"].items()
        ]
    for frame, first, last, said in spans:
        bars = await candles.window(source, record.symbol, frame, first, last)
        if len(bars) != said.get("bars") or window_hash(bars) != said.get("hash"):
            raise ConfigError(
                f"{record.trace_id}: the {frame} candles from {first} to {last} are not as they "
                f"were ({len(bars)} bars, {said.get('bars')} recorded); this trace cannot be "
                "replayed"
            )
        found[frame] = bars
    return found


def replay(
    record: TraceRecord,
    bars: Mapping[Timeframe, Bars],
    policies: Policies,
    rules: Sequence[Rule],
    prompts: Sequence[Template] = (),
) -> Replayed:
    """Recompute every section of the trace's road and compare the canonical bytes.

    Raises ConfigError when the prompt that was asked with is not among `prompts`, or the trace
    is none that can be read.
    """
    body = record.body
    with _readable(record):
        recomputed = _recompute(record, bars, policies, rules, prompts)
    done: list[str] = []
    for section in SECTIONS:
        if section not in body and section not in recomputed:
            continue
        done.append(section)
        recorded = _plain(body.get(section))
        again = _plain(recomputed.get(section))
        if section in VOICES:
            again = _as_old_as(recorded, again)
        if canonical.dumps(recorded) != canonical.dumps(again):
            path, old, new = first_difference(recorded, again, section)
            return Replayed(tuple(done), path, old, new)
    return Replayed(tuple(done))


@contextmanager
def _readable(record: TraceRecord) -> Iterator[None]:
    """A record of another shape is told as such: it was damaged, or is of another Keel."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise ConfigError(
            f"{record.trace_id}: its record is damaged, or was not written by this Keel "
            f"({what[:200]}); this trace cannot be replayed"
        ) from error


def _recompute(
    record: TraceRecord,
    bars: Mapping[Timeframe, Bars],
    policies: Policies,
    rules: Sequence[Rule],
    prompts: Sequence[Template],
) -> dict[str, object]:
    body, out = record.body, cast(dict[str, object], {})
    market = _revive(Market, _at(body, "inputs", "market"))
    snapshot = see(record.symbol, bars, market, policies)
    out["seen"] = {"regime": snapshot.regime, "indicators": snapshot.indicators}
    thought = think(snapshot, rules, policies)
    if isinstance(thought, Silence):
        out["proposal"] = thought.found
        return out
    out |= {"proposal": thought.proposal, "flags": thought.flags, "score": thought.score}
    brief = brief_of(thought.proposal, thought.score, thought.flags, snapshot)
    if "worth" in body:
        out["worth"] = _weighed(record, thought, policies)
    if "prompt" in body:
        asked = cast(Body, body["prompt"])
        out["prompt"] = _shown(asked, brief, policies.prompt, prompts)
    if "answers" in body:
        out["answers"] = _heard(body, brief)
        _recompute_gates(record, snapshot, thought, policies, out)
    return out


def _shown(
    asked: Body, brief: Brief, version: str, prompts: Sequence[Template]
) -> Mapping[str, object]:
    """What the models were shown, down to the hash of its bytes; who they were is an input."""
    shown: dict[str, object] = {"version": version, "facts": brief.facts}
    if "hash" in asked:  # traces from before it was kept do without
        shown["hash"] = bytes_hash(render(_prompt(version, prompts), brief))
        shown["seats"] = asked.get("seats")
    return shown


def _prompt(version: str, prompts: Sequence[Template]) -> Template:
    for template in prompts:
        if template.version == version:
            return template
    raise ConfigError(f"the prompt {version} is not stored with the configuration")


def _weighed(record: TraceRecord, thought: Thought, policies: Policies) -> Mapping[str, object]:
    """Whether asking was worth it, from what the account and the prices were."""
    asked = cast(Body, _at(record.body, "worth", "asked"))
    instrument = _revive(Instrument, asked["instrument"])
    capital, cost = Decimal(str(asked["capital"])), Decimal(str(asked["asking_usd"]))
    wish, market = wish_of(thought, unasked(thought)), thought.snapshot.market
    preview = size(wish, instrument, market, capital, policies.sizing, record.trace_id)
    barred = _revive(Barred, asked["barred"])
    able, repeated = asked.get("able"), asked["repeated"] is True
    votes = able if isinstance(able, int) else None
    checks = weigh(thought, preview, repeated, cost, barred, policies, votes)
    return {"asked": asked, "preview": preview, "checks": checks}


def _heard(body: Body, brief: Brief) -> Mapping[str, object]:
    """The answers once more from their texts; what has no text is taken as it stands."""
    opinions = _revive(tuple[Opinion, ...], _at(body, "answers", "opinions"))
    abstentions = _revive(tuple[Abstention, ...], _at(body, "answers", "abstentions"))
    return {"opinions": [_again(one, brief) for one in opinions], "abstentions": abstentions}


def _again(opinion: Opinion, brief: Brief) -> Opinion | Abstention:
    """Read, check and bound a stored answer as the council did."""
    if not opinion.text:
        return opinion
    kept = opinion.attempts
    try:
        return hear(opinion.seat, opinion.text, brief, attempts=kept, from_cache=opinion.from_cache)
    except AnswerError as error:
        return Abstention(opinion.seat, error.kind.value, error.detail)


def _recompute_gates(
    record: TraceRecord,
    snapshot: Snapshot,
    thought: Thought,
    policies: Policies,
    out: dict[str, object],
) -> None:
    body = record.body
    opinions = _revive(tuple[Opinion, ...], _at(body, "answers", "opinions"))
    abstentions = _revive(tuple[Abstention, ...], _at(body, "answers", "abstentions"))
    decision = decide(opinions, abstentions, policies)
    out["decision"] = decision
    approval = cast(Body, body["approval"])
    asked = cast(Body, approval["asked"])
    instrument = _revive(Instrument, asked["instrument"])
    wish = wish_of(thought, decision)
    capital = Decimal(str(asked["capital"]))
    preview = size(wish, instrument, snapshot.market, capital, policies.sizing, record.trace_id)
    verdict = judge(thought, decision, preview, asked["repeated"] is True, policies)
    told: dict[str, object] = {}
    if isinstance(verdict, Approved) and needs_person(thought.score.tier, policies.approval):
        # The person's word is an input; a trace without it differs, as it must.
        told["answer"] = approval.get("answer")
        if told["answer"] is not None:
            verdict = confirmed(verdict, _revive(Answer, told["answer"]))
    out["approval"] = {"asked": asked, "preview": preview, "verdict": verdict, **told}
    if ("desk" in body or record.stage in ACTED) and isinstance(verdict, Approved):
        look = _revive(Look, _at(body, "desk", "look"))
        rule = _revive(Instrument, _at(body, "desk", "instrument"))
        again = settle(wish, look, rule, policies, record.trace_id)
        out["desk"] = {"look": look, "instrument": rule, "verdict": again}


def _as_old_as(recorded: object, again: object) -> object:
    """Leave out fields that are younger than the trace and hold nothing.

    A field added with an empty default changes no decision; one that holds something does.
    """
    if isinstance(recorded, dict) and isinstance(again, dict):
        return {
            key: _as_old_as(recorded.get(key), value)
            for key, value in again.items()
            if key in recorded or value not in _NOTHING
        }
    if isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        return [_as_old_as(old, new) for old, new in zip(recorded, again, strict=True)]
    return again


def first_difference(recorded: object, again: object, path: str) -> tuple[str, object, object]:
    """The first field, in reading order, in which two plain values differ."""
    if isinstance(recorded, dict) and isinstance(again, dict):
        for key in sorted({*recorded, *again}):
            if recorded.get(key) != again.get(key) or (key in recorded) != (key in again):
                return first_difference(recorded.get(key), again.get(key), f"{path}.{key}")
    if isinstance(recorded, list) and isinstance(again, list):
        for at, (old, new) in enumerate(zip(recorded, again, strict=False)):
            if old != new:
                return first_difference(old, new, f"{path}[{at}]")
        if len(recorded) != len(again):
            return f"{path} (length)", len(recorded), len(again)
    return path, recorded, again


def revive_policies(stored: object) -> Policies:
    """Read the policies of a fingerprint back. Raises ConfigError when they are not readable."""
    try:
        return _revive(Policies, stored)
    except ValueError as error:
        raise ConfigError(f"the stored configuration cannot be read: {error}") from error


def revive_prompts(stored: object) -> tuple[Template, ...]:
    """Read the prompts of a fingerprint back. Raises ConfigError for one of other bytes."""
    try:
        return tuple(as_stored(one) for one in _revive(tuple[Template, ...], stored))
    except ValueError as error:
        raise ConfigError(f"the stored configuration cannot be read: {error}") from error


def _revive(kind: type[T], plain: object) -> T:
    return TypeAdapter(kind).validate_python(plain)


def _plain(value: object) -> object:
    return canonical.loads(canonical.dumps(value))


def _at(body: Body, *path: str) -> object:
    value: object = body
    for key in path:
        value = cast(Body, value)[key]
    return value

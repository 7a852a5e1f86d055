"""What a model may say, and how its text becomes a value: one schema, strict on our side.

Owns the schema's bytes and the bounds of each field; knows no endpoint and no brief.

The schema names no field for a price, a symbol, a size or a side other than the three actions,
and every object in it is closed: what is not named cannot be expressed. Bounds stand in words
there and are enforced here, because the endpoints differ in which numeric keywords they take.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn, TypeVar

from bot.domain.types import Action, Cited, Direction, Horizon

MAX_BYTES: Final = 16_384  # of one answer: ten times what the schema needs
MAX_REASONING: Final = 2_000  # characters; the prompt asks for 120 words
MAX_EVIDENCE: Final = 16
MAX_FLAGS: Final = 12
MAX_KEY: Final = 64  # characters of a cited key or of a red flag
STOP_ATR: Final = (0.25, 10.0)
TARGET_R: Final = (0.5, 10.0)
LEVERAGE: Final = (1.0, 50.0)  # a wish: sizing lowers it, nothing raises it

_E = TypeVar("_E", bound=StrEnum)


def _closed(properties: Mapping[str, object]) -> dict[str, object]:
    """An object with exactly these properties, all required, in this order."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _text(description: str) -> dict[str, object]:
    return {"type": "string", "description": description}


def _number(description: str, bounds: tuple[float, float]) -> dict[str, object]:
    low, high = bounds
    return {"type": "number", "description": f"{description}; {low:g} to {high:g}"}


def _choice(kind: type[StrEnum], description: str) -> dict[str, object]:
    return {
        "type": "string",
        "enum": [item.value for item in kind],
        "description": description,
    }


def _list(items: dict[str, object], description: str) -> dict[str, object]:
    return {"type": "array", "items": items, "description": description}


# Evidence before verdict, confidence near the end: a model that writes from left to right has
# then looked before it judges (facts/llm.md 3, "Structured output").
ANSWER_SCHEMA: Final[Mapping[str, object]] = _closed(
    {
        "evidence": _list(
            _closed(
                {
                    "key": _text("a key of the facts, exactly as it is written there"),
                    "direction": _choice(Direction, "what this fact speaks for"),
                }
            ),
            f"the facts that you rely on, the weightiest first; at most {MAX_EVIDENCE}",
        ),
        "red_flags": _list(
            _text(f"a few words, at most {MAX_KEY} characters"),
            f"what speaks against the trade; empty where nothing does; at most {MAX_FLAGS}",
        ),
        "reasoning": _text("at most 120 words; every number as it stands in the facts"),
        "action": _choice(Action, "LONG or SHORT only in the direction of the signal, else HOLD"),
        "confidence": _number("probability that the trade wins over the horizon", (0.0, 1.0)),
        "horizon": _choice(Horizon, "how long the trade is expected to take"),
        "stop_atr": _number("distance of the stop in ATR of the decision timeframe", STOP_ATR),
        "target_r": _number("distance of the target in multiples of the stop", TARGET_R),
        "leverage_wish": _number("leverage wished for; it may only be lowered", LEVERAGE),
    }
)
SCHEMA_NAME: Final = "council_answer"
# The bytes that count for caches: providers hash the schema as part of the prefix.
SCHEMA_TEXT: Final = json.dumps(ANSWER_SCHEMA, ensure_ascii=True, separators=(",", ":"))


class AnswerErrorKind(StrEnum):
    """In which way a text is no answer; each is the abstention of the same name."""

    NOT_JSON = "not_json"
    SCHEMA = "schema"


class AnswerError(ValueError):
    """A text that is no answer: what was expected, and what was found."""

    def __init__(self, kind: AnswerErrorKind, detail: str) -> None:
        super().__init__(f"{kind.value}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One answer within its bounds; field by field what `ANSWER_SCHEMA` asks for."""

    evidence: tuple[Cited, ...]
    red_flags: tuple[str, ...]
    reasoning: str
    action: Action
    confidence: float
    horizon: Horizon
    stop_atr: float
    target_r: float
    leverage_wish: float


def parse_answer(text: str) -> ModelAnswer:
    """Read one answer, or raise AnswerError; nothing is mended, guessed or cut out of prose.

    Refused: more than MAX_BYTES, anything around the object, a key twice, a key too many or
    too few, NaN and infinities, a number outside its bounds, a truth value where a number is
    asked for.
    """
    fields = _object(_load(text), "the answer", ANSWER_SCHEMA)
    return ModelAnswer(
        evidence=_evidence(fields["evidence"]),
        red_flags=_red_flags(fields["red_flags"]),
        reasoning=_string(fields["reasoning"], "reasoning", MAX_REASONING),
        action=_member(fields["action"], "action", Action),
        confidence=_within(fields["confidence"], "confidence", (0.0, 1.0)),
        horizon=_member(fields["horizon"], "horizon", Horizon),
        stop_atr=_within(fields["stop_atr"], "stop_atr", STOP_ATR),
        target_r=_within(fields["target_r"], "target_r", TARGET_R),
        leverage_wish=_within(fields["leverage_wish"], "leverage_wish", LEVERAGE),
    )


def _load(text: str) -> object:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise _not_json("half of a surrogate pair") from error
    if size > MAX_BYTES:
        raise _not_json(f"{size} bytes, at most {MAX_BYTES} are read")
    try:
        value: object = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, AnswerError):
            raise
        raise _not_json(str(error)[:200]) from error
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose keys are all different: with two, readers disagree which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _schema(f"the key {twice[:MAX_KEY]!r} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _not_json(f"{name} is no number of JSON")


def _object(value: object, what: str, schema: Mapping[str, object]) -> dict[str, object]:
    expected = schema["required"]
    assert isinstance(expected, list)
    if not isinstance(value, dict):
        raise _schema(f"{what}: expected an object, found {_kind(value)}")
    extra = sorted(set(value) - set(expected))
    missing = [key for key in expected if key not in value]
    if extra:
        raise _schema(f"{what}: {extra[0][:MAX_KEY]!r} is no field of it")
    if missing:
        raise _schema(f"{what}: {missing[0]!r} is missing")
    return value


def _evidence(value: object) -> tuple[Cited, ...]:
    items = ANSWER_SCHEMA["properties"]["evidence"]["items"]  # type: ignore[index]
    found: list[Cited] = []
    for place, item in enumerate(_rows(value, "evidence", MAX_EVIDENCE)):
        what = f"evidence[{place}]"
        row = _object(item, what, items)
        key = _string(row["key"], f"{what}.key", MAX_KEY)
        found.append(Cited(key, _member(row["direction"], f"{what}.direction", Direction)))
    return tuple(found)


def _red_flags(value: object) -> tuple[str, ...]:
    rows = _rows(value, "red_flags", MAX_FLAGS)
    return tuple(_string(row, f"red_flags[{at}]", MAX_KEY) for at, row in enumerate(rows))


def _rows(value: object, what: str, most: int) -> Sequence[object]:
    if not isinstance(value, list):
        raise _schema(f"{what}: expected a list, found {_kind(value)}")
    if len(value) > most:
        raise _schema(f"{what}: {len(value)} entries, at most {most} are read")
    return value


def _string(value: object, what: str, most: int) -> str:
    if not isinstance(value, str):
        raise _schema(f"{what}: expected a text, found {_kind(value)}")
    if len(value) > most:
        raise _schema(f"{what}: {len(value)} characters, at most {most} are read")
    return value


def _member(value: object, what: str, kind: type[_E]) -> _E:
    known = [item.value for item in kind]
    if not isinstance(value, str) or value not in known:
        raise _schema(f"{what}: expected one of {known}, found {str(value)[:MAX_KEY]!r}")
    return kind(value)


def _within(value: object, what: str, bounds: tuple[float, float]) -> float:
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _schema(f"{what}: expected a number, found {_kind(value)}")
    if not (low <= value <= high and math.isfinite(value)):
        raise _schema(f"{what}: expected {low:g} to {high:g}, found {value!s:.40}")
    return float(value)


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _not_json(detail: str) -> AnswerError:
    return AnswerError(AnswerErrorKind.NOT_JSON, detail)


def _schema(detail: str) -> AnswerError:
    return AnswerError(AnswerErrorKind.SCHEMA, detail)

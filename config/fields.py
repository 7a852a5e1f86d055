"""How one setting is declared and described: default, unit, meaning, what is allowed.

Knows no setting by name and reads nothing.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """One group of settings; an attribute is the setting's name in lower case."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


def setting(
    default: object,
    meaning: str,
    unit: str = "",
    *,
    allowed: str = "",
    shown: str = "",
    **bounds: Any,
) -> Any:
    """Declare a setting.

    `bounds` are pydantic's ge, gt, le, lt. `allowed` replaces the text derived from type and
    bounds; `shown` replaces the default in texts where it is worked out at start.
    """
    extra: dict[str, Any] = {"unit": unit, "allowed": allowed, "shown": shown}
    return Field(default, description=meaning, json_schema_extra=extra, **bounds)


@dataclass(frozen=True, slots=True)
class Known:
    """A setting as texts see it."""

    name: str  # upper case
    section: str
    default: object
    meaning: str
    unit: str
    allowed: str
    shown: str
    secret: bool
    is_bool: bool
    upper: float | None  # largest number allowed, where there is one

    @property
    def flag(self) -> str:
        return flag_of(self.name)

    @property
    def is_fraction(self) -> bool:
        """Stated as a fraction although its name says percent (0.07 = 7 %)."""
        return self.name.endswith(("_PERCENT", "_CONFIDENCE"))


def flag_of(name: str) -> str:
    """--http-port for HTTP_PORT."""
    return "--" + name.lower().replace("_", "-")


def describe(section: str, attribute: str, field: FieldInfo) -> Known:
    """Collect what texts need of one declared field."""
    extra = field.json_schema_extra
    texts = extra if isinstance(extra, dict) else {}
    kind = _kind(field.annotation)
    return Known(
        name=attribute.upper(),
        section=section,
        default=field.default,
        meaning=field.description or "",
        unit=str(texts.get("unit", "")),
        allowed=str(texts.get("allowed") or _allowed(kind, field)),
        shown=str(texts.get("shown", "")),
        secret=kind is SecretStr,
        is_bool=kind is bool,
        upper=_bound(field, Le, "le"),
    )


def _kind(annotation: object) -> object:
    """The type itself, without "or None" and without validators around it.

    A secret must be recognised in every wrapping: its value would be printed otherwise.
    """
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else annotation
    return annotation


def _allowed(kind: object, field: FieldInfo) -> str:
    if get_origin(kind) is Literal:
        return one_of([str(word) for word in get_args(kind)])
    if kind is bool:
        return "true or false"
    if kind is str or kind is SecretStr:
        return "a text"
    if kind not in (int, float, Decimal):
        raise ValueError(f"say what is allowed where the type does not: {field.description}")
    noun = "a whole number" if kind is int else "a number"
    low, above = _bound(field, Ge, "ge"), _bound(field, Gt, "gt")
    high, below = _bound(field, Le, "le"), _bound(field, Lt, "lt")
    if low is not None and high is not None:
        return f"{noun} from {low:g} to {high:g}"
    parts = [
        text.format(bound)
        for text, bound in (
            ("above {:g}", above),
            ("at least {:g}", low),
            ("below {:g}", below),
            ("at most {:g}", high),
        )
        if bound is not None
    ]
    return " ".join([noun, " and ".join(parts)]).strip()


def _bound(field: FieldInfo, kind: type, attribute: str) -> float | None:
    for mark in field.metadata:
        if isinstance(mark, kind):
            return float(getattr(mark, attribute))
    return None


def one_of(words: list[str]) -> str:
    """ "a, b or c"."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def words(check: Callable[[str], bool], what: str) -> Callable[[object], tuple[str, ...]]:
    """A validator for comma lists: "BTC, ETH" or a list becomes ("BTC", "ETH").

    Raises ValueError when an item fails `check` or stands twice.
    """

    def split(value: object) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError(f"{what}, separated by commas")
        items = tuple(str(part).strip() for part in parts if str(part).strip())
        if not all(check(item) for item in items):
            raise ValueError(f"{what}, separated by commas")
        if len(set(items)) != len(items):
            raise ValueError(f"{what}, each once")
        return items

    return split

"""What one model understands, where it is and how it is asked, as plain values.

Owns their shape; knows neither the settings nor the file they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain.prices import PriceBook


class AnswerFormat(StrEnum):
    """How an answer of a given shape is asked for, strictest first."""

    JSON_SCHEMA = "json_schema"
    TOOL = "tool"
    JSON_OBJECT = "json_object"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint takes. None: the field is not sent, because it refuses or ignores it."""

    formats: tuple[AnswerFormat, ...]  # best first
    strict: bool = True
    temperature: float | None = None
    seed: int | None = None
    max_tokens_field: str = "max_tokens"
    max_output_tokens: int = 2000
    cost_in_usage: bool = False  # its usage says what the call cost, in USD
    extra_body: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """One model. `key` is empty where the endpoint wants none; it is never printed."""

    name: str  # of the seat: "openai"
    base_url: str
    model: str
    key: str = field(repr=False)
    capabilities: Capabilities
    prices: PriceBook
    requests_per_minute: float = 60.0


@dataclass(frozen=True, slots=True)
class AskPolicy:
    """Limits of asking, machine seconds (spec 10, "Asking")."""

    deadline_s: float = 60.0  # no attempt begins after it
    attempt_s: float = 30.0
    attempts: int = 3
    first_wait_s: float = 2.0
    longest_wait_s: float = 4.0
    jitter_s: float = 0.5
    breaker_threshold: int = 5


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked, in bytes: the schema is part of it, since providers show it to the model."""

    system: str
    user: str
    schema: Mapping[str, object]
    schema_name: str

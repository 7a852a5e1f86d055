"""The models that Keel ships: one table each of config/models.toml, read once and checked.

Owns the form of a table; knows no setting, no key and nothing of how a model is asked.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bot.domain.errors import ConfigError
from bot.domain.prices import ANY_MODEL
from config.problems import LOOPBACK

MODELS_FILE = Path(__file__).parent / "models.toml"

HOME_ENDINGS = (".local", ".internal", ".lan", ".home.arpa")  # RFC 6762, ICANN, RFC 8375

# Each has its settings (config/models.py); a table of another name could never be switched on.
NAMES = (
    "openai",
    "deepseek",
    "grok",
    "qwen",
    "anthropic",
    "gemini",
    "openrouter",
    "ollama",
    "vllm",
)

FormatName = Literal["json_schema", "tool", "json_object"]


class PriceEntry(BaseModel):
    """USD a million tokens from a day on; without `cached`, cached tokens cost like others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    host: str | None = None  # holds there alone; None: at the table's address, and at home
    effective_from: date
    input: Decimal = Field(ge=0, allow_inf_nan=False)
    cached: Decimal | None = Field(None, ge=0, allow_inf_nan=False)
    output: Decimal = Field(ge=0, allow_inf_nan=False)
    source: str = Field(min_length=1)  # where it was read, for people


class Overrides(BaseModel):
    """What one model of a table wants otherwise; `extra_body` takes the place of the table's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(default=None, ge=0, le=2)
    extra_body: Mapping[str, Any] | None = None
    leave_out: tuple[Literal["temperature", "seed"], ...] = ()


class ShippedModel(BaseModel):
    """One endpoint: where it is, what it understands, what it costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    base_url: str
    model: str
    key: str | None = None  # pattern of its keys; None: it needs none
    key_shown: str = "a text"
    formats: tuple[FormatName, ...] = Field(min_length=1)
    strict: bool = True  # understands strict: true
    temperature: float | None = Field(None, ge=0, le=2)  # None: not sent, it refuses it
    seed: int | None = None  # None: not sent
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    max_output_tokens: int = Field(ge=100, le=100_000)
    requests_per_minute: float = Field(60, gt=0)
    cost_in_usage: bool = False  # the answer says what it cost
    extra_body: Mapping[str, Any] = {}
    prices: tuple[PriceEntry, ...] = Field(min_length=1)
    overrides: Mapping[str, Overrides] = {}

    def of_model(self, model: str) -> ShippedModel:
        """The table as this model of it wants it."""
        given = self.overrides.get(model)
        if given is None:
            return self
        said = {"temperature": given.temperature, "extra_body": given.extra_body}
        changed: dict[str, Any] = {name: what for name, what in said.items() if what is not None}
        return self.model_copy(update=changed | dict.fromkeys(given.leave_out))

    @model_validator(mode="after")
    def _nothing_is_free_elsewhere(self) -> Self:
        if is_home(self.base_url):
            return self
        for entry in self.prices:
            if entry.model == ANY_MODEL and entry.host is None and not entry.input + entry.output:
                raise ValueError(f"prices: every model at 0 needs a host; {self.base_url} bills")
        return self

    def prices_at(self, base_url: str) -> tuple[PriceEntry, ...]:
        """The prices of that address; none where somebody else bills who names none here."""
        host = _host(base_url)
        named = tuple(entry for entry in self.prices if (entry.host or "").lower() == host)
        if named or (host != _host(self.base_url) and not is_home(base_url)):
            return named
        return tuple(entry for entry in self.prices if entry.host is None)

    def priced(self, base_url: str | None = None) -> tuple[str, ...]:
        """The models that have a price there, or at the table's own address."""
        return tuple(sorted({entry.model for entry in self.prices_at(base_url or self.base_url)}))


def is_home(base_url: str) -> bool:
    """Whether an address is of this machine or of a network of one's own, where nobody bills."""
    host = _host(base_url)
    if host in LOOPBACK or host.endswith(HOME_ENDINGS):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not address.is_global


def _host(base_url: str) -> str:
    return (urlsplit(base_url).hostname or "").lower()


def read_catalogue(path: Path = MODELS_FILE) -> Mapping[str, ShippedModel]:
    """Read every table, by name in lower case. Raises ConfigError naming every problem."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}; mend it") from error
    found: dict[str, ShippedModel] = {}
    problems = [
        f"{path.name} [{name}]: no settings of that name exist; known are {', '.join(NAMES)}: "
        f"take the place of one of them by its base URL"
        for name in content
        if name not in NAMES
    ]
    problems += [f"{path.name}: [{name}] is missing" for name in NAMES if name not in content]
    for name, table in content.items():
        try:
            found[name] = ShippedModel.model_validate(table)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=False):
                place = ".".join(map(str, detail["loc"]))
                problems.append(f"{path.name} [{name}] {place}: {detail['msg']}; mend it")
    if problems:
        raise ConfigError(*problems)
    return found


SHIPPED = read_catalogue()

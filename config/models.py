"""The settings of the AI council: which models are asked, how long, and for how much money.

Owns declaring and checking them; what an endpoint understands and costs is config/models.toml's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from bot.domain.prices import ANY_MODEL
from config.catalogue import SHIPPED, PriceEntry, ShippedModel
from config.fields import Section, setting
from config.problems import LOOPBACK, show
from config.templates import COUNCIL_PROMPT, prompt_names

if TYPE_CHECKING:
    from config.settings import Settings

_KEY = re.compile(r"[!-~]+")  # what may stand in a header
_MODEL = re.compile(r"[!-~]{1,200}")
_NO_PATH = re.compile(r"[?#\s]")


def _key(value: SecretStr) -> SecretStr:
    if not _KEY.fullmatch(value.get_secret_value()):
        raise ValueError("a key without spaces or control characters")
    return value


def _model(value: str) -> str:
    if not _MODEL.fullmatch(value):
        raise ValueError("the model's name at the endpoint, without spaces")
    return value


def _prompt(value: str) -> str:
    if value not in prompt_names():
        raise ValueError(f"one of {', '.join(prompt_names())}, a file of config/prompts/")
    return value


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("an http:// or https:// address without a user in it")
    # The path is put behind it, and it is shown: a key after "?" would be neither sent nor hidden.
    if _NO_PATH.search(value) or parts.port == 0:
        raise ValueError("an address without ?, #, spaces and port 0; keys have their own setting")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("an https:// address; http is for loopback only")
    return value.rstrip("/")


Key = Annotated[SecretStr, AfterValidator(_key)] | None
Address = Annotated[str, AfterValidator(_address)] | None
Model = Annotated[str, AfterValidator(_model)] | None


def _seat(name: str) -> Any:
    return setting(False, f"Whether {SHIPPED[name].title} has a seat in the council.")


def _secret(name: str) -> Any:
    shipped = SHIPPED[name]
    needed = "Key" if shipped.key is not None else "Key, where the endpoint wants one"
    return setting(None, f"{needed}: {shipped.title}.", allowed=shipped.key_shown)


def _place(name: str) -> Any:
    shipped = SHIPPED[name]
    return setting(
        None,
        f"Where it is asked: {shipped.title}, or anything that speaks like OpenAI.",
        allowed="an https:// address, http:// on loopback; another host than the default, if not "
        "of your own network, needs a price of its own in config/models.toml",
        shown=shipped.base_url,
    )


def _named(name: str) -> Any:
    shipped = SHIPPED[name]
    priced = shipped.priced()
    named = f"a model with a price in config/models.toml: {', '.join(priced)}"
    return setting(
        None,
        f"Which model is asked: {shipped.title}.",
        allowed="the name of a model that it has" if ANY_MODEL in priced else named,
        shown=shipped.model,
    )


class Council(Section):
    """How the AI council is asked, and for how much money."""

    council_deadline_seconds: float = setting(
        60.0, "When the council decides without who has not answered.", "s", ge=1, le=600
    )
    model_attempt_seconds: float = setting(
        30.0, "Longest wait for one answer of a model.", "s", ge=0.5, le=300
    )
    model_attempts: int = setting(
        3, "How often a model is asked that fails in a passing way.", ge=1, le=5
    )
    model_first_wait_seconds: float = setting(
        2.0,
        "Wait before a second attempt; doubled before each more.",
        "s",
        ge=0,
        le=60,
    )
    model_longest_wait_seconds: float = setting(
        4.0, "Longest of these waits, where the model names no longer one.", "s", ge=0, le=300
    )
    model_jitter_seconds: float = setting(
        0.5, "Most that chance adds to such a wait.", "s", ge=0, le=60
    )
    late_answer_seconds: float = setting(
        30.0,
        "How long a late answer is waited for, for the record.",
        "s",
        ge=0,
        le=600,
    )
    late_answers_at_once: int = setting(
        8, "How many late answers are waited for at once; the oldest makes room.", ge=0, le=100
    )
    council_min_share: float = setting(
        0.60,
        "Least share of the votes' weight for the winning side; below it the council says HOLD.",
        "fraction, 0.6 = 60 %",
        ge=0.5,
        le=1,
    )
    answer_cache_seconds: float = setting(
        300.0,
        "Longest life of an answer for the same question; it never outlives the candle.",
        "s of market time",
        ge=0,
        le=86_400,
    )
    council_prompt: Annotated[str, AfterValidator(_prompt)] = setting(
        COUNCIL_PROMPT,
        "Prompt template; changed bytes are another version in each trace.",
        allowed="a name of config/prompts/, without .md",
    )
    ai_budget_per_decision_usd: Decimal = setting(
        Decimal("0.25"), "Most that all models together may cost a decision.", "USD", ge=0, le=100
    )
    ai_budget_per_day_usd: Decimal = setting(
        Decimal("5"),
        "Most that all models may cost a day (UTC, real time).",
        "USD",
        ge=0,
        le=10_000,
    )
    circuit_breaker_threshold: int = setting(
        5, "Failures in a row after which a model is left alone for a minute.", ge=1, le=100
    )


class Models(Section):
    """The models of the council; each is off until it is switched on, for it costs money."""

    enable_openai: bool = _seat("openai")
    openai_api_key: Key = _secret("openai")
    openai_base_url: Address = _place("openai")
    openai_model: Model = _named("openai")

    enable_deepseek: bool = _seat("deepseek")
    deepseek_api_key: Key = _secret("deepseek")
    deepseek_base_url: Address = _place("deepseek")
    deepseek_model: Model = _named("deepseek")

    enable_grok: bool = _seat("grok")
    grok_api_key: Key = _secret("grok")
    grok_base_url: Address = _place("grok")
    grok_model: Model = _named("grok")

    enable_qwen: bool = _seat("qwen")
    qwen_api_key: Key = _secret("qwen")
    qwen_base_url: Address = _place("qwen")
    qwen_model: Model = _named("qwen")

    enable_anthropic: bool = _seat("anthropic")
    anthropic_api_key: Key = _secret("anthropic")
    anthropic_base_url: Address = _place("anthropic")
    anthropic_model: Model = _named("anthropic")

    enable_gemini: bool = _seat("gemini")
    gemini_api_key: Key = _secret("gemini")
    gemini_base_url: Address = _place("gemini")
    gemini_model: Model = _named("gemini")

    enable_openrouter: bool = _seat("openrouter")
    openrouter_api_key: Key = _secret("openrouter")
    openrouter_base_url: Address = _place("openrouter")
    openrouter_model: Model = _named("openrouter")

    enable_ollama: bool = _seat("ollama")
    ollama_api_key: Key = _secret("ollama")
    ollama_base_url: Address = _place("ollama")
    ollama_model: Model = _named("ollama")

    enable_vllm: bool = _seat("vllm")
    vllm_api_key: Key = _secret("vllm")
    vllm_base_url: Address = _place("vllm")
    vllm_model: Model = _named("vllm")

    @classmethod
    def switches(cls) -> tuple[str, ...]:
        """The names of the settings that give a model its seat."""
        return tuple(f"ENABLE_{name.upper()}" for name in SHIPPED)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One model that has a seat, shipped numbers and settings put together."""

    name: str  # lower case, as in config/models.toml and as its seat is called
    shipped: ShippedModel
    base_url: str
    model: str
    key: SecretStr | None

    @property
    def prices(self) -> tuple[PriceEntry, ...]:
        """What is billed where it is asked."""
        return self.shipped.prices_at(self.base_url)

    @property
    def key_setting(self) -> str:
        return f"{self.name.upper()}_API_KEY"


def chosen(settings: Settings) -> tuple[Chosen, ...]:
    """The models that are switched on, in the order of config/models.toml."""
    given = settings.models
    return tuple(
        Chosen(
            name=name,
            shipped=shipped.of_model(getattr(given, f"{name}_model") or shipped.model),
            base_url=getattr(given, f"{name}_base_url") or shipped.base_url,
            model=getattr(given, f"{name}_model") or shipped.model,
            key=getattr(given, f"{name}_api_key"),
        )
        for name, shipped in SHIPPED.items()
        if getattr(given, f"enable_{name}", False)
    )


def model_problems(settings: Settings, skip: frozenset[str]) -> Iterator[str]:
    """Lines for models that are switched on and cannot be asked; `skip`: names already wrong."""
    yield from _about_twins(chosen(settings))
    for one in chosen(settings):
        if one.key_setting not in skip:
            yield from _about_key(one)
        if f"{one.name.upper()}_MODEL" not in skip:
            yield from _about_price(one, skip)
        if f"{one.name.upper()}_BASE_URL" not in skip:
            yield from _about_address(one, settings)
    council = settings.council
    if council.model_attempt_seconds > council.council_deadline_seconds:
        yield (
            f"MODEL_ATTEMPT_SECONDS {council.model_attempt_seconds:g} is above "
            f"COUNCIL_DEADLINE_SECONDS {council.council_deadline_seconds:g}; no answer could count"
        )


def _about_twins(models: Sequence[Chosen]) -> Iterator[str]:
    """One model on two seats would be a quorum of its own."""
    first: dict[tuple[str, str], Chosen] = {}
    for one in models:
        other = first.setdefault((one.base_url.lower(), one.model), one)
        if other is not one:
            name = one.name.upper()
            yield (
                f"{name}_MODEL: ENABLE_{other.name.upper()} and ENABLE_{name} ask "
                f"{show(one.model)} at the same address, and one model has one vote; "
                f"name another model, or set ENABLE_{name}=false"
            )


def _about_key(one: Chosen) -> Iterator[str]:
    pattern, name = one.shipped.key, one.key_setting
    if pattern is None:
        return
    if one.key is None:
        yield (
            f"ENABLE_{one.name.upper()} is true and {name} is not set; "
            f"put the key into .env, or set ENABLE_{one.name.upper()}=false"
        )
    elif one.base_url == one.shipped.base_url and not re.fullmatch(
        pattern, one.key.get_secret_value()
    ):
        shown = f"one is {one.shipped.key_shown}"
        yield f"{name}: (hidden) is not a key of {one.shipped.title}; {shown}"


def _about_price(one: Chosen, skip: frozenset[str]) -> Iterator[str]:
    priced = one.shipped.priced(one.base_url)
    name, host = one.name.upper(), urlsplit(one.base_url).hostname
    must = "and what a call costs must be known before it is made"
    if not priced:
        if f"{name}_BASE_URL" not in skip:
            yield (
                f"{name}_BASE_URL: no price at {show(one.base_url)} is known, {must}; add a dated "
                f'price with host = "{host}" to [{one.name}] in config/models.toml'
            )
    elif one.model not in priced and ANY_MODEL not in priced:
        yield (
            f"{name}_MODEL: no price of {show(one.model)} is known, {must}; name one of "
            f"{', '.join(priced)}, or add its dated price to config/models.toml"
        )


def _about_address(one: Chosen, settings: Settings) -> Iterator[str]:
    parts, web = urlsplit(one.base_url), settings.web
    if parts.hostname in LOOPBACK and web.http_port and parts.port == web.http_port:
        yield (
            f"{one.name.upper()}_BASE_URL: {show(one.base_url)} is Keel's own page; "
            f"name the model's address, or move the page by HTTP_PORT"
        )

"""The settings tree and how it is put together from its layers.

Owns the order: defaults, profile, `.env`, environment, flags. Nothing else in Keel reads
the environment. Knows nothing of what a setting is used for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.domain.errors import ConfigError
from config import layers, problems
from config.fields import Known, Section, describe
from config.guarding import Breakers, Care
from config.layers import Layer
from config.models import Council, Models, model_problems
from config.sections import Demo, Gates, General, Risk, Signals, Venue, Web

# {strategy: {variant: {parameter: value}}}
Overrides = Mapping[str, Mapping[str, Mapping[str, bool | int | float | str]]]

DEFAULT_MODE = "demo"
YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
OVERRIDES = "strategy_overrides"
REACH = frozenset({"DATA_DIR", "HTTP_HOST", "HTTP_PORT", "API_TOKEN"})  # to speak to a daemon


class Settings(BaseSettings):
    """All settings, valid and frozen: `settings.risk.max_leverage` is MAX_LEVERAGE."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    general: General = General()
    web: Web = Web()
    demo: Demo = Demo()
    venue: Venue = Venue()
    signals: Signals = Signals()
    gates: Gates = Gates()
    risk: Risk = Risk()
    breakers: Breakers = Breakers()
    care: Care = Care()
    council: Council = Council()
    models: Models = Models()
    strategy_overrides: Overrides = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the layers handed over as `layers=`, highest first, and no other source."""
        given = dict(cast(InitSettingsSource, init_settings).init_kwargs)
        stack: list[Layer] = given.pop("layers", [])
        sources = [_LayerSource(settings_cls, layer) for layer in stack]
        return (InitSettingsSource(settings_cls, given), *sources)


class _LayerSource(PydanticBaseSettingsSource):
    """One flat layer as the nested values that the tree wants; pydantic-settings merges them."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        nested: dict[str, Any] = {}
        for name, value in self._layer.values.items():
            nested.setdefault(known()[name].section, {})[name.lower()] = value
        if self._layer.tables:
            nested["strategy_overrides"] = self._layer.tables
        return nested


@dataclass(frozen=True, slots=True)
class Loaded:
    """Valid settings, and what the operator should be told all the same."""

    settings: Settings
    warnings: tuple[str, ...]
    # From the same layers, as they are then.
    again: Callable[[], Loaded] = field(compare=False, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)  # as given, used or not


def load(
    flags: Mapping[str, str | Sequence[str]],
    environ: Mapping[str, str],
    env_file: Path | None,
    typed: Mapping[str, str] = {},
    judged: Collection[str] | None = None,
) -> Loaded:
    """Put the settings together; later layers win: profile, `.env`, environment, flags.

    `flags` are given by setting name ("HTTP_PORT"); an empty value means "not set". `typed` is
    how they were spelled where that is not --http-port.
    With `judged` only these settings and the flags must be right: what is wrong elsewhere is a
    warning, and its default holds.
    Raises ConfigError with every problem at once, one line each, none with a secret in it.
    """
    names = known()
    upper = [
        layers.flags(flags, names, typed),
        layers.environment(environ, names),
        layers.dotenv(env_file, names),
    ]
    found = [line for layer in upper for line in layer.problems]
    mode = _settle_mode(upper, found)
    profile = _profile(upper, mode)
    secrets = [name for name, setting in names.items() if setting.secret]
    numbers = layers.profile(profile, names, secrets)
    found += numbers.problems
    defaults = Layer("default", {"PROFILE": profile, "RULES_MAY_TRADE": mode != "live"})
    if _asks_models(upper):  # they answer in real time (spec 05, "Two times, and a third")
        defaults.values["DEMO_SPEED"] = 1.0
    stack = [*upper, numbers, defaults]

    settings, wrong = _validate(stack)
    found += [line for _, line in wrong]
    skip = [name for name, _ in wrong]
    found += problems.between(settings, skip, lambda name: _where(stack, name))
    found += model_problems(settings, frozenset(skip))
    excused: list[str] = []
    if judged is not None:
        typed_now = upper[0]
        needed = [line for name, line in wrong if name in {*judged, *typed_now.values}]
        needed += typed_now.problems
        excused = [line for line in found if line not in needed]
        found = needed
    if found:
        raise ConfigError(*found)
    settings, warnings = _said(settings, stack)
    given = [layer.values.get(name) for layer in stack for name in secrets]
    return Loaded(
        settings,
        (*warnings, *excused),
        partial(load, flags, environ, env_file, typed),
        tuple(str(one) for one in given if one),
    )


def known() -> dict[str, Known]:
    """Every setting by its name, in the order of the tree."""
    return _KNOWN


def known_names() -> frozenset[str]:
    """Every name that means something to Keel, older and explained ones included."""
    return frozenset({*_KNOWN, *layers.ALIASES, *layers.EXPLAINED})


def _collect() -> dict[str, Known]:
    found: dict[str, Known] = {}
    for section, declared_section in Settings.model_fields.items():
        kind = declared_section.annotation
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            continue
        for attribute, declared in kind.model_fields.items():
            one = describe(section, attribute, declared)
            if one.name in found:
                raise ValueError(f"setting {one.name} is declared twice")
            found[one.name] = one
    return found


_KNOWN = _collect()


def _first(stack: list[Layer], name: str) -> object | None:
    return next((layer.values[name] for layer in stack if name in layer.values), None)


def _where(stack: list[Layer], name: str) -> str:
    """The layer that spoke; a flag by the shorter name that was typed, where it has one."""
    layer = next((layer for layer in stack if name in layer.values), None)
    if layer is None:
        return "default"
    typed = layer.typed.get(name, known()[name].flag)
    return layer.where if typed == known()[name].flag else typed


def _settle_mode(upper: list[Layer], found: list[str]) -> str:
    """The mode asked for by MODE or USE_PAPER_TRADING; a contradiction goes to `found`."""
    asked = _first(upper, "MODE")
    paper = str(_first(upper, "USE_PAPER_TRADING")).lower()
    implied = "paper" if paper in YES else "live" if paper in NO else None
    if implied is None:
        return DEFAULT_MODE if asked is None else str(asked).lower()
    if asked is None:
        source = next(layer for layer in upper if "USE_PAPER_TRADING" in layer.values)
        source.values["MODE"] = implied
        source.typed = {**source.typed, "MODE": f"USE_PAPER_TRADING={paper}, {source.where}"}
        return implied
    if str(asked).lower() != implied:
        found.append(
            f"USE_PAPER_TRADING={paper} means MODE={implied}, but MODE is {problems.show(asked)}; "
            f"take one of the two out"
        )
    return str(asked).lower()


def _profile(upper: list[Layer], mode: str) -> str:
    asked = _first(upper, "PROFILE")
    if asked is not None:
        return str(asked).lower()
    return "demo" if mode == "demo" else "conservative"


def _asks_models(upper: list[Layer]) -> bool:
    enabled = (_first(upper, name) for name in Models.switches())
    return any(str(value).lower() in YES for value in enabled)


def _built(stack: list[Layer]) -> Settings:
    values: dict[str, Any] = {"layers": stack}
    return Settings(**values)


def _validate(stack: list[Layer]) -> tuple[Settings, list[tuple[str, str]]]:
    """Build the tree. Wrong values are told, and the tree is built without them.

    Returns the tree and (name, line) of each wrong value.
    """
    try:
        return _built(stack), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
    wrong: dict[str, str] = {}
    for detail in details:
        section, *path = (str(part) for part in detail["loc"])
        if section == OVERRIDES:
            name = "[strategies." + ".".join(path[:2]) + "]"
            parameter = path[2] if len(path) > 2 else ""
            line = f"{name} {parameter}: allowed are tables of numbers, texts, true and false"
        else:
            name = path[0].upper()
            line = problems.wrong_value(
                known()[name], _first(stack, name), _where(stack, name), detail
            )
        wrong.setdefault(name, line)
    rest = [
        Layer(layer.where, {k: v for k, v in layer.values.items() if k not in wrong})
        for layer in stack
    ]
    return _built(rest), list(wrong.items())


def _said(settings: Settings, stack: list[Layer]) -> tuple[Settings, tuple[str, ...]]:
    """What is valid and still worth a word; a real key never goes along into demo."""
    lines = [line for layer in stack for line in layer.warnings]
    lines += [
        f"{name} was given as a flag, where every user of this machine can read it; "
        f"put it into .env"
        for name, setting in known().items()
        if setting.secret and name in stack[0].values and not _open_url(name, stack[0])
    ]
    venue = settings.venue
    unused = ("hyperliquid_api_key", "hyperliquid_account")
    present = [name for name in unused if getattr(venue, name) is not None]
    if settings.general.mode != "demo" or not present:
        return settings, tuple(lines)
    lines.append(
        f"{' and '.join(name.upper() for name in present)} ignored: MODE=demo signs with a key "
        f"of its own and sends nothing off this machine"
    )
    venue = venue.model_copy(update=dict.fromkeys(unused))
    return settings.model_copy(update={"venue": venue}), tuple(lines)


def _open_url(name: str, layer: Layer) -> bool:
    """A database URL without a user in it is no secret."""
    return name == "DATABASE_URL" and "@" not in str(layer.values[name])


def _plain(value: object) -> str:
    """Money in one spelling: 3 and 3.00 are the same setting."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    raise TypeError(f"a setting of kind {type(value).__name__} has no canonical text")

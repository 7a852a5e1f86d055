"""Finding plug-ins by file name: one file is one thing, imported only when asked for.

Owns what a strategy file exports and how it is loaded; knows no strategy by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from types import ModuleType
from typing import Any, Generic, TypeVar

from bot.domain.errors import ConfigError
from bot.domain.signals import SignalArray
from bot.domain.types import Bars, Regime, Side

P = TypeVar("P")

BOTH = (Side.LONG, Side.SHORT)
STRATEGIES = "strategies"

Regimes = Mapping[Regime, tuple[Side, ...]]


@dataclass(frozen=True, slots=True)
class StrategySpec(Generic[P]):
    """What a strategy file exports as `SPEC`; `P` is its frozen dataclass `Params`.

    `regimes` names for each variant the sides it may take in each regime; `warm_up` gives
    the bars after which more history changes no signal; `weight` ranks it among the
    strategies of one symbol and is no capital.
    """

    signals: Callable[[Bars, P], SignalArray]
    variants: Mapping[str, P]
    regimes: Mapping[str, Regimes]
    warm_up: Callable[[P], int]
    why: str  # the rule in half a sentence, for signals and traces
    target_r: float = 2.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if list(self.variants) != list(self.regimes):
            raise ValueError(
                f"spec: variants {list(self.variants)} and regimes {list(self.regimes)} "
                "must name the same variants in the same order"
            )


@dataclass(frozen=True, slots=True, eq=False)
class LoadedStrategy:
    """One variant of one strategy, with its parameters bound; a `proposal.Rule`."""

    id: str  # "rsi_mean_reversion.tight"
    params: object
    regimes: Regimes
    warm_up: int
    target_r: float
    weight: float
    why: str
    run: Callable[[Bars], SignalArray]

    def sides(self, regime: Regime) -> tuple[Side, ...]:
        """The sides it may take in this regime; empty: it is silent."""
        return self.regimes.get(regime, ())

    def signals(self, bars: Bars) -> SignalArray:
        """One wish per bar; live reads the last, the backtest reads all."""
        return self.run(bars)


def names(package: str) -> tuple[str, ...]:
    """The plug-ins of a package by file name, sorted; none of them is imported."""
    root = importlib.import_module(package)
    found = (item.name for item in pkgutil.iter_modules(root.__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """Import one plug-in. Raises ConfigError with the nearest name when there is none."""
    known = names(package)
    if name not in known:
        raise ConfigError(f"{package}: {unknown(name, known)}")
    return importlib.import_module(f"{package}.{name}")


def load_strategies(
    enabled: Sequence[str], overrides: Mapping[str, Mapping[str, object]]
) -> tuple[LoadedStrategy, ...]:
    """Load the enabled strategies: "scalper" (every variant) or "rsi_mean_reversion.tight".

    `overrides` maps "file.variant" to parameters that replace the variant's own. The order
    is that of `enabled`, each variant once. Raises ConfigError naming every problem found.
    """
    problems: list[str] = []
    loaded: dict[str, LoadedStrategy] = {}
    for wish in enabled:
        name, _, variant = wish.partition(".")
        try:
            spec = _spec(name)
            for chosen in _variants(name, spec, variant):
                ident = f"{name}.{chosen}"
                loaded[ident] = _bind(ident, spec, chosen, overrides.get(ident, {}))
        except ConfigError as error:
            problems.extend(error.problems)
    problems += _strays(overrides, loaded)
    if problems:
        raise ConfigError(*problems)
    return tuple(loaded.values())


def unknown(name: str, known: Sequence[str]) -> str:
    """Say that a name is unknown, which one was probably meant, and which there are."""
    near = get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no {name!r}{meant} (known: {', '.join(known) or 'none'})"


def _spec(name: str) -> StrategySpec[Any]:
    spec = getattr(load(STRATEGIES, name), "SPEC", None)
    if not isinstance(spec, StrategySpec):
        raise ConfigError(f"strategies/{name}.py: exports no SPEC of type StrategySpec")
    return spec


def _variants(name: str, spec: StrategySpec[Any], variant: str) -> tuple[str, ...]:
    if not variant:
        return tuple(spec.variants)
    if variant not in spec.variants:
        raise ConfigError(f"strategy {name}: {unknown(variant, tuple(spec.variants))}")
    return (variant,)


def _bind(
    ident: str, spec: StrategySpec[Any], variant: str, override: Mapping[str, object]
) -> LoadedStrategy:
    params = _override(ident, spec.variants[variant], override)

    def run(bars: Bars) -> SignalArray:
        return spec.signals(bars, params)

    return LoadedStrategy(
        id=ident,
        params=params,
        regimes=spec.regimes[variant],
        warm_up=spec.warm_up(params),
        target_r=spec.target_r,
        weight=spec.weight,
        why=spec.why,
        run=run,
    )


def _override(ident: str, params: Any, override: Mapping[str, object]) -> Any:
    """Parameters with some replaced; a float may be written as a whole number."""
    known = {item.name: getattr(params, item.name) for item in fields(params)}
    changes: dict[str, object] = {}
    problems: list[str] = []
    for key, value in override.items():
        if key not in known:
            problems.append(f"[strategies.{ident}] {unknown(key, tuple(known))}")
            continue
        kind = type(known[key])
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            problems.append(
                f"[strategies.{ident}] {key}: expected {kind.__name__}, "
                f"found {value!r} ({type(value).__name__})"
            )
        changes[key] = value
    if problems:
        raise ConfigError(*problems)
    try:
        return replace(params, **changes)
    except ValueError as error:
        raise ConfigError(f"[strategies.{ident}] {error}") from error


def _strays(overrides: Mapping[str, object], loaded: Mapping[str, LoadedStrategy]) -> list[str]:
    """Override tables that name nothing; one of a strategy that is merely off is fine."""
    problems: list[str] = []
    for ident in overrides:
        name, _, variant = ident.partition(".")
        if ident in loaded:
            continue
        if name not in names(STRATEGIES):
            problems.append(f"[strategies.{ident}] {unknown(name, names(STRATEGIES))}")
        elif variant not in _spec(name).variants:
            known = tuple(_spec(name).variants)
            problems.append(f"[strategies.{ident}] {unknown(variant, known)}")
    return problems

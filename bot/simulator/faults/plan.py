"""A fault script, read strictly: TOML, JSON or a mapping becomes a plan, or one clear line.

Owns the form of a script; knows no world.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bot.domain.errors import ConfigError
from bot.simulator.faults.kinds import (
    NEED_A_COIN,
    OF_FRAMES,
    OF_REQUESTS,
    WORDS,
    FaultKind,
    Value,
    Word,
)

EVER = 0  # `times`: all of them


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as the script has it, every field that its kind knows filled in."""

    kind: FaultKind
    said: Mapping[str, Value]

    def text(self, name: str) -> str:
        return str(self.said[name])

    def real(self, name: str) -> float:
        return float(self.said[name])

    def count(self, name: str) -> int:
        return int(self.said[name])

    def flag(self, name: str) -> bool:
        return bool(self.said[name])

    @property
    def coin(self) -> str:
        """The coin it is about; empty: all of them."""
        return self.text("coin")


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults in the script's order; `seed` decides every chance."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0


NO_FAULTS = FaultPlan()


def load_plan(path: Path) -> FaultPlan:
    """Read a script: JSON when its name ends so, else TOML. Raises ConfigError, one line each."""
    try:
        text = path.read_text(encoding="utf-8")
        said = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"faults {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"faults {path}: not readable: {error}") from error
    return plan_of(said, f"faults {path}")


def plan_of(said: object, name: str = "faults") -> FaultPlan:
    """Judge a script that was read. Raises ConfigError that names every problem."""
    problems: list[str] = []
    if not isinstance(said, Mapping):
        raise ConfigError(f"{name}: expected a table with seed, fault and random, found {said!r}")
    _unknown(said, ("seed", "fault", "random"), name, problems)
    seed = said.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        problems.append(f"{name}: seed: expected a whole number of at least 0, found {seed!r}")
        seed = 0
    listed = said.get("fault", [])
    if not isinstance(listed, list):
        problems.append(f"{name}: fault: expected a list of tables, found {listed!r}")
        listed = []
    found = [_fault(row, f"{name}: fault {n}", problems) for n, row in enumerate(listed, 1)]
    found += _random(said.get("random", {}), f"{name}: random", problems)
    if problems:
        raise ConfigError(*problems)
    return FaultPlan(tuple(fault for fault in found if fault is not None), seed)


def _fault(row: object, name: str, problems: list[str]) -> Fault | None:
    if not isinstance(row, Mapping):
        problems.append(f"{name}: expected a table, found {row!r}")
        return None
    kind = _kind(row.get("kind"), name, problems)
    if kind is None:
        return None
    words = WORDS[kind]
    _unknown(row, ("kind", *words), name, problems)
    said = {key: _value(row, key, word, name, problems) for key, word in words.items()}
    if kind in NEED_A_COIN and not said["coin"]:
        problems.append(f"{name}: {kind} needs a coin")
    if kind is FaultKind.META_DRIFT and said["size_decimals"] == -1 and not said["max_leverage"]:
        problems.append(f"{name}: {kind} needs size_decimals or max_leverage")
    return Fault(kind, said)


def _random(rates: object, name: str, problems: list[str]) -> list[Fault | None]:
    """Faults by chance: kind = rate, without end, on everything of its kind."""
    if not isinstance(rates, Mapping):
        problems.append(f"{name}: expected a table of rates, found {rates!r}")
        return []
    found: list[Fault | None] = []
    for key, rate in rates.items():
        kind = _kind(key, name, problems)
        if kind is None:
            continue
        if kind not in (*OF_REQUESTS, *OF_FRAMES):
            problems.append(f"{name}: {kind} cannot come by chance; write it as a fault")
            continue
        row = {"kind": kind.value, "rate": rate, "times": EVER}
        found.append(_fault(row, f"{name}: {kind}", problems))
    return found


def _kind(said: object, name: str, problems: list[str]) -> FaultKind | None:
    known = [kind.value for kind in FaultKind]
    if said in known:
        return FaultKind(str(said))
    near = get_close_matches(str(said), known, 1)
    hint = f"; did you mean {near[0]}?" if near else f", one of {', '.join(known)}"
    problems.append(f"{name}: kind: {said!r} is no fault{hint}")
    return None


def _value(row: Mapping[str, Any], key: str, word: Word, name: str, problems: list[str]) -> Value:
    value = row.get(key, word.default)
    match word.default:
        case bool():
            fits = isinstance(value, bool)
            wish = "true or false"
        case str():
            fits = isinstance(value, str) and (not word.choices or value in word.choices)
            wish = f"one of {', '.join(word.choices)}" if word.choices else "a text"
        case default:
            whole = isinstance(default, int)
            number = isinstance(value, int) or (isinstance(value, float) and not whole)
            fits = number and not isinstance(value, bool) and word.low <= value <= word.high
            wish = f"a {'whole ' if whole else ''}number from {word.low:g} to {word.high:g}"
    if fits:
        return value  # type: ignore[no-any-return]  # judged just now
    problems.append(f"{name}: {key}: expected {wish}, found {value!r}")
    return word.default


def _unknown(
    row: Mapping[str, Any], known: tuple[str, ...], name: str, problems: list[str]
) -> None:
    for key in row:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{name}: {key} is not known here{hint}")

"""The layers that settings come from, each as a flat mapping of names to raw values.

Owns reading and the names (unknown, aliased, explained); knows no type and no bound.
"""

from __future__ import annotations

import difflib
import io
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from config.fields import flag_of

PROFILES = Path(__file__).parent / "profiles"

ALIASES = {"POLL_INTERVAL_SEC": "SCAN_INTERVAL_SECONDS"}

# Names that people bring along from elsewhere: known, and answered.
EXPLAINED = {
    "HYPERLIQUID_API_SECRET": (
        "there is no key and secret pair on Hyperliquid; put the API wallet's private key into "
        "HYPERLIQUID_API_KEY and its account's address into HYPERLIQUID_ACCOUNT"
    ),
}

# What no profile decides: a profile is a set of numbers, never a world, never a secret.
NOT_IN_PROFILE = ("MODE", "PROFILE", "USE_PAPER_TRADING")

FILES = "DEMO_CANDLES"  # as a flag never empty: that would play invented prices unasked

SUGGEST_FROM = 0.6  # similarity from which a name is worth proposing
NEAR_MISS = 0.85  # similarity from which a stranger's variable is taken for a slip (spec 05)


@dataclass(slots=True)
class Layer:
    """One source: its values by known name, and what was wrong with its names."""

    where: str  # as texts name it: "the environment", ".env", "flag", "profile scalper"
    values: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tables: dict[str, object] = field(default_factory=dict)  # a profile's [strategies.…]
    typed: Mapping[str, str] = field(default_factory=dict)  # of flags: {"DEMO_SPEED": "--speed"}


def flags(
    raw: Mapping[str, str | Sequence[str]], known: Iterable[str], typed: Mapping[str, str]
) -> Layer:
    """Read flags, given by setting name in upper case; `typed` is how they were spelled."""
    layer = _named("flag", raw, known)
    layer.typed = typed
    said = raw.get(FILES, "a")
    if not all(word.strip() for word in ([said] if isinstance(said, str) else said)):
        flag = typed.get(FILES, flag_of(FILES))
        layer.problems.append(
            f"{flag}: a file's name is empty (a shell variable that is not set?); "
            f"name a file, or leave {flag} out"
        )
    return layer


def environment(raw: Mapping[str, str], known: Iterable[str]) -> Layer:
    """Read the environment; strangers' variables are no error, near misses are a warning."""
    names = [*known, *ALIASES, *EXPLAINED]
    ours = {name: value for name, value in raw.items() if name in names}
    layer = _named("the environment", ours, known)
    for name in sorted(raw.keys() - ours.keys()):
        near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=NEAR_MISS)
        if near:
            layer.warnings.append(f"{name} in the environment is not a setting; {near[0]} is")
    return layer


def dotenv(path: Path | None, known: Iterable[str]) -> Layer:
    """Read an `.env` file; None, or a file that is not there, is an empty layer."""
    if path is None:
        return Layer(".env")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Layer(".env")
    except (OSError, UnicodeDecodeError) as error:
        return Layer(".env", problems=[f"{path} cannot be read ({type(error).__name__}); mend it"])
    raw: dict[str, str] = {}
    broken: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            line = binding.original.line
            broken.append(f".env line {line} is not NAME=value; mend the line")
        elif binding.key is not None and binding.value is not None:
            raw[binding.key] = binding.value
    layer = _named(".env", raw, known)
    layer.problems[:0] = broken
    return layer


def profile(name: str, known: Iterable[str], secrets: Iterable[str]) -> Layer:
    """Read `config/profiles/<name>.toml`."""
    where = f"profile {name}"
    if name not in profile_names():
        near = _nearest(name, profile_names())
        line = (
            f"PROFILE: {name[:40]!r} is not a profile{near}; allowed is one of "
            f"{', '.join(profile_names())}"
        )
        return Layer(where, problems=[line])
    path = PROFILES / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Layer(where, problems=[f"{where}: {path.name} cannot be read: {error}; mend it"])
    tables = content.pop("strategies", {})
    refused = [key for key in content if key in (*NOT_IN_PROFILE, *secrets)]
    values = {key: value for key, value in content.items() if key not in refused}
    layer = _named(where, values, known)
    layer.problems += [f"{key} cannot be set by a profile ({name}); take it out" for key in refused]
    layer.tables = tables if isinstance(tables, dict) else {}
    if not isinstance(tables, dict):
        layer.problems.append(f"{where}: strategies must be a table [strategies.<id>.<variant>]")
    return layer


def profile_names() -> tuple[str, ...]:
    """The profiles that there are."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


def unknown(name: str, where: str, known: Iterable[str]) -> str:
    """The line for a name that no setting has; never its value, which may be a secret."""
    return f"{name[:60]} ({where}) is not a setting{_nearest(name.upper(), known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=SUGGEST_FROM)
    return f"; did you mean {near[0]}?" if near else ""


def _named(where: str, raw: Mapping[str, object], known: Iterable[str]) -> Layer:
    """Sort raw values by name. An empty text means "not set"."""
    names = list(known)
    layer = Layer(where)
    for name, value in raw.items():
        if isinstance(value, str) and not value.strip():
            continue
        if name in EXPLAINED:
            layer.problems.append(f"{name} ({where}): {EXPLAINED[name]}")
            continue
        target = ALIASES.get(name, name)
        if target not in names:
            layer.problems.append(unknown(name, where, names))
            continue
        before = layer.values.get(target)
        if before is not None and before != value:
            layer.problems.append(
                f"{target} stands twice in {where}, once under an older name; take one out"
            )
        layer.values[target] = value.strip() if isinstance(value, str) else value
    return layer

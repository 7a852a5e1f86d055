"""Short ways to load settings in tests, and what to expect when they are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from config.settings import Loaded, Settings, load

CANARY = "canary7f3e"


def loaded(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = None,
) -> Loaded:
    return load(flags or {}, environ or {}, env_file)


def settings(flags: Mapping[str, str] | None = None) -> Settings:
    return loaded(flags).settings


def problems(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = None,
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(flags or {}, environ or {}, env_file)
    return caught.value.problems


def one_problem(flags: Mapping[str, str]) -> str:
    lines = problems(flags)
    assert len(lines) == 1, lines
    return lines[0]

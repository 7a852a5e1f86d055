"""The pre-flight: every layer that a start leans on, tried in order, one line each.

Owns the order of the lines; the trying is `probes`' and `venue_probe`'s. A running daemon is
not disturbed: its lock is only read, its database too but for what asking a model costs, and the
simulator tried is one of our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from bot.app import probes
from bot.app.model_probe import try_models
from bot.app.policies import rules_of
from bot.app.probes import Line, Outcome
from bot.app.running import owner_of
from bot.app.venue_probe import try_venue
from bot.domain.errors import ConfigError
from bot.plugins import LoadedStrategy
from bot.runtime.clock import SystemClock
from bot.runtime.logs import LogOptions, configure
from config.settings import Settings


def preflight(settings: Settings, warnings: Sequence[str]) -> tuple[Line, ...]:
    """Try everything. Never raises for what a line can say."""
    configure(LogOptions(None, "ERROR"))  # the lines say it; below that the log only repeats
    return tuple(_lines(settings, warnings, SystemClock()))


def failed(lines: Sequence[Line]) -> bool:
    """Whether a line failed."""
    return any(line.outcome is Outcome.FAIL for line in lines)


def _lines(settings: Settings, warnings: Sequence[str], clock: SystemClock) -> Iterator[Line]:
    owner = owner_of(settings.general.data_dir)
    yield probes.python()
    yield from probes.configuration(settings, warnings)
    yield probes.breakers(settings)
    yield probes.keys(settings, warnings)
    yield probes.data_folder(settings.general.data_dir)
    yield probes.disk(settings.general.data_dir)
    yield probes.lock(settings.general.data_dir, owner)
    yield from asyncio.run(probes.database(settings, clock.monotonic))
    yield probes.signing(settings, clock)
    rules, line = load_rules(settings)
    yield line
    yield from asyncio.run(try_venue(settings, rules))
    yield from asyncio.run(try_models(settings, clock))
    yield probes.page(settings, owner)
    yield probes.memory()


def load_rules(settings: Settings) -> tuple[tuple[LoadedStrategy, ...], Line]:
    """The strategies, none when one cannot be loaded, and the line about it."""
    try:
        rules = rules_of(settings)
    except ConfigError as error:
        return (), probes.failure(
            "strategies",
            "load what STRATEGIES names",
            error,
            "mend STRATEGIES or the [strategies...] tables of the profile",
        )
    warm_up = max(rule.warm_up for rule in rules)
    found = f"{len(rules)} variants loaded, longest warm-up {warm_up} bars"
    return rules, Line("strategies", "load what STRATEGIES names", Outcome.OK, found)

"""SIGHUP: read the settings again, take those that are safe, and say what needs a restart.

Owns which are safe; what cannot be read leaves everything as it is.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import structlog

from bot.domain.errors import ConfigError
from bot.runtime.logs import LogOptions, configure
from bot.runtime.mask import register_secret
from config.settings import Loaded, Settings, known

# What else is set has been handed to parts that were built from it.
SAFE = ("LOG_LEVEL", "LOG_CONSOLE_LEVEL")

log = structlog.get_logger(__name__)


class Reload:
    """A service: waits for SIGHUP. A terminal that was closed ends the daemon in order."""

    def __init__(self, loaded: Loaded, closed: Callable[[], None]) -> None:
        """`closed` is called when the terminal that the daemon was started on is gone."""
        self._settings = loaded.settings
        self._again = loaded.again
        self._closed = closed
        self._asked = asyncio.Event()
        self._on_terminal = sys.stdin.isatty() or sys.stderr.isatty()

    async def run(self) -> None:
        """Service: until cancelled; from then on a SIGHUP is ignored."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                if self._on_terminal and not has_terminal():
                    self._closed()
                else:
                    await self.step()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            ignore()

    async def step(self) -> None:
        """Reload once; one line says what came of it, by names and never with a value."""
        try:
            found = await asyncio.to_thread(self._again)
        except ConfigError as error:
            log.error(
                "settings_not_reloaded",
                problems=list(error.problems),
                remedy="mend them and send SIGHUP again; the old ones hold",
            )
            return
        for secret in found.secrets:
            register_secret(secret)
        changed = changes(self._settings, found.settings)
        general = self._settings.general
        safe = {name.lower(): getattr(found.settings.general, name.lower()) for name in SAFE}
        general = general.model_copy(update=safe)
        self._settings = self._settings.model_copy(update={"general": general})
        log.warning(
            "settings_reloaded",
            changed=[name for name in changed if name in SAFE],
            needs_restart=[name for name in changed if name not in SAFE],
        )
        configure(LogOptions(general.data_dir, general.log_console_level, general.log_level))


def changes(before: Settings, after: Settings) -> list[str]:
    """Names of the settings that differ, in the order of the tree."""
    found = [
        name
        for name, setting in known().items()
        if getattr(getattr(before, setting.section), name.lower())
        != getattr(getattr(after, setting.section), name.lower())
    ]
    if before.strategy_overrides != after.strategy_overrides:
        found.append("[strategies] of the profile")
    return found


def ignore() -> None:
    """Let SIGHUP end nothing; its default would be a kill."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def has_terminal() -> bool:
    """Whether the terminal of this process is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True

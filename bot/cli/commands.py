"""What a command is, and which there are.

A command file exports NAME, HELP, `configure(parser)` and `run(args, loaded) -> exit code`.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Protocol, cast

from config.settings import Loaded

# In the order of --help; the first is run when no command is named.
COMMANDS = (
    "run",
    "check",
    "halt",
    "resume",
    "close",
    "approve",
    "reject",
    "whynot",
    "traces",
    "replay",
    "db",
)
# These speak to a running daemon: a mistake in a setting that they do not need is a warning,
# so that a half-done edit never keeps an operator from halting.
STEERING = ("halt", "resume", "close", "approve", "reject")


class Command(Protocol):
    """A module of this package, as the command line sees it."""

    NAME: str
    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments; those of settings are there already."""
        ...

    def run(self, args: argparse.Namespace, loaded: Loaded) -> int:
        """Do it; the exit code. Raises KeelError for what the operator must mend."""
        ...


def command(name: str) -> Command:
    """Import one command of COMMANDS."""
    return cast(Command, importlib.import_module(f"bot.cli.{name}"))

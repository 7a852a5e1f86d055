"""`db backup|check|upgrade|archive`: the database by hand, also beside a running daemon."""

from __future__ import annotations

import argparse
import sys

from bot.domain.errors import ConfigError, TransientError
from config.settings import Loaded

NAME = "db"
HELP = "back up, check or upgrade the database, or move old traces to files"

_ACTIONS = {
    "backup": "copy each database to its world's backups folder now",
    "check": "schema, contents, damage, age of the newest backup",
    "upgrade": "bring each database to this version's schema",
    "archive": "move traces older than TRACES_KEPT_DAYS to compressed files now",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the action."""
    said = "; ".join(f"{name}: {what}" for name, what in _ACTIONS.items())
    parser.add_argument("action", choices=tuple(_ACTIONS), help=said)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Do it on every database that the settings name; 0 when all went well."""
    from bot.app import databases
    from bot.runtime.logs import LogOptions
    from bot.runtime.logs import configure as configure_logs

    settings = loaded.settings
    configure_logs(LogOptions(None, settings.general.log_console_level or "WARNING"))
    match args.action:
        case "upgrade":
            return databases.upgrade(settings)
        case "backup":
            lines = databases.back_up(settings)
        case "archive":
            lines = databases.archive(settings)
        case _:
            lines = databases.check(settings)
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n")
    except TransientError as error:
        raise ConfigError(str(error)) from error
    return 0

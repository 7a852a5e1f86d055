"""`halt`: stop entries of the running daemon."""

from __future__ import annotations

import argparse

from bot.cli.told import add_told, finish, say
from config.settings import Loaded

NAME = "halt"
HELP = "tell the running daemon to open nothing more, also after a restart; exits go on"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the reason and the form of the answer."""
    parser.add_argument(
        "--reason", metavar="WORDS", default="by hand", help="stands in the log and in /status"
    )
    add_told(parser)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Say it; 0 when entries are stopped."""
    from bot.app.commanding import command

    told = command(loaded.settings, "halt", {"reason": args.reason})
    if not args.json:
        say(f"{told['trading_state']}: {told['trading_state_why']}; stops and exits go on")
        if not told["survives_restart"]:
            say("the database did not take it yet: a restart now may forget it")
    return finish(args, told)

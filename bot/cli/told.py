"""What the commands that steer a running daemon share: the form of an answer, and an id.

Owns flags and exit codes; knows no route but those of an answer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping

from bot.cli.world_flags import add_json
from config.settings import Loaded

DONE, NOT_DONE = 0, 1
ALL = "*"  # among the symbols of a daemon's answer: whatever is held, before that is known


def add_told(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the form of the answer."""
    add_json(parser)


def add_answer(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the id of what waits."""
    parser.add_argument("id", metavar="ID", help="as /status and the page show it")
    add_told(parser)


def answered(args: argparse.Namespace, loaded: Loaded, word: str) -> int:
    """Send a person's word; 0 when it was taken."""
    from bot.app.commanding import command

    told = command(loaded.settings, word, {"id": args.id})
    if not args.json:
        say(f"{told['said']}: {told['id']}")
        stopped = [told["trading_state"]] if told["trading_state"] != "ACTIVE" else []
        held = [*stopped, *told["breakers_open"]]
        if word == "approve" and held:
            say(f"the desk will refuse it now: {', '.join(held)}")
    return finish(args, told)


def say(line: str) -> None:
    """One line on stdout."""
    sys.stdout.write(f"{line}\n")


def finish(args: argparse.Namespace, told: Mapping[str, object]) -> int:
    """Print the whole answer where it was asked for; 0 when the daemon did it all, else 1."""
    if args.json:
        json.dump(told, sys.stdout, indent=1)
        sys.stdout.write("\n")
    return DONE if told.get("ok") is True else NOT_DONE

"""`reject ID`: answer a trade that waits for a person."""

from __future__ import annotations

import argparse

from bot.cli.told import add_answer, answered
from config.settings import Loaded

NAME = "reject"
HELP = "say no to a trade that waits for a person"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the id and the form of the answer."""
    add_answer(parser)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Say it; 0 when the word was taken, 1 when it came too late."""
    return answered(args, loaded, NAME)

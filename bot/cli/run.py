"""`run`: the daemon."""

from __future__ import annotations

import argparse

from bot.cli.settings_flags import add_alias
from bot.runtime.heap import keep_small
from config.settings import Loaded

NAME = "run"
HELP = "the daemon (the default)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the short spellings for what demo plays."""
    add_alias(
        parser,
        "--candles",
        "DEMO_CANDLES",
        nargs="+",
        metavar="FILE",
        help="candle files to play in demo (DEMO_CANDLES)",
    )
    add_alias(
        parser,
        "--speed",
        "DEMO_SPEED",
        metavar="X",
        help="market seconds in one real second, or max (DEMO_SPEED)",
    )
    add_alias(
        parser,
        "--seed",
        "DEMO_SEED",
        metavar="N",
        help="seed of the simulated exchange (DEMO_SEED)",
    )


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Trade until told to stop, or until the candles end."""
    keep_small()  # before the libraries are imported
    from bot.app.daemon import run_daemon

    return run_daemon(loaded)

"""`replay TRACE_ID`: decide one recorded trace again and compare."""

from __future__ import annotations

import argparse
import sys

from config.settings import Loaded

NAME = "replay"
HELP = "re-run one recorded decision and show that it comes out the same, or where it differs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the id of the trace."""
    parser.add_argument("trace_id", metavar="TRACE_ID", help="such as BTC-20261121T0755-1")


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Show the comparison; 0 when the decision comes out the same, else 1."""
    from bot.app.offline import replay

    code, lines = replay(loaded.settings, args.trace_id)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return code

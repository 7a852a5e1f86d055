"""Which recorded world a command reads: the spellings that `run` knows, and a bound for counts.

Owns flags that several commands share; knows no command.
"""

from __future__ import annotations

import argparse

from bot.cli.settings_flags import add_alias
from bot.domain.errors import ConfigError


def add_world(parser: argparse.ArgumentParser) -> None:
    """Give `parser` --candles and --seed: with them a demo world was named when it ran."""
    add_alias(
        parser,
        "--candles",
        "DEMO_CANDLES",
        nargs="+",
        metavar="FILE",
        help="candle files of the run (DEMO_CANDLES)",
    )
    add_alias(parser, "--seed", "DEMO_SEED", metavar="N", help="seed of the run (DEMO_SEED)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give `parser` --json."""
    parser.add_argument("--json", action="store_true", help="one JSON document, for machines")


def whole(text: str, flag: str, most: int) -> int:
    """A number from 1 to `most`. Raises ConfigError."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else 0
    if not 1 <= number <= most:
        raise ConfigError(f"{flag} {text[:40]!r}: expected a whole number from 1 to {most}")
    return number


def span(text: str, flag: str, most: float) -> float:
    """A number above 0, at most `most`. Raises ConfigError."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= most:  # NaN fails here too
        raise ConfigError(f"{flag} {text[:40]!r}: expected a number above 0 and at most {most:g}")
    return number

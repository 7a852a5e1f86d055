"""Flags of the command line that are settings: --http-port 8001 is HTTP_PORT.

Owns the spelling; the values are judged with all others in config.settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import groupby

from config.fields import flag_of
from config.layers import ALIASES, EXPLAINED
from config.settings import known

DEST = "setting:"  # before the setting's name, so that a command's own arguments never collide
TYPED = "typed:"  # before the setting's name: the spelling that was used


class _Spelled(argparse.Action):
    """Keep the value, and by which of its names the setting was given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        setattr(namespace, TYPED + self.dest.removeprefix(DEST), option_string)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Give `parser` one flag a setting, by section."""
    for section, group in groupby(known().values(), key=lambda one: one.section):
        box = parser.add_argument_group(f"settings: {section}")
        for one in group:
            unit = f" ({one.unit})" if one.unit else ""
            box.add_argument(
                one.flag,
                dest=DEST + one.name,
                action=_Spelled,
                metavar="VALUE",
                help=f"{one.meaning}{unit}".replace("%", "%%"),
            )
    for name in (*ALIASES, *EXPLAINED):  # understood, or answered; not advertised
        parser.add_argument(flag_of(name), dest=DEST + name, help=argparse.SUPPRESS)


def add_alias(parser: argparse.ArgumentParser, flag: str, name: str, **more: object) -> None:
    """Give `parser` a shorter spelling of a setting, listed beside it."""
    parser.add_argument(flag, dest=DEST + name, action=_Spelled, **more)  # type: ignore[arg-type]


def given(args: argparse.Namespace) -> Mapping[str, str | Sequence[str]]:
    """The settings that stand on the command line, by name; lists word by word."""
    return {
        dest.removeprefix(DEST): value
        for dest, value in vars(args).items()
        if dest.startswith(DEST) and value is not None
    }


def typed(args: argparse.Namespace) -> Mapping[str, str]:
    """How each setting on the command line was spelled: {"DEMO_SPEED": "--speed"}."""
    return {
        dest.removeprefix(TYPED): flag
        for dest, flag in vars(args).items()
        if dest.startswith(TYPED) and flag is not None
    }

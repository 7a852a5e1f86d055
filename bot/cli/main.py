"""From arguments to an exit code: find the command, load the settings, run, translate errors.

0 clean, 1 crash, 2 mend something first, 3 already running (spec 05, "The process").
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bot.cli.commands import COMMANDS, STEERING, Command, command
from bot.cli.settings_flags import add_settings, given, typed
from bot.domain.errors import AlreadyRunning, ConfigError, KeelError
from bot.runtime.mask import register_secret
from config.settings import REACH, Loaded, load

CLEAN, CRASH, MEND, RUNNING = 0, 1, 2, 3
UNREAD = 141  # 128 and SIGPIPE: whoever read the output went before its end, as `| head` does


def main(argv: Sequence[str], environ: Mapping[str, str], env_file: Path | None) -> int:
    """Run one command and return its exit code; what went wrong stands on stderr."""
    try:
        name, rest = _split(argv)
        if name is None:
            _overview().print_help()
            return CLEAN
        chosen = command(name)
        parser = _Parser(prog=f"python main.py {name}", description=chosen.HELP)
        chosen.configure(parser)
        parser.shorten_usage()
        add_settings(parser)
        args = parser.parse(rest)
        judged = REACH if name in STEERING else None
        loaded = load(given(args), environ, env_file, typed(args), judged)
        for secret in loaded.secrets:
            register_secret(secret)
        for line in loaded.warnings:
            _say(line)
        return _told(name, chosen, args, loaded)
    except ConfigError as error:
        for line in error.problems:
            _say(line)
        return MEND
    except AlreadyRunning as error:
        _say(str(error))
        return RUNNING
    except KeelError as error:  # a database that is locked, a venue that is away: try again
        _say(str(error))
        return CRASH
    except KeyboardInterrupt:
        return CLEAN


def _told(name: str, chosen: Command, args: argparse.Namespace, loaded: Loaded) -> int:
    """Run a command whose output may be cut off; to the daemon that is a defect like others."""
    try:
        code = chosen.run(args, loaded)
        sys.stdout.flush()
    except BrokenPipeError:
        if name == COMMANDS[0]:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return UNREAD
    return code


def crashed(error: Exception) -> int:
    """The one report of what nobody expected, without a secret in it; the exit code."""
    from bot.runtime.logs import last_words  # slow to import, and seldom needed here

    last_words(error)
    return CRASH


class _Parser(argparse.ArgumentParser):
    """argparse that names the nearest flag, and never repeats a value, which may be secret."""

    def __init__(self, *, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def shorten_usage(self) -> None:
        """Fix the usage line before the settings come: they would fill a page of it."""
        self.usage = self.format_usage().removeprefix("usage: ").strip() + " [--setting VALUE …]"

    def parse(self, rest: Sequence[str]) -> argparse.Namespace:
        """Parse; raises ConfigError for what cannot be understood."""
        if "--" in rest:
            raise ConfigError("-- stands alone; leave it out: every flag has its name before it")
        args, unknown = self.parse_known_args(rest)
        flags = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        if flags:
            raise ConfigError(*(self._unknown(flag) for flag in flags))
        if unknown:
            raise ConfigError(
                f"{len(unknown)} argument(s) more than {self.prog} takes; "
                f"a command comes first: python main.py {'|'.join(COMMANDS)} …"
            )
        return args

    def _unknown(self, flag: str) -> str:
        known = [word for action in self._actions for word in action.option_strings]
        return f"{flag[:60]} is not a flag of {self.prog}{_nearest(flag, known)}"

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def _split(argv: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """(command, its arguments); None asks for the overview."""
    if not argv:
        return COMMANDS[0], ()
    first = argv[0]
    if first in ("-h", "--help", "help"):
        return None, ()
    if first.startswith("-"):
        return COMMANDS[0], argv
    if first not in COMMANDS:
        near = _nearest(first, COMMANDS)
        raise ConfigError(f"{first[:60]} is not a command{near}; commands: {', '.join(COMMANDS)}")
    return first, argv[1:]


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _overview() -> argparse.ArgumentParser:
    lines = [f"  {name:<10} {command(name).HELP}" for name in COMMANDS]
    return argparse.ArgumentParser(
        prog="python main.py",
        usage="python main.py [COMMAND] [--setting VALUE …]",
        description="Keel, a trading daemon that shows its work.",
        epilog="commands:\n"
        + "\n".join(lines)
        + "\n\nEach has --help, which lists the settings; .env.example explains them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _say(line: str) -> None:
    print(f"keel: {line}", file=sys.stderr)

"""`resume`: let the running daemon enter again."""

from __future__ import annotations

import argparse

from bot.cli.told import ALL, add_told, finish, say
from config.settings import Loaded

NAME = "resume"
HELP = "let the running daemon enter again; closes the breakers that only a person closes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the form of the answer."""
    add_told(parser)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Say it, and what still stands in the way; 0."""
    from bot.app.commanding import command

    told = command(loaded.settings, "resume", {})
    if not args.json:
        closed = ", ".join(told["breakers_reset"]) or "none"
        say(f"{told['trading_state']}; breakers closed by hand: {closed}")
        for breaker in told["breakers_open"]:
            until = breaker["until_at"] or "its cause is over"
            say(f"{breaker['code']} stays open until {until}")
        for symbol in told["closing_withdrawn"]:
            if symbol == ALL:
                say("what else is open is no longer being closed: `close --all` asks again")
                continue
            say(f"{symbol} is not closed, and no longer being closed: `close {symbol}` asks again")
        for symbol, why in told["blocked"].items():
            say(f"{symbol} stays closed to entries: {why}")
    return finish(args, told)

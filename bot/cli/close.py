"""`close SYMBOL`, `close --all`: close positions of the running daemon."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from bot.cli.told import ALL, add_told, finish, say
from bot.domain.errors import ConfigError
from config.settings import Loaded

NAME = "close"
HELP = "close one position, or with --all every one, in every trading state; says how each ended"
_OPEN = "whatever turns out to be open"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to close and the form of the answer."""
    parser.add_argument("symbol", metavar="SYMBOL", nargs="?", help="a coin such as BTC")
    parser.add_argument("--all", action="store_true", help="every position")
    add_told(parser)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Close; 0 when nothing of it is open any more, else 1."""
    from bot.app.commanding import command

    if args.all == (args.symbol is not None):
        raise ConfigError("close takes either a SYMBOL or --all")
    route, body = ("close-all", {}) if args.all else ("close", {"symbol": args.symbol})
    told = command(loaded.settings, route, body)
    if not args.json:
        for result in told["results"]:
            say(_line(result))
        if args.all and not told["compared"]:
            say("UNKNOWN what else is open: books and venue were not compared since this start")
        elif not told["results"]:
            say("nothing is open")
        if told["going_on"]:
            kept = "" if told["survives_restart"] else " while this daemon runs"
            going_on = [_OPEN if symbol == ALL else symbol for symbol in told["going_on"]]
            say(f"goes on{kept}: {', '.join(going_on)}; `resume` withdraws it")
        for symbol in told["not_ours"] if args.all else ():
            say(f"{symbol}: held at the venue, not by Keel; not touched")
        if args.all and told["entries_allowed"]:
            say("entries are still allowed: `halt` keeps it flat")
    return finish(args, told)


def _line(result: Mapping[str, Any]) -> str:
    symbol, held = result["symbol"], f"{result['side']} {result['quantity']}"
    match result["state"]:
        case "closed":
            net = f", net {result['net_pnl']} USD" if result["net_pnl"] is not None else ""
            return f"{symbol}: closed {held}{net} ({result['trace_id']})"
        case "nothing_open":
            return f"{symbol}: nothing is open"
        case "still_open":
            return f"{symbol}: STILL OPEN, {held}: {result['why']}"
        case _:
            return f"{symbol}: UNKNOWN: {result['why']}; ask again"

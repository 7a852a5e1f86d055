"""`whynot`: why nothing was traded in the last hours, in the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bot.cli.world_flags import add_json, add_world, span
from config.settings import Loaded

if TYPE_CHECKING:
    from bot.cli.render import Page

NAME = "whynot"
HELP = "why nothing was traded in the last hours: breakers, funnel, nearest misses"
HOURS = "24"
MOST_HOURS = 24 * 366.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the window and the form of the answer."""
    add_world(parser)
    parser.add_argument(
        "--hours", metavar="N", default=HOURS, help="of market time, to look back (%(default)s)"
    )
    add_json(parser)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Print the answer; 0."""
    from bot.app.reports import why_not_traded
    from bot.cli.render import Page
    from bot.cli.traces import show_funnel
    from bot.web.encode import plain

    hours = span(args.hours, "--hours", MOST_HOURS)
    answer = plain(why_not_traded(loaded.settings, hours))
    assert isinstance(answer, dict)
    if args.json:
        json.dump(answer, sys.stdout, indent=1)
        print()
        return 0
    page = Page()
    verdict = str(answer["verdict"])
    page.line(verdict[:1].upper() + verdict[1:] + ".")
    _standing(page, answer)
    _capital(page, answer)
    show_funnel(page, answer)
    _misses(page, answer)
    _strategies(page, answer)
    _thresholds(page, answer)
    _data(page, answer)
    page.print()
    return 0


def _standing(page: Page, answer: Mapping[str, object]) -> None:
    from bot.cli.render import part, rows_of, shown

    trading, daemon, window = (part(answer, name) for name in ("trading", "daemon", "window"))
    breakers = [
        f"{row['code']} ({row['value']} against {row['threshold']}, "
        f"{'until ' + str(row['until']) if row['until'] else 'until reset by hand'})"
        for row in rows_of(trading["breakers"])
    ]
    blocked = [f"{symbol}: {why}" for symbol, why in part(trading, "blocked").items()]
    skipped = [f"{symbol}: {why}" for symbol, why in part(daemon, "skipped_symbols").items()]
    positions = trading["positions"]
    held = ", ".join(map(str, positions)) if isinstance(positions, list) and positions else "none"
    running = f"process {daemon['process']}" if daemon["process"] else "not running"
    if daemon["process"]:
        running += f", {daemon['phase']}" if daemon["answers"] else ", its page was not asked"
    why = f" ({trading['why']})" if trading["why"] else ""
    page.heading("What holds")
    page.pairs(
        {
            "window": f"{shown(window['from_at'])} to {shown(window['to_at'])}, market time",
            "daemon": running,
            "trading state": f"{trading['state']}{why}",
            "breakers": "; ".join(breakers) or "none open",
            "losses in a row": trading["losses_in_row"],
            "blocked symbols": f"{'; '.join(blocked) or 'none'} (as the {trading['source']} says)",
            "left out of the universe": "; ".join(skipped) or None,
            "positions": held,
        }
    )


def _capital(page: Page, answer: Mapping[str, object]) -> None:
    from bot.cli.render import part, shown

    capital = part(answer, "capital")
    equity = f"{shown(capital['equity'])} USD at {shown(capital['equity_at'])}"
    page.heading("Capital and margin")
    page.pairs(
        {
            "equity": equity if capital["equity"] is not None else "not recorded yet",
            "peak": capital["peak"],
            "baseline": capital["baseline"],
            "capital, last look": capital["capital_at_last_look"],
            "free margin, last look": capital["free_margin_at_last_look"],
            "last look of the desk": capital["looked_at"] or "none in this window",
        }
    )


def _misses(page: Page, answer: Mapping[str, object]) -> None:
    from bot.cli.render import rows_of

    rows = rows_of(answer["nearest_misses"])
    page.heading("Nearest misses (of each rule the signal that came closest to passing)")
    if not rows:
        page.line("  none: no signal failed by a number alone")
        return
    page.table(
        ("trace", "strategy", "not", "rule", "value", "limit", "unit", "off", "also against it"),
        [
            (
                row["trace_id"],
                row["strategy"],
                row["not"],
                row["code"],
                _short(row["value"]),
                _short(row["limit"]),
                row["unit"],
                f"{row['gap_percent']} %",
                ", ".join(map(str, row["also"])) if isinstance(row["also"], list) else "",
            )
            for row in rows
        ],
    )


def _strategies(page: Page, answer: Mapping[str, object]) -> None:
    from bot.cli.render import part, rows_of

    strategies = part(answer, "strategies")
    fired = ", ".join(f"{name} {n}" for name, n in part(strategies, "signals").items())
    silent = [
        f"{row['name']} (asked {row['asked']} times)" for row in rows_of(strategies["never_fired"])
    ]
    page.heading("Strategies")
    page.pairs(
        {
            "enabled": strategies["enabled"],
            "signals": fired or "none",
            "never fired": ", ".join(silent) or "none: each gave a signal",
        }
    )


def _thresholds(page: Page, answer: Mapping[str, object]) -> None:
    from bot.cli.render import part

    confidence, score = part(answer, "confidence"), part(answer, "score")
    page.heading("Confidence and score against their thresholds")
    page.table(
        ("of", "threshold", "signals", "reached", "median", "best"),
        [
            (
                "confidence",
                *(confidence[k] for k in ("threshold", "asked")),
                *(confidence[k] for k in ("reached", "median", "best")),
            ),
            ("score", *(score[k] for k in ("needed", "signals", "reached", "median", "best"))),
        ],
    )
    alone = confidence["judged_by_tier_alone"]
    if alone:
        page.line(f"  {alone} were answered by the rules analyst alone: there the tier decides")


def _data(page: Page, answer: Mapping[str, object]) -> None:
    from bot.cli.render import part, shown, size

    data, disk = part(answer, "data"), part(answer, "disk")
    stale = [f"{symbol}: {why}" for symbol, why in part(data, "stale").items()]
    oldest = f"{shown(data['oldest_bar_symbol'])}, {shown(data['oldest_bar_age_s'])} s old"
    page.heading("Data and disk")
    page.pairs(
        {
            "symbols looked at": data["symbols"],
            "looks without fresh data": data["looks_without_data"],
            "last said": "; ".join(stale[:3]) or None,
            "oldest newest bar": oldest if data["oldest_bar_symbol"] else None,
            "disk": f"{size(disk['free_bytes'])} free, database {size(disk['database_bytes'])}",
            "rows that wait": f"{shown(disk['spooled_rows'])} in the spool, "
            f"{shown(disk['traces_waiting_at_last_look'])} traces at the last look",
            "rows refused by the database": disk["rejected_rows"] or None,
        }
    )


def _short(value: object) -> object:
    """Texts of Decimals carry up to 28 digits; nine tell the same."""
    try:
        return f"{float(str(value)):.6g}"
    except ValueError:
        return value

"""`traces`: the trace report in the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bot.cli.world_flags import add_json, add_world, whole
from config.settings import Loaded

if TYPE_CHECKING:
    from bot.cli.render import Page

NAME = "traces"
HELP = "the trace report: speed, errors, strategies, the funnel with what rejected most"
LIMIT = "100000"
MOST = 10_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the window and the form of the answer."""
    add_world(parser)
    parser.add_argument(
        "--since", metavar="WHEN", help="24h, 7d, 30m or ISO 8601, market time; default: all"
    )
    parser.add_argument(
        "--symbol", metavar="COIN", help="of one coin only, such as BTC; default: all"
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        default=LIMIT,
        help="count the newest N traces at most (%(default)s)",
    )
    add_json(parser)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Print the report; 0."""
    from bot.app.reports import trace_report
    from bot.cli.render import Page
    from bot.web.encode import plain

    limit = whole(args.limit, "--limit", MOST)
    report = plain(trace_report(loaded.settings, args.since, args.symbol, limit))
    assert isinstance(report, dict)
    if args.json:
        json.dump(report, sys.stdout, indent=1)
        print()
        return 0
    page = Page()
    _head(page, report)
    _latency(page, report)
    _errors(page, report)
    _funnel(page, report)
    _uses(page, report, "strategies")
    _uses(page, report, "symbols")
    _regimes(page, report)
    _breakers(page, report)
    _findings(page, report)
    page.print()
    return 0


def show_funnel(page: Page, answer: Mapping[str, object]) -> None:
    """The steps, what each lost, and to which rules."""
    from bot.cli.render import percent, rows_of

    page.heading("Funnel (lost on the way to a step, and the rules that did it)")
    page.table(
        ("step", "left", "lost", "most by"),
        [
            (
                step["step"],
                step["count"],
                step["lost"],
                ", ".join(
                    f"{reason['rule']} {reason['count']}"
                    + (f" ({percent(reason['share'])})" if reason["share"] is not None else "")
                    for reason in rows_of(step["reasons"])
                )
                or "-",
            )
            for step in rows_of(answer["funnel"])
        ],
    )


def _head(page: Page, report: Mapping[str, object]) -> None:
    from bot.cli.render import part, percent, shown, size

    head = part(report, "head")
    closed = part(head, "closed")
    counted = shown(head["traces"])
    if head["traces"] != head["traces_in_window"]:
        counted += f", the newest of {shown(head['traces_in_window'])}; --limit raises it"
    page.heading("Traces")
    page.pairs(
        {
            "window": f"{shown(head['first_at'])} to {shown(head['last_at'])}, market time",
            "traces": counted,
            "cycles": head["cycles"],
            "trades executed": head["trades_executed"],
            "execution rate": f"{percent(head['execution_rate'])} of the signals that were asked",
            "executed a 1000 cycles": head["executed_per_1000_cycles"],
            "approval rate": percent(head["approval_rate"]),
            "error rate": percent(head["error_rate"]),
            "closed trades": f"{shown(closed['trades'])}, won {win_rate(closed)}, "
            f"net {shown(closed['net_usd'])} USD",
            "symbols": head["symbols"],
            "regimes": head["regimes"],
            "database": f"{size(head['database_bytes'])}, "
            f"{shown(head['mean_trace_bytes'])} bytes a trace",
        }
    )


def win_rate(row: Mapping[str, object]) -> str:
    """57 % (39 to 73), or a dash without trades."""
    from bot.cli.render import percent

    interval = row["ci95"]
    if not isinstance(interval, list):
        return "-"
    return f"{percent(row['win_rate'])} ({interval[0]:.0f} to {interval[1]:.0f})"


def _latency(page: Page, report: Mapping[str, object]) -> None:
    from bot.cli.render import part

    columns = ("count", "min", "p50", "p75", "p90", "p95", "p99", "max", "mean")
    rows = part(report, "latency_ms")
    page.heading("Latency, machine ms")
    if not rows:
        page.line("  nothing was measured")
        return
    page.table(
        ("of", *columns),
        [(name, *(part(rows, name)[column] for column in columns)) for name in rows],
    )


def _errors(page: Page, report: Mapping[str, object]) -> None:
    from bot.cli.render import percent, rows_of

    errors = rows_of(report["errors"])
    page.heading("Errors")
    if not errors:
        page.line("  none")
        return
    page.table(
        ("kind", "count", "of traces"),
        [(row["kind"], row["count"], percent(row["share"])) for row in errors],
    )


def _funnel(page: Page, report: Mapping[str, object]) -> None:
    show_funnel(page, report)


def _uses(page: Page, report: Mapping[str, object], what: str) -> None:
    from bot.cli.render import percent, rows_of

    rows = rows_of(report[what])
    page.heading(f"{what.capitalize()} (win rate of closed trades, 95 % interval)")
    if not rows:
        page.line("  none")
        return
    page.table(
        ("name", "traces", "signals", "share", "asked", "approved", "executed", "trades", "won"),
        [
            (
                *(row[column] for column in ("name", "traces", "signals")),
                percent(row["share"]),
                *(row[column] for column in ("asked", "approved", "executed", "trades")),
                win_rate(row),
            )
            for row in rows
        ],
    )


def _regimes(page: Page, report: Mapping[str, object]) -> None:
    from bot.cli.render import percent, rows_of

    page.heading("Regimes")
    rows = rows_of(report["regimes"])
    if not rows:
        page.line("  none was seen")
        return
    page.table(
        ("regime", "traces", "share"),
        [(row["regime"], row["count"], percent(row["share"])) for row in rows],
    )


def _breakers(page: Page, report: Mapping[str, object]) -> None:
    from bot.cli.render import rows_of

    page.heading("Breakers (how long entries were closed, market time)")
    rows = rows_of(report["breakers"])
    if not rows:
        page.line("  none opened")
        return
    page.table(
        ("breaker", "openings", "minutes", "holds"),
        [
            (row["breaker"], row["openings"], row["minutes"], "yes" if row["holds"] else "no")
            for row in rows
        ],
    )


def _findings(page: Page, report: Mapping[str, object]) -> None:
    from bot.cli.render import rows_of

    page.heading("Bottlenecks and recommendations")
    rows = rows_of(report["findings"])
    for row in rows:
        page.line(f"  {page.mark(str(row['level']))} {row['rule']}: {row['found']}")
        page.line(f"         -> {row['remedy']}")
    if not rows:
        page.line("  none of the rules applies")

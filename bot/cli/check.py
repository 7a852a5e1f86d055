"""`check`: the pre-flight, one line a trial."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter

from bot.cli.world_flags import add_json, add_world
from config.settings import Loaded

NAME = "check"
HELP = "pre-flight: try every layer that a start leans on; 1 when a line failed"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the form of the answer."""
    add_world(parser)
    add_json(parser)


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    """Print the lines; 0, or 1 when one failed."""
    from bot.app.preflight import failed, preflight
    from bot.cli.render import Page
    from bot.web.encode import plain

    lines = preflight(loaded.settings, loaded.warnings)
    code = 1 if failed(lines) else 0
    counts = Counter(line.outcome.value for line in lines)
    if args.json:
        json.dump(plain({"ok": not code, "counts": counts, "lines": lines}), sys.stdout, indent=1)
        print()
        return code
    page = Page()
    for line in lines:
        said = f"{page.mark(line.outcome.value)} {line.layer:<13} {line.tried}: {line.found}"
        page.line(f"{said} -> {line.remedy}" if line.remedy else said)
    page.line()
    page.line(f"{counts['ok']} ok, {counts['warn']} to know, {counts['fail']} failed")
    page.print()
    return code

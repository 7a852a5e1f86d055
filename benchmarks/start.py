"""From the start of the process to the first finished scan: python -m benchmarks start

Owns what counts as the start and the end; the stages in between are the daemon's own log lines.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.figures import Figure, say, tell
from benchmarks.process import keep_bytecode, middle, tell_lag, usage
from tests.daemon import Daemon, wait_for

LIMIT_S, AIM_S = 2.0, 1.5
END = "cycle_done"  # the first cycle always has new candles, and so a line in the log
STAGES = ("simulator_serves", "started", "page_served", "hyperliquid_ready", "universe", END)
WAIT_S = 60.0
FIRST_LIFE_S = 5.0  # of the start that makes the database and the compiled modules


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds since the process was made, by stage, and its processor time."""

    stages: dict[str, float]
    cpu_s: float
    rss_mb: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 when the median is within the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks start")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two starts")
    chosen = parser.parse_args(arguments)
    keep_bytecode()
    with tempfile.TemporaryDirectory(prefix="keel-") as folder:
        first = one(Path(folder), stay_s=FIRST_LIFE_S)
        say(f"without a database: {first.stages[END]:.2f} s, processor {first.cpu_s:.2f} s")
        found = []
        for number in range(1, chosen.rounds + 1):
            time.sleep(chosen.pause)
            found.append(one(Path(folder), lag=number == chosen.rounds))
            say(f"{number}: {found[-1].stages[END]:.2f} s, processor {found[-1].cpu_s:.2f} s")
    for name in STAGES:
        say(f"{name:>18} {middle(start.stages.get(name, 0.0) for start in found):6.2f} s")
    cpu_s = middle(start.cpu_s for start in found)
    say(
        f"median processor time {cpu_s:.2f} s: what is above it in the figure was waited for;"
        f" least {min(start.stages[END] for start in found):.2f} s;"
        f" resident then {middle(start.rss_mb for start in found):.0f} MB"
    )
    value = middle(start.stages[END] for start in found)
    return tell(Figure("start to the first finished scan", value, LIMIT_S, "s", AIM_S))


def one(folder: Path, *, stay_s: float = 0.0, lag: bool = False) -> Start:
    """Start a daemon in `folder`, wait for its first cycle, stop it."""
    made = time.time()  # the log's clock
    with Daemon(folder) as daemon:

        def scanned() -> bool:
            assert daemon.alive, f"the daemon ended: {daemon.output()}"
            return any(event["event"] == END for event in daemon.events())

        wait_for(scanned, WAIT_S, "the first finished scan", every_s=0.02)
        spent = usage(daemon.pid)
        time.sleep(stay_s)
        if lag:
            tell_lag(daemon)
        stages: dict[str, float] = {}
        for event in daemon.events():
            at = datetime.fromisoformat(event["timestamp"]).timestamp()
            stages.setdefault(event["event"], at - made)
        assert daemon.terminate() == 0, daemon.output()
    return Start(stages, spent.cpu_s, spent.rss_mb)

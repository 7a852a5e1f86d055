"""Resident memory after ten minutes of demo.

python -m benchmarks memory [--minutes 10]

Owns the measurement; what the daemon does meanwhile is its own affair.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, say, tell
from benchmarks.process import keep_bytecode, middle, tell_lag, usage
from tests.daemon import Daemon

LIMIT_MB, AIM_MB = 140.0, 115.0
SPEED = 60
EVERY_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 when the figure is within its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    parser.add_argument("--minutes", type=float, default=10.0, help="of demo at DEMO_SPEED 60")
    parser.add_argument("--seed", type=int, default=42)
    chosen = parser.parse_args(arguments)
    keep_bytecode()
    with tempfile.TemporaryDirectory(prefix="keel-") as folder:
        return after_minutes(Path(folder), chosen.minutes, chosen.seed)


def after_minutes(folder: Path, minutes: float, seed: int) -> int:
    """RSS at the end of so many minutes: the median of the last one."""
    settings = {"DEMO_SPEED": SPEED, "DEMO_SEED": seed}
    with Daemon(folder, settings=settings) as daemon:
        daemon.healthy()
        start = time.monotonic()
        last_minute: list[float] = []
        told = 0
        while (since := time.monotonic() - start) < minutes * 60:
            time.sleep(EVERY_S)
            now = usage(daemon.pid)
            if since >= (minutes - 1) * 60:
                last_minute.append(now.rss_mb)
            if since >= told * 60:
                say(f"{told:3d} min  {now}")
                told += 1
        status = daemon.status()
        end = usage(daemon.pid)
        say(f"{minutes:3g} min  {end}")
        say(
            f"{len(status.get('universe', []))} coins, {status.get('cycles')} cycles, "
            f"{status.get('closed_trades')} trades, {status.get('errors_logged')} errors"
        )
        tell_lag(daemon)
        daemon.terminate()
    name = f"resident memory after {minutes:g} min of demo"
    return tell(Figure(name, middle(last_minute or [end.rss_mb]), LIMIT_MB, "MB", AIM_MB))

"""Resident memory: after ten minutes of demo, or day by day at full speed.

python -m benchmarks memory [--minutes 10 | --days 30]

Owns the two measurements; what the daemon does meanwhile is its own affair.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import linear_regression

from benchmarks.figures import Figure, say, tell
from benchmarks.process import Usage, keep_bytecode, middle, tell_lag, usage
from tests.daemon import Daemon

LIMIT_MB, AIM_MB = 140.0, 115.0
SLOPE_LIMIT = 1.0  # MB a simulated day
SPEED = 60
EVERY_S = 5.0
DAY_S = 86_400.0
SETTLING_DAYS = 3  # caches fill: the prices of two days, the compiled statements, the last trades
DAYS_LIMIT_S = 5_400.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 when the figure is within its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    parser.add_argument("--minutes", type=float, default=10.0, help="of demo at DEMO_SPEED 60")
    parser.add_argument("--days", type=float, default=0.0, help="of market time at --speed max")
    parser.add_argument("--limit-s", type=float, default=DAYS_LIMIT_S, help="for --days")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--symbols", default="", help="for --days: fewer coins, more days an hour")
    chosen = parser.parse_args(arguments)
    keep_bytecode()
    with tempfile.TemporaryDirectory(prefix="keel-") as folder:
        if chosen.days:
            settings: dict[str, object] = {"DEMO_SEED": chosen.seed}
            settings |= {"SYMBOLS": chosen.symbols} if chosen.symbols else {}
            return over_days(Path(folder), chosen.days, chosen.limit_s, settings)
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
                say(f"{told:3d} min  {_line(now)}")
                told += 1
        status = daemon.status()
        end = usage(daemon.pid)
        say(f"{minutes:3g} min  {_line(end)}")
        say(
            f"{len(status.get('universe', []))} coins, {status.get('cycles')} cycles, "
            f"{status.get('closed_trades')} trades, {status.get('errors_logged')} errors"
        )
        tell_lag(daemon)
        daemon.terminate()
    name = f"resident memory after {minutes:g} min of demo"
    return tell(Figure(name, middle(last_minute or [end.rss_mb]), LIMIT_MB, "MB", AIM_MB))


def over_days(folder: Path, days: float, limit_s: float, settings: Mapping[str, object]) -> int:
    """Slope of RSS over simulated days at full speed, by least squares after the first few."""
    seen: list[tuple[float, float]] = []  # day, MB
    with Daemon(folder, "--speed", "max", settings=settings) as daemon:
        daemon.healthy()
        start, first, told = time.monotonic(), market_s(daemon), 0
        while time.monotonic() - start < limit_s:
            time.sleep(EVERY_S)
            assert daemon.alive, f"the daemon ended: {daemon.output()}"
            day, now = (market_s(daemon) - first) / DAY_S, usage(daemon.pid)
            seen.append((day, now.rss_mb))
            if day >= told:
                status = daemon.status()
                say(
                    f"day {day:5.1f}  {time.monotonic() - start:6.0f} s  {_line(now)}  "
                    f"{status.get('closed_trades')} trades {status.get('trading_state')}"
                )
                told = int(day) + 1
            if day >= days:
                break
        tell_lag(daemon)
        daemon.terminate()
    reached = seen[-1][0]
    settled = [pair for pair in seen if pair[0] >= SETTLING_DAYS]
    if len(settled) < 10 or reached < 2 * SETTLING_DAYS:
        say(f"MISS  only {reached:.1f} days in {limit_s:.0f} s: too few for a slope")
        return 1
    slope = linear_regression([day for day, _ in settled], [mb for _, mb in settled]).slope
    name = f"growth of memory over days {SETTLING_DAYS} to {reached:.1f} of market time"
    return tell(Figure(name, slope, SLOPE_LIMIT, "MB a day"))


def market_s(daemon: Daemon) -> float:
    """Market time of the daemon; raises AssertionError when it does not answer."""
    for _ in range(10):
        told = daemon.status().get("market_time_at")
        if told is not None:
            return datetime.fromisoformat(str(told)).timestamp()
        time.sleep(0.5)
    raise AssertionError(f"/status does not answer: {daemon.output()}")


def _line(now: Usage) -> str:
    return (
        f"{now.rss_mb:6.1f} MB (own {now.own_mb:.1f}, files {now.files_mb:.1f}, "
        f"peak {now.peak_mb:.1f}) {now.threads} threads, processor {now.cpu_s:.0f} s"
    )

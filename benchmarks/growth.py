"""Growth of memory: resident memory by simulated day, twelve coins, `--speed max`.

python -m benchmarks growth [--days 30] [--seed 42]

Plays candles of 5 minutes that the simulator invented before, so that thirty days are minutes
and not hours: a tick each 5 s would be 250 s of processor time a day. Owns the files and the
slope; what the daemon does meanwhile is its own affair.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import linear_regression

from benchmarks.figures import Figure, say, tell
from benchmarks.process import Usage, keep_bytecode, tell_lag, usage
from bot.domain.types import Ms
from bot.simulator.bars import VOLUME_UNITS
from bot.simulator.coins import COINS
from bot.simulator.generator import DAY_MS, Generator
from tests.daemon import Daemon

SLOPE_LIMIT = 1.0  # MB a simulated day
SETTLING_DAYS = 3  # caches fill: windows, compiled statements, the last trades
LEAST_SAMPLES = 10
EVERY_S = 2.0
INTERVAL_MS = 300_000
TICK_S = 5.0  # of the invented prices, as in the demo
EPOCH = Ms(int(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000))
PAST_DAYS = 2  # become history at the start, as many bars as the strategies warm up with


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: market days since the first one, and what the process had."""

    day: float
    now: Usage

    def __str__(self) -> str:
        return f"day {self.day:5.1f}  {self.now}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 when the slope is within its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth")
    parser.add_argument("--days", type=int, default=30, help="of market time")
    parser.add_argument("--limit-s", type=float, default=5_400.0, help="then it is a miss")
    parser.add_argument("--seed", type=int, default=42)
    chosen = parser.parse_args(arguments)
    keep_bytecode()
    with tempfile.TemporaryDirectory(prefix="keel-") as folder:
        files = write_candles(Path(folder) / "candles", chosen.days, chosen.seed)
        say(f"{len(files)} coins, {chosen.days} days of candles of 5 minutes, seed {chosen.seed}")
        seen = play(Path(folder), files, chosen.seed, chosen.limit_s)
    return judge(seen, chosen.days)


def write_candles(folder: Path, days: int, seed: int) -> list[Path]:
    """A file a coin: what the demo's own prices of that seed would have been."""
    folder.mkdir()
    source = Generator(seed, TICK_S, EPOCH)
    first, before = EPOCH - PAST_DAYS * DAY_MS, EPOCH + days * DAY_MS
    files = []
    for coin in COINS:
        rows = source.closed(coin.name, INTERVAL_MS, first, before)
        lines = (
            f"{bar.t},{bar.o!r},{bar.h!r},{bar.l!r},{bar.c!r},{bar.v / VOLUME_UNITS!r}"
            for bar in rows
        )
        file = folder / f"{coin.name}-5m.csv"
        file.write_text("\n".join(["ts,open,high,low,close,volume", *lines]) + "\n")
        files.append(file)
    return files


def play(folder: Path, files: Sequence[Path], seed: int, limit_s: float) -> list[Seen]:
    """Look every few seconds until the candles end, or the time is over."""
    arguments = ["--candles", *map(str, files), "--speed", "max", "--seed", str(seed)]
    seen: list[Seen] = []
    with Daemon(folder, *arguments) as daemon:
        daemon.healthy()
        start, first, told = time.monotonic(), 0.0, 0
        while daemon.alive and time.monotonic() - start < limit_s:
            status = daemon.status()
            if not status:
                time.sleep(0.1)  # it is ending
                continue
            try:
                now = usage(daemon.pid)
            except ProcessLookupError:
                break  # the candles have ended
            at_s = datetime.fromisoformat(str(status["market_time_at"])).timestamp()
            first = first or at_s
            seen.append(Seen((at_s - first) * 1000 / DAY_MS, now))
            if seen[-1].day >= told:
                told = int(seen[-1].day) + 1
                coins, trades = len(status["universe"]), status["closed_trades"]
                say(f"{seen[-1]}; {coins} coins, {trades} trades")
            time.sleep(EVERY_S)
        if daemon.alive:
            tell_lag(daemon)
            daemon.terminate()
    return seen


def judge(seen: Sequence[Seen], days: int) -> int:
    """The slope by least squares over the days after the first few."""
    reached = seen[-1].day if seen else 0.0
    settled = [look for look in seen if look.day >= SETTLING_DAYS]
    if len(settled) < LEAST_SAMPLES or reached < days - 1:
        say(f"MISS  only {reached:.1f} of {days} days and {len(settled)} looks: no slope")
        return 1
    rows = [look.now.rss_mb for look in settled]
    slope = linear_regression([look.day for look in settled], rows).slope
    say(f"{min(rows):.1f} to {max(rows):.1f} MB after day {SETTLING_DAYS}; {seen[-1]}")
    name = f"growth of memory, {len(COINS)} coins, days {SETTLING_DAYS} to {reached:.1f}"
    return tell(Figure(name, slope, SLOPE_LIMIT, "MB a day"))

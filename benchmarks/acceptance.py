"""The acceptance runs at full size: python -m benchmarks.acceptance seeds|candles|kills|crashes

Owns how many runs there are and how they are told; what a run must show is in tests/scenarios.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from types import FrameType

from benchmarks.figures import say
from tests.daemon import ROOT, Daemon, kill_all
from tests.scenarios.candles import judge, play
from tests.scenarios.crashes import run_chain
from tests.scenarios.demo import first_trade
from tests.scenarios.kills import BUSY, Moment, kill_run

CANDLES = ROOT / ".." / "shared" / "data" / "candles"
FILES = ("XRP-PERP-5m-2021", "BTC-USD-5m-2023a", "BTC-PERP-1m-2022-01a")
FILE_LIMIT_S = 1_800.0
LEAST_TRADES = 5
SEEDS, SEEDS_NEEDED = 20, 19
KILL_CHAINS, KILLS_EACH, KILL_SPEED = 30, 10, 120
CHAINS, CRASHES = 40, 25

Run = Callable[[Path], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one kind; 0 when enough of its runs passed, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.acceptance")
    parser.add_argument("kind", choices=("seeds", "candles", "kills", "crashes"))
    parser.add_argument("--at-once", type=int, default=2, help="runs beside each other")
    parser.add_argument("--only", default="", help="names of runs, separated by commas")
    parser.add_argument("--keep", type=Path, help="leave what each run wrote under this folder")
    chosen = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    runs, needed, at_once = _runs(chosen.kind)
    only = [name for name in chosen.only.split(",") if name]
    runs = {name: run for name, run in runs.items() if not only or name in only}
    with ThreadPoolExecutor(min(at_once, chosen.at_once)) as pool:
        told = partial(_told, keep=chosen.keep)
        passed = sum(pool.map(told, runs, runs.values()))
    needed = min(needed, len(runs))
    say(f"{chosen.kind}: {passed} of {len(runs)} passed, {needed} needed")
    return 0 if passed >= needed else 1


def _leave(number: int, frame: FrameType | None) -> None:
    """Asked to stop: take every process along that was started here."""
    kill_all()
    os._exit(128 + number)  # the shell's convention; the threads would go on


def _runs(kind: str) -> tuple[dict[str, Run], int, int]:
    """(runs by name, how many must pass, how many at once)."""
    match kind:
        case "seeds":
            return {str(n): _seed(n) for n in range(1, SEEDS + 1)}, SEEDS_NEEDED, 2
        case "candles":
            return {name: _file(name) for name in FILES}, len(FILES), 1
        case "crashes":
            return {str(n): _chain(n) for n in range(1, CHAINS + 1)}, CHAINS, 2
        case _:
            runs = {str(n): _kill(n) for n in range(1, KILL_CHAINS + 1)}
            return runs, KILL_CHAINS, 3


def _told(name: str, run: Run, keep: Path | None = None) -> bool:
    """Run once in a folder of its own, print one line; whether it passed."""
    with _folder(name, keep) as folder:
        start = time.monotonic()
        try:
            said, passed = run(folder), True
        except AssertionError as failure:
            said, passed = str(failure), False
        seconds = time.monotonic() - start
        say(f"{'passed' if passed else 'FAILED'} {name:<22} {seconds:6.1f} s  {said}")
        return passed


@contextmanager
def _folder(name: str, keep: Path | None) -> Iterator[Path]:
    """A new folder for one run, gone afterwards unless it is to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="keel-") as folder:
            yield Path(folder)
        return
    keep.mkdir(parents=True, exist_ok=True)
    yield Path(tempfile.mkdtemp(prefix=f"{name}-", dir=keep.resolve()))


def _seed(seed: int) -> Run:
    def run(folder: Path) -> str:
        """As `make run` does, with another seed."""
        with Daemon(folder, settings={"DEMO_SEED": seed}) as daemon:
            trade = first_trade(daemon.healthy())
            stopping = time.monotonic()
            assert daemon.terminate() == 0, daemon.output()
            stopped_s = time.monotonic() - stopping
            assert daemon.errors() == [], f"ERROR records: {daemon.errors()}"
            return f"{trade}; stopped in {stopped_s:.1f} s"

    return run


def _file(name: str) -> Run:
    def run(folder: Path) -> str:
        file = CANDLES / f"{name}.csv.gz"
        first = play(folder / "first", file, limit_s=FILE_LIMIT_S)
        judge(first, LEAST_TRADES)
        again = play(folder / "again", file, limit_s=FILE_LIMIT_S)
        assert again.trades == first.trades, "the second run gave other trades"
        steps = " ".join(f"{step} {count}" for step, count in first.steps)
        return (
            f"{len(first.trades)} trades, books equal, twice the same; "
            f"{first.seconds:.0f} s and {again.seconds:.0f} s; {steps}"
        )

    return run


def _kill(seed: int) -> Run:
    def run(folder: Path) -> str:
        """Every third chain beside a venue that misbehaves."""
        moments = tuple(islice(cycle(Moment), seed, seed + KILLS_EACH))
        return str(kill_run(folder, seed, moments, KILL_SPEED, BUSY, faults=seed % 3 == 0))

    return run


def _chain(seed: int) -> Run:
    def run(folder: Path) -> str:
        done = run_chain(folder, seed, CRASHES)
        assert not done.problems, "; ".join(done.problems)
        return str(done)

    return run


if __name__ == "__main__":
    sys.exit(main())

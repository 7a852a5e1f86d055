"""A run on candle files in lockstep, from an empty folder to the end of the data, and its judge.

Owns what such a run must leave behind; knows no file by name.
"""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.pipeline.funnel import funnel
from tests.books import books_equal, closed_trades, trace_counts
from tests.daemon import Daemon

NET_PNL = -1  # last column of `trades`


@dataclass(frozen=True, slots=True)
class CandleRun:
    """What was left of one run that ended by itself."""

    seconds: float
    books: Path
    ledger: Path
    trades: list[tuple[Any, ...]]
    errors: list[dict[str, Any]]

    @property
    def steps(self) -> list[tuple[str, int]]:
        """The funnel, from the traces of this run."""
        won = sum(trade[NET_PNL] > 0 for trade in self.trades)
        rows = funnel(trace_counts(self.books), won)
        return [(str(row["step"]), int(str(row["count"]))) for row in rows]


def play(folder: Path, *files: Path, limit_s: float, seed: int = 1) -> CandleRun:
    """Run main.py on `files` at --speed max until it ends by itself.

    Raises AssertionError when that is not with exit code 0 within `limit_s`.
    """
    start = time.monotonic()
    names = [str(file) for file in files]
    arguments = ["--candles", *names, "--speed", "max", "--seed", str(seed), "--profile", "demo"]
    with Daemon(folder, *arguments) as daemon:
        code = daemon.finish(limit_s)
        seconds = time.monotonic() - start
        assert code == 0, f"ended with {code}: {daemon.output()}"
        return CandleRun(
            seconds,
            daemon.books,
            daemon.ledger,
            closed_trades(daemon.books),
            daemon.errors(),
        )


def judge(run: CandleRun, least_trades: int) -> None:
    """Errors, trades, books and funnel of a run. Raises AssertionError."""
    assert run.errors == []
    assert len(run.trades) >= least_trades, f"{len(run.trades)} closed trades; {run.steps}"
    books_equal(run.books, run.ledger)
    counts = [count for _, count in run.steps]
    assert counts == sorted(counts, reverse=True), f"a step is larger than its former: {run.steps}"
    assert counts[0] > 0


def cut(source: Path, rows: int, folder: Path) -> Path:
    """The first `rows` of a gzipped candle file, under its own name."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.name.removesuffix(".gz")
    with gzip.open(source, "rt") as lines, target.open("w") as written:
        for _, line in zip(range(rows + 1), lines):
            written.write(line)
    return target

"""`make bench`: every measurement in its order, or the one that is named.

Owns the list, and a process for each where all of them run; each measurement prints its own
figures, its limit and whether it is met.
"""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import say

MEND = 2  # spec 05 "The process": what was asked for cannot be done


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One subcommand: `module.main(arguments) -> exit code`, imported when it is asked for."""

    name: str
    module: str
    shows: str
    given: tuple[str, ...] = ()  # arguments that come before those of the command line


# In the order in which all of them run; a new measurement is a file and a line here.
BENCHMARKS = (
    Benchmark("start", "benchmarks.start", "process start to the first finished scan"),
    Benchmark("memory", "benchmarks.memory", "resident memory after ten minutes of demo"),
    Benchmark("observe", "benchmarks.observe", "processor time from closed bars to a score"),
    Benchmark("loop_stretch", "benchmarks.loop_stretch", "how long the loop is deaf"),
    Benchmark("exit_latency", "benchmarks.exit_latency", "from a price to an exit order"),
    Benchmark("trace_size", "benchmarks.trace_size", "what a trace takes on the disk"),
    Benchmark("growth", "benchmarks.growth", "memory over 30 simulated days"),
    Benchmark("budget", "benchmarks.request_budget", "requests that proving the stops costs"),
    Benchmark("council", "benchmarks.council", "three models: time, deadline and money"),
    Benchmark("council_load", "benchmarks.council_load", "care and cycles while councils think"),
    Benchmark("seeds", "benchmarks.acceptance", "the demo trades with twenty seeds", ("seeds",)),
    Benchmark("candles", "benchmarks.acceptance", "real candles, twice the same", ("candles",)),
    Benchmark("crashes", "benchmarks.acceptance", "a thousand crashes", ("crashes",)),
    Benchmark("kills", "benchmarks.acceptance", "kill -9 at every moment", ("kills",)),
)


def main(words: Sequence[str]) -> int:
    """Run the benchmark that is named with the rest as its arguments, or all of them."""
    if not words:
        return _all()
    name, *rest = words
    chosen = next((benchmark for benchmark in BENCHMARKS if benchmark.name == name), None)
    if chosen is not None:
        return _run(chosen, rest)
    lines = [f"  {benchmark.name:<12} {benchmark.shows}" for benchmark in BENCHMARKS]
    say("\n".join(["python -m benchmarks [NAME …]", *lines]))
    return 0 if name in ("-h", "--help", "help") else MEND


def _all() -> int:
    """One after the other, each in a process of its own: what one loads is no other's memory."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # as a shell says it
    codes = {benchmark.name: _apart(benchmark) for benchmark in BENCHMARKS}
    missed = [name for name, code in codes.items() if code]
    say(f"\n{len(codes) - len(missed)} of {len(codes)} met; not met: {', '.join(missed) or 'none'}")
    return max(codes.values())


def _apart(benchmark: Benchmark) -> int:
    with subprocess.Popen([sys.executable, "-m", "benchmarks", benchmark.name]) as child:
        try:
            return abs(child.wait())
        finally:
            if child.poll() is None:
                child.terminate()  # we were asked to stop: it takes along what it started


def _run(benchmark: Benchmark, rest: Sequence[str]) -> int:
    say(f"\n== {benchmark.name}: {benchmark.shows}")
    found = importlib.import_module(benchmark.module)
    return int(found.main([*benchmark.given, *rest]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

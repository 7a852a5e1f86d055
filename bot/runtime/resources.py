"""Owns the figures of the process itself: memory, processor, files, threads, loop lag.

Refuses to judge them.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from bot.runtime.calls import quantile

SAMPLE_S = 0.05
KEPT = 1200  # one minute of samples
STALL_S = 5.0  # later than this the process stood still (suspended, starved, blocked)
STEP_MS = 1_000  # the wall clock moved by that much more or less than time did: it was set
BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)  # of the histogram, upper ones


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the loop woke us over the last minute, ms.

    `histogram` counts all samples since the start, by upper bound ("5": over 2 and up to 5 ms;
    "more": over the last bound). It is not cumulative.
    """

    samples: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    histogram: Mapping[str, int] = field(default_factory=dict)


NO_LAG = Lag(0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Resources:
    """One sample. `cpu_percent` is of one core, since the last sample; MB are 10^6 bytes."""

    rss_mb: float
    peak_rss_mb: float | None  # since the start; None where the system does not say
    cpu_percent: float
    threads: int
    open_files: int
    loop_lag: Lag


class LoopLag:
    """A service that sleeps 50 ms and notes by how much the loop was late.

    It sleeps on the loop itself, not on the Clock: the loop is what it measures, and it must not
    be a deadline of market time.
    """

    def __init__(
        self,
        stood_still: Callable[[float], None] | None = None,
        clock_set: Callable[[float], None] | None = None,
        wall: Callable[[], int] | None = None,
    ) -> None:
        """`stood_still` is told by how many seconds the loop was late, from `STALL_S` on.

        `clock_set`: by how many seconds `wall` (ms) went on more than the loop's time did. That
        is also what a machine that slept shows where its own time stands still meanwhile.
        """
        self._stood_still = stood_still
        self._clock_set = clock_set
        self._wall = wall
        self._late_s: deque[float] = deque(maxlen=KEPT)
        self._counts = [0] * (len(BOUNDS_MS) + 1)

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Take one sample."""
        loop = asyncio.get_running_loop()
        began, wall = loop.time(), self._wall() if self._wall is not None else 0
        await asyncio.sleep(SAMPLE_S)
        passed = loop.time() - began
        self.note(passed - SAMPLE_S)
        if self._wall is not None:
            self.note_wall(self._wall() - wall - passed * 1000)

    def note(self, late_s: float) -> None:
        """Keep a sample, seconds; the oldest goes when there are 1200."""
        self._late_s.append(max(0.0, late_s))
        self._counts[bisect_left(BOUNDS_MS, late_s * 1000)] += 1
        if late_s >= STALL_S and self._stood_still is not None:
            self._stood_still(late_s)

    def note_wall(self, by_ms: float) -> None:
        """Tell of a wall clock that was set, forward or back."""
        if abs(by_ms) >= STEP_MS and self._clock_set is not None:
            self._clock_set(by_ms / 1000)

    def view(self) -> Lag:
        """Quantiles (nearest rank) of what is kept; zeros before the first sample."""
        ranked = sorted(late * 1000 for late in self._late_s)
        p50, p95, p99, most = (quantile(ranked, share) or 0.0 for share in (0.5, 0.95, 0.99, 1.0))
        return Lag(len(ranked), p50, p95, p99, most, self.histogram() if ranked else {})

    def histogram(self) -> Mapping[str, int]:
        """Samples since the start by upper bound in ms."""
        names = (*(str(bound) for bound in BOUNDS_MS), "more")
        return dict(zip(names, self._counts, strict=True))


class DiskMeter:
    """How much room the folder of the data has; asked now and then, read at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.free_mb: float | None = None  # before the first look, or where it cannot be told

    def look(self) -> None:
        """Ask the file system; it may hang, so never on the loop."""
        try:
            self.free_mb = round(shutil.disk_usage(self.folder).free / 1e6, 1)
        except OSError:
            self.free_mb = None


class ResourceMeter:
    """The operating system's figures of this process; asked now and then, read at any time."""

    def __init__(self, lag: LoopLag) -> None:
        self._lag = lag
        self._process = psutil.Process()
        self._process.cpu_percent(None)  # the first call only sets the mark
        self._seen: Resources | None = None

    def sample(self) -> Resources:
        """The figures of the last look; the lag of the loop is that of now."""
        if self._seen is None:
            self.look()
        assert self._seen is not None
        return replace(self._seen, loop_lag=self._lag.view())

    def look(self) -> None:
        """Ask the system: six files of /proc, 3 ms on a busy machine, so not on the loop."""
        process = self._process
        with process.oneshot():
            self._seen = Resources(
                rss_mb=round(process.memory_info().rss / 1e6, 1),
                peak_rss_mb=_peak_mb(),
                cpu_percent=process.cpu_percent(None),
                threads=process.num_threads(),
                open_files=process.num_fds(),
                loop_lag=NO_LAG,
            )


def _peak_mb() -> float | None:
    """The kernel's own high-water mark; Linux alone tells it of a process that still runs."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").split("\n"):
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return round(int(value.split()[0]) * 1024 / 1e6, 1)
    return None

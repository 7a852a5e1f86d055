"""Owns the figures of the process itself: memory, processor, files, threads, loop lag.

Refuses to judge them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import psutil

SAMPLE_S = 0.05
KEPT = 1200  # one minute of samples


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the loop woke us over the last minute, ms."""

    samples: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Resources:
    """One sample. `cpu_percent` is of one core, since the last sample."""

    rss_mb: float
    cpu_percent: float
    threads: int
    open_files: int
    loop_lag: Lag


class LoopLag:
    """A service that sleeps 50 ms and notes by how much the loop was late.

    It sleeps on the loop itself, not on the Clock: the loop is what it measures, and it must not
    be a deadline of market time.
    """

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Take one sample."""
        loop = asyncio.get_running_loop()
        due = loop.time() + SAMPLE_S
        await asyncio.sleep(SAMPLE_S)
        self.note(loop.time() - due)

    def note(self, late_s: float) -> None:
        """Keep a sample, seconds; the oldest goes when there are 1200."""
        self._late_s.append(max(0.0, late_s))

    def view(self) -> Lag:
        """Quantiles (nearest rank) of what is kept; zeros before the first sample."""
        ranked = sorted(self._late_s)
        if not ranked:
            return Lag(0, 0.0, 0.0, 0.0, 0.0)

        def at(share: float) -> float:
            return round(ranked[min(int(share * len(ranked)), len(ranked) - 1)] * 1000, 3)

        return Lag(len(ranked), at(0.50), at(0.95), at(0.99), at(1.0))


class ResourceMeter:
    """Reads the operating system's figures of this process."""

    def __init__(self, lag: LoopLag) -> None:
        self._lag = lag
        self._process = psutil.Process()
        self._process.cpu_percent(None)  # the first call only sets the mark

    def sample(self) -> Resources:
        """The figures of this moment; takes well under a millisecond."""
        process = self._process
        with process.oneshot():
            return Resources(
                rss_mb=round(process.memory_info().rss / 1e6, 1),
                cpu_percent=process.cpu_percent(None),
                threads=process.num_threads(),
                open_files=process.num_fds(),
                loop_lag=self._lag.view(),
            )

"""How long the loop was deaf: every turn of it, what a timer saw, and who held it up.

Owns the probes of a running loop and their histogram; knows nothing of what runs on it.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

LIMIT_MS = 5.0  # spec 05, "The process": no stretch of the loop over 5 ms
BOUNDS_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
SAMPLE_S = 0.01  # of the timer's probe

T = TypeVar("T")


@dataclass
class Histogram:
    """Samples in ms, in buckets and whole."""

    values: list[float] = field(default_factory=list)

    def add(self, ms: float) -> None:
        self.values.append(ms)

    def at(self, share: float) -> float:
        """Nearest rank; 0 without samples."""
        ranked = sorted(self.values)
        return ranked[min(int(share * len(ranked)), len(ranked) - 1)] if ranked else 0.0

    def line(self) -> str:
        """`<1 812 | 1-2 95 | … | p50 p95 p99 max`, ms."""
        counts = Counter(bisect_left(BOUNDS_MS, value) for value in self.values)
        edges = [f"{bound:g}" for bound in BOUNDS_MS]
        names = [f"<{edges[0]}", *(f"{a}-{b}" for a, b in pairwise(edges)), f">{edges[-1]}"]
        buckets = " | ".join(
            f"{name} {counts[i]}" for i, name in enumerate(names) if counts[i] or i < 3
        )
        shares = " ".join(f"p{100 * s:g} {self.at(s):.1f}" for s in (0.5, 0.95, 0.99))
        return f"{buckets} ms; {shares} max {self.at(1.0):.1f} ms; n={len(self.values)}"


@dataclass
class Held:
    """Callbacks that ran longer than the limit: how often, and the longest, by who they are."""

    count: int = 0
    worst_cpu_ms: float = 0.0
    worst_wall_ms: float = 0.0


class Probe:
    """Measures one loop while it is `watched`.

    A turn is what the loop does between two looks at its sockets; a stretch is one callback
    in it. CPU is that of the loop's own thread: other processes on a shared machine lengthen
    the wall time of a stretch, not its CPU.
    """

    def __init__(self) -> None:
        self.turns_wall, self.turns_cpu = Histogram(), Histogram()
        self.timer, self.stretches, self.stretches_wall = Histogram(), Histogram(), Histogram()
        self.collections: Histogram = Histogram()
        self.held: dict[str, Held] = {}
        self.on = False
        self.thread = 0
        self._clocks: list[tuple[float, float]] = []  # monotonic s, CPU s of the thread, by turn
        self._left: tuple[float, float] | None = None
        self._gc_from = 0.0

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """`asyncio.run` on a loop of which every turn is measured."""
        with asyncio.Runner(loop_factory=self._loop) as runner:
            return runner.run(main())

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count from here on; what came before, such as a start, is another figure."""
        self._left, self.on = None, True
        gc.callbacks.append(self._collected)
        try:
            yield
        finally:
            self.on = False
            gc.callbacks.remove(self._collected)

    async def time(self) -> None:
        """Ask for a wake-up every 10 ms and note by how much it is late; until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            if self.on:
                self.timer.add(max(0.0, (loop.time() - due) * 1000))

    def report(self, most: int = 8) -> Iterator[str]:
        """Lines for people."""
        yield f"  stretches, CPU           {self.stretches.line()}"
        yield f"  stretches, wall          {self.stretches_wall.line()}"
        yield f"  turns of the loop, CPU   {self.turns_cpu.line()}"
        yield f"  turns of the loop, wall  {self.turns_wall.line()}"
        yield f"  a timer was late by      {self.timer.line()}"
        yield f"  garbage collections      {self.collections.line()}"
        worst = sorted(self.held.items(), key=lambda item: -item[1].worst_cpu_ms)
        for who, held in worst[:most]:
            yield (
                f"  over {LIMIT_MS:g} ms of CPU {held.count:4} times, worst {held.worst_cpu_ms:.1f}"
                f" (wall {held.worst_wall_ms:.1f}): {who}"
            )

    # --- the loop ------------------------------------------------------------------------

    def _loop(self) -> asyncio.AbstractEventLoop:
        self.thread = threading.get_ident()
        loop = asyncio.SelectorEventLoop(_Selector(self))
        asyncio.events.Handle._run = _timed(self)  # type: ignore[method-assign, assignment]
        return loop

    def turned(self) -> None:
        """The loop is about to look at its sockets."""
        if self.on and self._left is not None:
            wall, cpu = self._left
            self.turns_wall.add((time.perf_counter() - wall) * 1000)
            self.turns_cpu.add((time.thread_time() - cpu) * 1000)

    def looked(self) -> None:
        """It has looked and will now run what is ready."""
        self._left = (time.perf_counter(), time.thread_time())
        if self.on:
            self._clocks.append((time.monotonic(), self._left[1]))

    def cpu_ms(self, began: float, ended: float) -> float:
        """What the loop's thread computed between two moments of `time.monotonic`."""
        return (self._cpu_at(ended) - self._cpu_at(began)) * 1000

    def _cpu_at(self, moment: float) -> float:
        """Between two turns as much of it as of the time: to a turn's length, no closer."""
        after = bisect_left(self._clocks, (moment, 0.0))
        if not 0 < after < len(self._clocks):
            return self._clocks[min(after, len(self._clocks) - 1)][1]
        (before_at, before), (after_at, cpu) = self._clocks[after - 1], self._clocks[after]
        return before + (cpu - before) * (moment - before_at) / (after_at - before_at)

    def ran(self, handle: asyncio.Handle, cpu_ms: float, wall_ms: float) -> None:
        """One callback is over."""
        self.stretches.add(cpu_ms)
        self.stretches_wall.add(wall_ms)
        if cpu_ms <= LIMIT_MS:
            return
        held = self.held.setdefault(_who(handle), Held())
        held.count += 1
        if cpu_ms > held.worst_cpu_ms:
            held.worst_cpu_ms, held.worst_wall_ms = cpu_ms, wall_ms

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_from = time.perf_counter()
        else:
            self.collections.add((time.perf_counter() - self._gc_from) * 1000)


class _Selector(selectors.DefaultSelector):
    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self._probe = probe

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._probe.turned()
        found = super().select(timeout)
        self._probe.looked()
        return found


_run = asyncio.events.Handle._run


def _timed(probe: Probe) -> Callable[[asyncio.Handle], None]:
    def run(handle: asyncio.Handle) -> None:
        if not probe.on or threading.get_ident() != probe.thread:  # others have loops as well
            _run(handle)
            return
        wall, cpu = time.perf_counter(), time.thread_time()
        _run(handle)
        spent = (time.thread_time() - cpu) * 1000
        probe.ran(handle, spent, (time.perf_counter() - wall) * 1000)

    return run


def _who(handle: asyncio.Handle) -> str:
    """The task and where it waits next, or the callback."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    owner = getattr(callback, "__self__", None)
    if not isinstance(owner, asyncio.Task):
        return str(getattr(callback, "__qualname__", callback))
    waits = [f"{name}:{line}" for name, line in _chain(owner.get_coro())]
    return " > ".join(waits[:1] + waits[-2:]) if waits else f"{owner.get_coro()!r}"[:120]


def _chain(coroutine: Any) -> Iterator[tuple[str, int]]:
    while coroutine is not None and hasattr(coroutine, "cr_frame"):
        if coroutine.cr_frame is not None:
            yield coroutine.__qualname__, coroutine.cr_frame.f_lineno
        else:
            yield f"{coroutine.__qualname__} (ended)", 0
        coroutine = coroutine.cr_await

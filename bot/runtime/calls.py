"""Owns how often a dependency was called, how often in vain, and how long it took.

Refuses to know what is called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

KEPT = 500  # calls behind the quantiles


@dataclass(frozen=True, slots=True)
class Calls:
    """Counted since the start; the quantiles (nearest rank, ms) are of the last 500 answers."""

    calls: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None


class CallMeter:
    """One dependency."""

    def __init__(self) -> None:
        self._calls = 0
        self._errors = 0
        self._times: deque[float] = deque(maxlen=KEPT)

    @contextmanager
    def timed(self, monotonic: Callable[[], float]) -> Iterator[None]:
        """Measure a call in machine time; one that raises is an error."""
        started = monotonic()
        try:
            yield
        except BaseException:
            self.note(None)
            raise
        self.note((monotonic() - started) * 1000)

    def note(self, ms: float | None) -> None:
        """Keep one call; None: it ended without an answer."""
        self._calls += 1
        if ms is None:
            self._errors += 1
        else:
            self._times.append(ms)

    def vain(self) -> None:
        """The last call, which was kept with its time, brought an answer of no use."""
        self._errors += 1

    def view(self) -> Calls:
        """The figures of now."""
        ranked = sorted(self._times)

        return Calls(self._calls, self._errors, quantile(ranked, 0.50), quantile(ranked, 0.95))


def quantile(ranked: Sequence[float], share: float) -> float | None:
    """The value at `share` of what is sorted (nearest rank); None of nothing."""
    if not ranked:
        return None
    return round(ranked[min(int(share * len(ranked)), len(ranked) - 1)], 3)

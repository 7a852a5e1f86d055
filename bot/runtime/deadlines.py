"""Owns the order in which sleepers of a stepped clock are woken.

Refuses to know what time it is and what waking means.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

COMPACT_FROM = 64  # departed sleepers are swept only when there are more than these


class Deadline:
    """One sleeper in the heap; `wake` is None once it was woken or has gone away."""

    __slots__ = ("wake",)

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake: Callable[[], object] | None = wake


class Deadlines:
    """Sleepers ordered by (time, order of registration); those that left are swept."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Deadline]] = []
        self._number = 0
        self._gone = 0

    def __len__(self) -> int:
        return len(self._heap) - self._gone

    def add(self, at: int, wake: Callable[[], object]) -> Deadline:
        self._number += 1
        deadline = Deadline(wake)
        heapq.heappush(self._heap, (at, self._number, deadline))
        return deadline

    def remove(self, deadline: Deadline) -> None:
        """Forget a sleeper that was cancelled or whose event came; twice is harmless."""
        if deadline.wake is None:
            return
        deadline.wake = None
        self._gone += 1
        if self._gone > COMPACT_FROM and self._gone * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].wake is not None]
            heapq.heapify(self._heap)
            self._gone = 0

    def first(self) -> int | None:
        """Time of the earliest sleeper; None when nobody sleeps."""
        while self._heap:
            if self._heap[0][2].wake is not None:
                return self._heap[0][0]
            heapq.heappop(self._heap)
            self._gone -= 1
        return None

    def wake_first(self) -> None:
        """Wake the sleeper that `first` spoke of."""
        deadline = heapq.heappop(self._heap)[2]
        wake, deadline.wake = deadline.wake, None
        if wake is not None:
            wake()

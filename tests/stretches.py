"""How much is done in one go: calls between two turns of the loop, counted and not timed.

Every machine counts the same, however busy it is; benchmarks/lag.py measures the time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from unittest.mock import patch

_run = asyncio.Handle._run


class Stretches:
    """Calls of functions, Python's and C's, in each callback of the loop."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.so_far = 0  # in the callback that runs
        self._counts = True

    @property
    def longest(self) -> int:
        return max(self.calls, default=0)

    def _ran(self, handle: asyncio.Handle) -> None:
        self.so_far = 0

        def note(_: FrameType, event: str, __: object) -> None:
            self.so_far += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            _run(handle)
        finally:
            sys.setprofile(before)
            if self._counts:  # else it began within and went on beyond
                self.calls.append(self.so_far)


@contextmanager
def counted() -> Iterator[Stretches]:
    """Count in every callback that begins and ends while this is open."""
    found = Stretches()
    with patch.object(asyncio.Handle, "_run", lambda handle: found._ran(handle)):
        yield found
        found._counts = False

"""Owns when the interpreter looks for dead cycles, and how long a thread may keep the loop out.

Refuses to know what the objects are. A collection walks over every object of its generation
and stops all threads: its length is a matter of how many there are, not of how many are dead.
"""

from __future__ import annotations

import gc
import sys
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

# Objects made before a young collection (up to 1 ms where others use the processor too), young
# collections before one of the middle generation (2 ms; 3 to 5 at 1,000 and 2, for the same sum
# over a minute); the oldest is never walked by itself: 160,000 objects take 0.2 s with 200 symbols.
THRESHOLDS = (400, 1, 1_000_000)
# Middle collections after which survivors are set aside; each leaves up to 800 objects.
MIDDLE_BEFORE_ASIDE = 75
# Times that survivors are set aside before dead cycles are looked for among them.
ASIDES_BEFORE_ALL = 100
# Seconds for which one thread may run while others want to. The interpreter's own 5 ms are
# what each of the ten steps of a row to the disk has to wait for while a scan is computed.
SWITCH_S = 0.001


class Collector(Protocol):
    """What is used of the module `gc`."""

    def collect(self, generation: int = 2, /) -> int: ...
    def freeze(self) -> None: ...
    def unfreeze(self) -> None: ...
    def get_count(self) -> tuple[int, int, int]: ...
    def set_threshold(self, threshold0: int, threshold1: int, threshold2: int, /) -> None: ...


class Garbage:
    """Keeps each collection short: what has grown old is set aside, and walked over no more.

    What is set aside and dies is freed as ever; only cycles among it stay. They are looked for
    once in a long while, and never while a position is open: that takes 0.2 s.
    """

    def __init__(self, collector: Collector = gc) -> None:
        self._gc = collector
        self._asides = 0

    def begin(self) -> None:
        """What the start has made lives as long as the process."""
        self._gc.collect()
        self._gc.freeze()
        self._gc.set_threshold(*THRESHOLDS)
        sys.setswitchinterval(SWITCH_S)

    def warm(self) -> None:
        """The windows of every symbol are known: they live on as well."""
        self._gc.freeze()

    def calm(self, *, exposed: bool) -> None:
        """Set aside what is old, at a moment when little is under way.

        `exposed`: a position is open, so that nothing may take long.
        """
        if self._gc.get_count()[2] >= MIDDLE_BEFORE_ASIDE:
            self._gc.freeze()
            self._asides += 1
        if self._asides >= ASIDES_BEFORE_ALL and not exposed:
            self._asides = 0
            self._collect_all()

    def _collect_all(self) -> None:
        self._gc.unfreeze()
        dead = self._gc.collect()
        self._gc.freeze()
        log.info("garbage_collected", dead=dead)

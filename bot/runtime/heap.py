"""Owns what the C library keeps of memory that Python has given back.

Refuses to know who used it. glibc holds on to what was freed in the middle of its heap: the
transients of a backup or of a scan would stay resident for the life of the process.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable

EVERY_S = 20.0  # a call takes 0.2 ms when there is something to give back, else nothing
OWN_MAPPING = 65_536  # bytes
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # <malloc.h>


Option = Callable[[int, int], int]


def keep_small(option: Option | None = None) -> None:
    """Have freed memory go back at once, as far as it can; to be called before much is taken.

    Blocks from `OWN_MAPPING` on get a mapping of their own: by itself glibc raises that bound
    to the largest block that was ever freed, and what lies between such blocks stays. And all
    threads share one heap: each of ours works too little to need its own.
    """
    option = option or _optioner()
    if option is not None:
        option(_M_MMAP_THRESHOLD, OWN_MAPPING)
        option(_M_ARENA_MAX, 1)


def _optioner() -> Option | None:
    """`mallopt` of the C library; None where it has none (macOS)."""
    found = getattr(ctypes.CDLL(None), "mallopt", None)
    if found is None:
        return None
    found.argtypes, found.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    option: Option = found
    return option


def _trimmer() -> Callable[[int], int] | None:
    """`malloc_trim` of the C library; None where it has none (musl, macOS)."""
    found = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if found is None:
        return None
    found.argtypes, found.restype = [ctypes.c_size_t], ctypes.c_int
    trim: Callable[[int], int] = found
    return trim


class Heap:
    """A service that returns free memory to the system three times a minute.

    It sleeps on the loop itself, not on the Clock: memory is no matter of market time.
    """

    def __init__(self, trim: Callable[[int], int] | None = None) -> None:
        self._trim = trim or _trimmer()

    async def run(self) -> None:
        """For ever; a system without the call has nothing to do here."""
        while True:
            self.step()
            await asyncio.sleep(EVERY_S)

    def step(self) -> None:
        """Give back what is free."""
        if self._trim is not None:
            self._trim(0)

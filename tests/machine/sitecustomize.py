"""A machine whose wall clock is set and which starves a process, as two files say.

For a process with this folder on its PYTHONPATH: `clock_offset` in the folder in which it was
started holds seconds by which its wall clock is wrong, `stall` seconds for which its main
thread stands still, once.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

OFFSET = Path("clock_offset").absolute()
STALL = Path("stall").absolute()

_time, _time_ns, _monotonic = time.time, time.time_ns, time.monotonic


def _said(path: Path) -> int:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0


def _set_time() -> float:
    return _time() + _said(OFFSET)


def _set_time_ns() -> int:
    return _time_ns() + _said(OFFSET) * 1_000_000_000


def _starved_monotonic() -> float:
    if threading.current_thread() is threading.main_thread() and STALL.exists():
        seconds = _said(STALL)
        STALL.unlink()
        time.sleep(seconds)
    return _monotonic()


time.time, time.time_ns, time.monotonic = _set_time, _set_time_ns, _starved_monotonic

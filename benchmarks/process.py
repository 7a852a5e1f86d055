"""What a running process takes, and how late its loop is.

Owns the reading of /proc and the daemon's own histogram; knows no benchmark.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import say
from tests.daemon import Daemon

MB = 1e6  # as /status counts
TICKS_S = os.sysconf("SC_CLK_TCK")
BAR = 40  # characters of the longest bar


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process: resident memory (MB; anonymous and mapped files), peak, processor s."""

    rss_mb: float
    own_mb: float
    files_mb: float
    peak_mb: float
    cpu_s: float
    threads: int

    def __str__(self) -> str:
        return (
            f"{self.rss_mb:6.1f} MB (own {self.own_mb:.1f}, files {self.files_mb:.1f}, "
            f"peak {self.peak_mb:.1f}), {self.threads} threads, processor {self.cpu_s:.0f} s"
        )


def usage(pid: int) -> Usage:
    """What the kernel says now. Raises ProcessLookupError when the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        raise ProcessLookupError(f"process {pid} is gone") from None
    said = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmRSS" not in said:
        raise ProcessLookupError(f"process {pid} has ended")
    fields = stat.rpartition(")")[2].split()  # from the state on; the name may hold anything

    def of(name: str) -> float:
        return int(said[name].split()[0]) * 1024 / MB

    return Usage(
        rss_mb=of("VmRSS"),
        own_mb=of("RssAnon"),
        files_mb=of("RssFile") + of("RssShmem"),
        peak_mb=of("VmHWM"),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_S,  # utime and stime
        threads=int(said["Threads"]),
    )


def tell_lag(daemon: Daemon) -> None:
    """Print how late the daemon's loop woke up, over its whole life."""
    lag: Mapping[str, Any] = daemon.status().get("resources", {}).get("loop_lag", {})
    if not lag:
        say("loop lag: the daemon does not answer")
        return
    say(
        f"loop lag, last minute: p50 {lag['p50_ms']:.1f}, p95 {lag['p95_ms']:.1f}, "
        f"p99 {lag['p99_ms']:.1f}, max {lag['max_ms']:.1f} ms; since the start:"
    )
    for line in histogram(lag.get("histogram", {})):
        say(f"  {line}")


def histogram(counts: Mapping[str, int]) -> Iterable[str]:
    """A line a bucket: upper bound, count, share, bar."""
    total = sum(counts.values())
    longest = max(counts.values(), default=0)
    for bound, count in counts.items():
        name = f"<= {bound} ms" if bound != "more" else "more"
        bar = "#" * round(BAR * count / longest) if longest else ""
        yield f"{name:>10} {count:8d} {count / total if total else 0:7.2%} {bar}".rstrip()


def middle(values: Iterable[float]) -> float:
    """The median."""
    return float(median(values))


def keep_bytecode() -> None:
    """A second start reads compiled modules, as an installed Keel does."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

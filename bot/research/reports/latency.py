"""Quantiles of how long things took; nearest rank, so that each is a time that was measured.

Owns the arithmetic; knows no stage.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

QUANTILES = (("p50", 0.50), ("p75", 0.75), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class Latency:
    """Machine ms of `count` measurements."""

    count: int
    min: float
    p50: float
    p75: float
    p90: float
    p95: float
    p99: float
    max: float
    mean: float


def measure(times: array[float]) -> Latency | None:
    """Quantiles of ms; None when nothing was measured."""
    if not times:
        return None
    ranked = sorted(times)
    count = len(ranked)
    values = {name: ranked[math.ceil(share * count) - 1] for name, share in QUANTILES}
    mean = round(math.fsum(ranked) / count, 3)
    return Latency(count, ranked[0], **values, max=ranked[-1], mean=mean)

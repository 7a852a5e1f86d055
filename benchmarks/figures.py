"""A figure, its limit, and whether it is met: the one way in which every benchmark tells.

Owns how a figure is told and on what machine; knows none.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured against what was promised; `aim` is the margin that is wished for."""

    name: str
    value: float
    limit: float
    unit: str
    aim: float | None = None

    @property
    def met(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        limit = f"limit {self.limit:g}" + (f", aim {self.aim:g}" if self.aim is not None else "")
        verdict = "pass" if self.met else f"MISS by {self.value - self.limit:.2f} {self.unit}"
        return f"{self.name:<52} {self.value:9.2f} {self.unit:<4} ({limit})  {verdict}"


def tell(*figures: Figure) -> int:
    """Print them and what else the machine does; 0 when all are met, else 1."""
    for figure in figures:
        say(str(figure))
    say(f"  on {os.cpu_count()} cores at a load of {os.getloadavg()[0]:.1f}")
    return 0 if all(figure.met for figure in figures) else 1


def say(line: str) -> None:
    """Print a line at once: a measurement takes long, and may be cut off."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

"""A figure, its limit, and whether it is met.

Owns how a figure is told; knows none.
"""

from __future__ import annotations

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
        verdict = "pass" if self.met else f"MISS by {self.value - self.limit:.1f} {self.unit}"
        return f"{self.name:<52} {self.value:9.2f} {self.unit:<4} ({limit})  {verdict}"


def tell(*figures: Figure) -> int:
    """Print them; 0 when all are met, else 1."""
    for figure in figures:
        say(str(figure))
    return 0 if all(figure.met for figure in figures) else 1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

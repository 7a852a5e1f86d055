"""The funnel: how many signals were left after each step of the road, and where the rest ended.

Owns the steps; counts what traces say and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.reasons import Stage

_ORDER = {stage.value: number for number, stage in enumerate(Stage)}

# A trace that ended at a stage has passed every stage before it.
STEPS = (
    ("decided_bars", Stage.PROPOSE),
    ("signals", Stage.SCORE),
    ("asked", Stage.DELIBERATE),
    ("approved", Stage.SIZE),
    ("sized", Stage.CLEAR),
    ("passed_risk", Stage.EXECUTE),
    ("executed", Stage.PROTECT),
)

Counts = Mapping[tuple[str, str], int]


def funnel(counts: Counts, won: int) -> list[dict[str, object]]:
    """Steps in order with their counts; no step is larger than the one before.

    `counts`: traces by (stage, result) where they ended; `won`: closed trades with a profit.
    """
    steps: list[dict[str, object]] = []
    for name, first in STEPS:
        left = sum(n for (stage, _), n in counts.items() if _ORDER[stage] >= _ORDER[first.value])
        steps.append({"step": name, "count": left})
    steps.append({"step": "won", "count": won})
    return steps


def ended(counts: Counts) -> list[dict[str, object]]:
    """Where roads ended and why, largest first."""
    rows = [{"stage": stage, "result": result, "count": n} for (stage, result), n in counts.items()]
    return sorted(rows, key=lambda row: (-int(str(row["count"])), str(row["stage"])))

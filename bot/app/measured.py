"""What is measured of the parts: calls of each dependency, depths of queues, time of thinking.

Owns the names; measures nothing itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from bot.app.parts import Parts
from bot.pipeline.facts import Fact
from bot.runtime.calls import Calls, quantile

CYCLES_KEPT = 200


class Measured:
    """Reads memory only; counts the cycles it is told of."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._cycles_ms: deque[float] = deque(maxlen=CYCLES_KEPT)
        parts.facts.listen(self._note)

    def _note(self, fact: Fact) -> None:
        if fact.name == "cycle_done":
            self._cycles_ms.append(float(str(fact.figures["machine_s"])) * 1000)

    def dependencies(self) -> Mapping[str, Calls]:
        """Venue, database, and each model that has been called."""
        parts = self._parts
        models = {f"model_{name}": calls.view() for name, calls in parts.models.purse.calls.items()}
        return {**parts.hyperliquid.calls(), **parts.store.calls(), **models}

    def queues(self) -> Mapping[str, int]:
        """What waits: rows, traces, windows of candles, entries and exits of the desk."""
        entries, exits = self._parts.desk.waiting
        return {
            "money_rows": self._parts.rows.backlog,
            "traces": self._parts.store.traces.backlog(),
            "candles": len(self._parts.keeper.waiting),
            "entries": entries,
            "exits": exits,
        }

    def latency(self) -> Mapping[str, float | None]:
        """Of the last 1,000 decisions, a model's time included, and of the last 200 cycles."""
        return {
            **_quantiles("decision", self._parts.traces.durations.values()),
            **_quantiles("cycle", self._cycles_ms),
        }

    def metrics(self) -> Mapping[str, object]:
        """All of it, as /metrics has it: what only grows is a total."""
        calls = self.dependencies().items()
        return {
            "latency": self.latency(),
            "queue": self.queues(),
            "dependency": {name: _figures(figures) for name, figures in calls},
        }


def _figures(calls: Calls) -> Mapping[str, object]:
    return {
        "calls_total": calls.calls,
        "errors_total": calls.errors,
        "p50_ms": calls.p50_ms,
        "p95_ms": calls.p95_ms,
    }


def _quantiles(name: str, times: Iterable[float]) -> Mapping[str, float | None]:
    ranked = sorted(times)
    return {
        f"{name}_p50_ms": quantile(ranked, 0.50),
        f"{name}_p95_ms": quantile(ranked, 0.95),
        f"{name}_max_ms": quantile(ranked, 1.0),
    }

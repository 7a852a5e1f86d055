"""Fan-out of facts that are already true: counters, log lines, later notices.

Owns the list of listeners; knows no listener by name. Nothing on the road for money waits
for a listener, and a listener that fails is cut off from nothing but its own message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from bot.domain.types import Ms

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened: a snake_case name, market time and its figures."""

    name: str
    at: Ms
    figures: Mapping[str, object] = field(default_factory=dict)


class Facts:
    """Tells every listener every fact, in order, at once."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Fact], None]] = []

    def listen(self, listener: Callable[[Fact], None]) -> None:
        self._listeners.append(listener)

    def tell(self, name: str, at: Ms, **figures: object) -> None:
        fact = Fact(name, at, figures)
        for listener in self._listeners:
            try:
                listener(fact)
            except Exception:
                # A border by design: a listener must never stop the road.
                log.exception("listener_failed", fact=name)

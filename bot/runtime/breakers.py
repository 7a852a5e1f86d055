"""Owns the service breaker: stop asking a dependency that keeps failing, and try again later.

Refuses to know the dependency; who calls it asks `allows` and reports how it went.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# spec 10 "Service breakers"
THRESHOLD = 5
FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 900.0


class BreakerState(StrEnum):
    """closed: calls go through; open: none does; half_open: one probe is on its way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerView:
    """What /status shows of a breaker."""

    name: str
    state: BreakerState
    failures: int  # in a row
    retry_in_s: float  # 0 unless open
    opened: int  # times since the start


class ServiceBreaker:
    """Opens after `threshold` failures in a row; waits 60 s, doubling to 15 min.

    `monotonic` gives machine seconds. After the wait one probe passes: its success closes the
    breaker, its failure opens it for twice as long. A probe that never reports (its task was
    cancelled) is replaced after the same wait.
    """

    def __init__(
        self,
        name: str,
        monotonic: Callable[[], float],
        *,
        threshold: int = THRESHOLD,
        first_wait_s: float = FIRST_WAIT_S,
        longest_wait_s: float = LONGEST_WAIT_S,
        on_change: Callable[[BreakerView], None] | None = None,
    ) -> None:
        if threshold < 1:
            raise ValueError(f"breaker {name}: threshold must be at least 1, found {threshold}")
        self.name = name
        self._monotonic = monotonic
        self._threshold = threshold
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._opened = 0
        self._wait_s = first_wait_s
        self._since = 0.0  # when it opened, or its probe left

    def allows(self) -> bool:
        """Whether a call may be made now; a True while not closed is the one probe."""
        if self._state is BreakerState.CLOSED:
            return True
        if self._monotonic() - self._since < self._wait_s:
            return False
        self._since = self._monotonic()
        self._become(BreakerState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """A call came back well. A straggler from before the opening changes nothing."""
        if self._state is BreakerState.OPEN:
            return
        self._failures = 0
        self._wait_s = self._first_wait_s
        self._become(BreakerState.CLOSED)

    def failed(self) -> None:
        """A call failed. A straggler from before the opening changes nothing."""
        if self._state is BreakerState.OPEN:
            return
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN:
            self._wait_s = min(self._wait_s * 2, self._longest_wait_s)
        elif self._failures < self._threshold:
            return
        self._opened += 1
        self._since = self._monotonic()
        self._become(BreakerState.OPEN)

    def view(self) -> BreakerView:
        """The present state, for people."""
        left_s = 0.0
        if self._state is BreakerState.OPEN:
            left_s = max(0.0, self._wait_s - (self._monotonic() - self._since))
        return BreakerView(self.name, self._state, self._failures, left_s, self._opened)

    def _become(self, state: BreakerState) -> None:
        if state is self._state:
            return
        self._state = state
        if self._on_change is not None:
            self._on_change(self.view())

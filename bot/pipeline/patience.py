"""How long an exit that did not fill waits before it is tried again: 1 s, then 2, 4 and 8.

Owns the pauses, each of one position: the next one in the same coin has waited for nothing.
Sends nothing and knows no reason for an exit.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.types import Position, Symbol, TraceId
from bot.ports import Clock

FIRST_S, MOST_S = 1.0, 8.0  # machine time between exits that the venue does not fill


@dataclass(frozen=True, slots=True)
class _Pause:
    trace_id: TraceId
    tries: int
    until: float  # monotonic s


class Patience:
    """The pause of the last position of each symbol of which an exit failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pauses: dict[Symbol, _Pause] = {}

    def asks(self, position: Position) -> bool:
        """Whether the next try of this position's exit is not due: each rung costs a request."""
        pause = self._of(position)
        return pause is not None and self._clock.monotonic() < pause.until

    def failed(self, position: Position) -> float:
        """Begin the pause after another exit that left it open; how long it is, s."""
        pause = self._of(position)
        tries = 1 if pause is None else pause.tries + 1
        wait_s = min(FIRST_S * 2.0 ** (tries - 1), MOST_S)
        until = self._clock.monotonic() + wait_s
        self._pauses[position.symbol] = _Pause(position.trace_id, tries, until)
        return wait_s

    def over(self, symbol: Symbol) -> None:
        """It is flat."""
        self._pauses.pop(symbol, None)

    def _of(self, position: Position) -> _Pause | None:
        pause = self._pauses.get(position.symbol)
        return pause if pause is not None and pause.trace_id == position.trace_id else None

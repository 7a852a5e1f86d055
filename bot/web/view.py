"""Owns what the page may ask: a read-only view of the daemon, and the few controls.

Refuses to know who answers; app.py wires it to the daemon, or to the database alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bot.domain.types import Ms, Symbol, Timeframe


class HealthState(StrEnum):
    """ok and degraded answer 200, failing 503."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Component:
    """One dependency: database, venue, market data, disk ..."""

    name: str
    state: HealthState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """Body of /health; `mode` and `version` as in /status. Nothing in it is secret."""

    status: HealthState
    components: tuple[Component, ...]
    uptime_s: float
    version: str
    mode: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether work may be given to the daemon; `phase` as in /status, `waiting_for` why not."""

    ready: bool
    phase: str
    waiting_for: str = ""


class StatusView(Protocol):
    """What the daemon knows, from memory: the plain methods never wait and never raise.

    Mappings hold JSON-able values, Decimals, enums and dataclasses; an int under a key that ends
    in `_at` is `Ms` and goes out as ISO 8601, a Decimal goes out as a string.
    """

    def now(self) -> Ms:
        """The moment that answers are from: market time, or the last one that was recorded."""
        ...

    def live(self) -> bool:
        """Whether the loop does its work; False lets a supervisor restart the process."""
        ...

    def ready(self) -> Readiness: ...

    def health(self) -> Health: ...

    def status(self) -> Mapping[str, object]:
        """mode, phase, trading_state, positions (stop, target, liquidation, unrealised P&L),
        daily_pnl, capital, equity, open_orders, breakers, next_scan_at, services, resources,
        warnings.
        """
        ...

    def metrics(self) -> Mapping[str, object]:
        """Figures by name, `total_trades` (closed trades) among them; see `exposition`."""
        ...

    def page(self) -> Mapping[str, object]:
        """What the page shows at once: /status in short, with health, marks and `versions`.

        `versions` has a number each for `decisions` and `trades` that changes when there is more
        to fetch. Asked once a second; well under a millisecond.
        """
        ...

    async def breakers(self, limit: int) -> Mapping[str, object]:
        """Each breaker's figure and limit, and the last `limit` openings, newest first.

        Raises TransientError.
        """
        ...

    async def trades(self, limit: int) -> Sequence[Mapping[str, object]]:
        """Closed trades, newest first. Raises TransientError."""
        ...

    async def summary(self) -> Mapping[str, object]:
        """Closed trades by symbol and strategy, and the course of the win rate.

        Raises TransientError.
        """
        ...

    async def logs(self, limit: int, level: str) -> Mapping[str, object]:
        """`lines` of the log of `level` or worse, newest first, and a `note` on where it is."""
        ...

    async def equity(self, since: Ms | None, limit: int) -> Mapping[str, object]:
        """The curve: `columns`, `points` (`limit` at most, oldest first). Raises TransientError."""
        ...

    async def candles(
        self, symbol: Symbol, timeframe: Timeframe, limit: int
    ) -> Mapping[str, object] | None:
        """Closed bars and what was traded within them; None: nothing is known of the symbol.

        Raises TransientError.
        """
        ...

    async def decisions(self, limit: int) -> Sequence[object]:
        """Newest first, those that reached a signal: score parts, checks, nearest miss.

        Raises TransientError.
        """
        ...

    async def traces(self, limit: int) -> Sequence[Mapping[str, object]]:
        """Newest first, without their bodies. Raises TransientError when they cannot be read."""
        ...

    async def trace(self, trace_id: str) -> Mapping[str, object] | None:
        """One decision with its body; None: no such trace. Raises TransientError."""
        ...

    async def report(self, since: Ms | None, symbol: str | None) -> Mapping[str, object]:
        """The trace report: latency, errors, strategies, funnel, advice. Raises TransientError."""
        ...

    async def funnel(self, since: Ms | None) -> Mapping[str, object]:
        """How many roads ended where and why, since a moment of market time or the beginning."""
        ...


@dataclass(frozen=True, slots=True)
class Declined:
    """A control that was not carried out: the HTTP status, a code for programs, words."""

    status: int
    code: str
    message: str


class Controls(Protocol):
    """What may be changed from outside; each call is audited, with `by`, by who implements it."""

    async def halt(self, reason: str, by: str) -> Mapping[str, object]:
        """Stop entries, durably; exits go on."""
        ...

    async def resume(self, by: str) -> Mapping[str, object]:
        """Allow entries again, and close the breakers that only a person closes."""
        ...

    async def close(self, symbol: str, by: str) -> Mapping[str, object] | Declined:
        """Close one position; `results` says how it ended."""
        ...

    async def close_all(self, by: str) -> Mapping[str, object]:
        """Try every position; `results` says how each ended."""
        ...

    async def approve(self, ident: str, by: str) -> Mapping[str, object] | Declined:
        """Say yes to what waits under this id, once."""
        ...

    async def reject(self, ident: str, by: str) -> Mapping[str, object] | Declined:
        """Say no to it."""
        ...

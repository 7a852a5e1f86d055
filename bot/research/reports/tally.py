"""One walk over the traces that counts everything the reports say of them.

Owns the counters and what each counts; keeps no body, so that memory does not grow with them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bot.adapters.store.report_rows import StoredTrace
from bot.domain.reasons import CheckCode, Reason, Stage
from bot.domain.types import ZERO, Trade
from bot.pipeline.council import MODELS
from bot.pipeline.funnel import STEPS
from bot.research.reports.drops import Drop, drop_of, had_signal, step_missed

# Not decided because something was broken or missing; NO_FILL is the market's answer.
ERRORS = (
    Reason.ERROR,
    Reason.NO_BARS,
    Reason.STALE_DATA,
    Reason.NOT_DURABLE,
    Reason.VENUE_REJECTED,
    Reason.UNKNOWN_OUTCOME,
)
ALL, DECIDING, WITHOUT_MODELS = "all", "deciding", "without_models"
_PASSED = [name for name, _ in STEPS]


@dataclass(slots=True)
class Blocked:
    """How often a rule stood against a signal, and how often it was the only one."""

    times: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Use:
    """What became of the signals of one strategy or symbol."""

    traces: int = 0
    passed: Counter[str] = field(default_factory=Counter)  # by step of the funnel

    @property
    def signals(self) -> int:
        return self.passed["signals"]

    @property
    def executed(self) -> int:
        return self.passed["executed"]


class Tally:
    """Feed it traces, in any order, then read the counters."""

    def __init__(self) -> None:
        self.traces = 0
        self.bytes = 0
        self.first_at: int | None = None
        self.last_at: int | None = None
        self.fingerprint = ""  # of the newest trace
        self.ended: Counter[tuple[str, str]] = Counter()
        self.blocked: dict[str, Blocked] = {}
        self.regimes: Counter[str] = Counter()
        self.strategies: dict[str, Use] = {}
        self.symbols: dict[str, Use] = {}
        self.errors: Counter[str] = Counter()
        self.failed_traces = 0
        self.repeated = 0
        self.executed_ids: set[str] = set()
        self.times: dict[str, array[float]] = {}
        self._cycles: set[tuple[int, int]] = set()

    @property
    def cycles(self) -> int:
        """Cycles seen: their numbers begin anew with each start, so the bar belongs to them."""
        return len(self._cycles)

    def add(self, trace: StoredTrace, body: Mapping[str, Any] | None = None) -> Drop | None:
        """Count one trace; why it ended, when a strategy had spoken. `body` where it is read."""
        self._head(trace)
        spoke = had_signal(trace.stage)
        durations = trace.durations() if body is None and not spoke else {}
        if body is None:
            body = trace.body() if spoke else {}
        durations = durations or _numbers(body)
        self._time(trace, durations)
        failures = _abstentions(body)
        if trace.result in ERRORS:
            failures = [trace.result, *failures]
        self.errors.update(failures)
        self.failed_traces += bool(failures)
        drop = drop_of(trace, body)
        if drop is None:
            self.executed_ids.add(trace.id)
            return None
        self._block(drop)
        return drop if spoke else None

    def _head(self, trace: StoredTrace) -> None:
        at = trace.started_at
        self.traces += 1
        self.bytes += len(trace.packed)
        self.first_at = at if self.first_at is None else min(at, self.first_at)
        if self.last_at is None or at >= self.last_at:
            self.last_at, self.fingerprint = at, trace.fingerprint
        self.ended[trace.stage, trace.result] += 1
        self._cycles.add((trace.bar_close, trace.cycle))
        if trace.regime is not None:
            self.regimes[trace.regime] += 1
        missed = step_missed(trace.stage)
        passed = _PASSED if missed is None else _PASSED[: _PASSED.index(missed)]
        used = [self.symbols.setdefault(trace.symbol, Use())]
        if trace.strategy is not None:
            used.append(self.strategies.setdefault(trace.strategy, Use()))
        for use in used:
            use.traces += 1
            use.passed.update(passed)

    def _time(self, trace: StoredTrace, durations: Mapping[str, float]) -> None:
        if not durations:
            return
        self._note(ALL, trace.duration_ms)
        if Stage.PROPOSE in durations:
            self._note(DECIDING, trace.duration_ms)
            models = durations.get(MODELS, 0.0)
            self._note(WITHOUT_MODELS, round(trace.duration_ms - models, 3))
        for stage, spent in durations.items():
            self._note(stage, spent)

    def _note(self, name: str, ms: float) -> None:
        self.times.setdefault(name, array("d")).append(ms)

    def _block(self, drop: Drop) -> None:
        blocked = self.blocked.setdefault(drop.step, Blocked())
        codes = [rule.code for rule in drop.rules]
        blocked.times.update(codes)
        if len(codes) == 1:
            blocked.alone.update(codes)
        self.repeated += CheckCode.REPEATED_SIGNAL in codes


@dataclass(slots=True)
class TradeCount:
    """Closed trades of one strategy, symbol or all of them; won is decided in Decimal."""

    closed: int = 0
    won: int = 0
    net_usd: float = 0.0

    def add(self, trade: Trade) -> None:
        self.closed += 1
        self.won += trade.net_pnl > 0
        self.net_usd += float(trade.net_pnl)


class TradeTally:
    """Closed trades by what opened them."""

    def __init__(self) -> None:
        self.all = TradeCount()
        self.strategies: dict[str, TradeCount] = {}
        self.symbols: dict[str, TradeCount] = {}
        self.exits: Counter[str] = Counter()  # of trades without a profit
        self._net_by_trace: dict[str, Decimal] = {}

    def won_of(self, executed: set[str]) -> int:
        """How many of these traces ended with a profit: never more than there are."""
        return sum(net > 0 for trace, net in self._net_by_trace.items() if trace in executed)

    def closed_of(self, executed: set[str]) -> int:
        """How many of these traces are closed."""
        return sum(trace in executed for trace in self._net_by_trace)

    def add(self, trade: Trade) -> None:
        """Count one closed trade."""
        for count in (
            self.all,
            self.strategies.setdefault(trade.strategy, TradeCount()),
            self.symbols.setdefault(trade.symbol, TradeCount()),
        ):
            count.add(trade)
        if trade.net_pnl <= 0:
            self.exits[trade.exit_reason.value] += 1
        # A trace can be flat twice: what counts is what is left of both.
        before = self._net_by_trace.get(trade.trace_id, ZERO)
        self._net_by_trace[trade.trace_id] = before + trade.net_pnl


def _numbers(body: Mapping[str, Any]) -> Mapping[str, float]:
    found = body.get("durations_ms")
    return found if isinstance(found, dict) else {}


def _abstentions(body: Mapping[str, Any]) -> list[str]:
    """Seats that gave no vote, as "seat: kind"."""
    answers = body.get("answers")
    silent = answers.get("abstentions") if isinstance(answers, Mapping) else None
    if not isinstance(silent, list):
        return []
    return [f"{voice['seat']}: {voice['kind']}" for voice in silent]

"""Why nothing was traded: what held entries back, where signals were lost, and how nearly.

Owns the shape of the answer and its first sentence; the counting is `tally`'s. Facts that only
a running daemon knows are handed in.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.adapters.store.report_rows import StoredTrace
from bot.domain.breakers import BreakerBook, open_breakers
from bot.domain.reasons import CheckCode, Reason
from bot.domain.scoring import TIERS
from bot.domain.types import Ms
from bot.research.reports.drops import (
    Drop,
    as_number,
    farthest,
    had_signal,
    nearest_of_each,
)
from bot.research.reports.latency import measure
from bot.research.reports.tally import Tally, TradeTally
from bot.research.reports.trace_report import funnel_of

MISSES = 8
_KEPT = 500  # drops held while walking, before all but the nearest of each rule are let go


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds at the end of the window, and who said so ("daemon" or "database")."""

    source: str
    trading_state: str
    why: str
    breakers: BreakerBook
    blocked: Mapping[str, str]
    capital: Mapping[str, object]
    positions: Sequence[str]


class Misses:
    """The walk of `whynot`: the tally, and beside it what came closest to passing."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.considered: Counter[str] = Counter()
        self.confidence: array[float] = array("d")
        self.threshold: float | None = None
        self.rules_alone = 0
        self.scores: array[float] = array("d")
        self.stale: dict[str, str] = {}
        self.last_bar: dict[str, int] = {}
        self.look: Mapping[str, Any] | None = None
        self.looked_at = 0
        self._near: list[Drop] = []

    def add(self, trace: StoredTrace) -> None:
        """Take one trace, newest first."""
        newest = self.last_bar.get(trace.symbol, 0)
        self.last_bar[trace.symbol] = max(newest, trace.bar_close)
        if trace.result == Reason.NO_NEW_CANDLE:
            self.tally.add(trace)
            return
        body = trace.body()
        drop = self.tally.add(trace, body)
        self._listen(body)
        if trace.result == Reason.STALE_DATA:
            self.stale.setdefault(trace.symbol, str(body.get("stale", "")))
        if had_signal(trace.stage):
            self._weigh(trace, body)
        if drop is not None:
            self._keep(drop)

    def nearest(self) -> list[Drop]:
        """The drops that came closest to passing, one a rule."""
        return nearest_of_each(self._near)[:MISSES]

    def _listen(self, body: Mapping[str, Any]) -> None:
        proposal = body.get("proposal")
        if isinstance(proposal, Mapping):
            self.considered.update(proposal.get("considered") or ())

    def _weigh(self, trace: StoredTrace, body: Mapping[str, Any]) -> None:
        if trace.score is not None:
            self.scores.append(trace.score)
        for check in _checks(body):
            value, limit = as_number(check.get("value")), as_number(check.get("limit"))
            if check.get("code") == CheckCode.CONFIDENCE and value is not None:
                self.confidence.append(value)
                self.threshold = limit if self.threshold is None else self.threshold
                self.rules_alone += check.get("note", "").startswith("rules analyst alone")
        look = _at(body, "desk", "look")
        if look and trace.started_at >= self.looked_at:
            self.look, self.looked_at = look, trace.started_at

    def _keep(self, drop: Drop) -> None:
        self._near.append(drop)
        if len(self._near) >= _KEPT:
            self._near = nearest_of_each(self._near)


@dataclass(frozen=True, slots=True)
class Asked:
    """The window and what surrounds the figures."""

    hours: float
    since: Ms
    until: Ms
    enabled: tuple[str, ...]
    min_tier: int
    disk: Mapping[str, object]
    daemon: Mapping[str, object]


def why_not(
    asked: Asked, misses: Misses, trades: TradeTally, standing: Standing
) -> Mapping[str, object]:
    """The answer, JSON-able; its `verdict` is one sentence that names the main cause."""
    tally = misses.tally
    steps = funnel_of(tally, trades)
    executed = len(tally.executed_ids)
    return {
        "window": {
            "hours": asked.hours,
            "from_at": asked.since,
            "to_at": asked.until,
            "traces": tally.traces,
        },
        "verdict": _verdict(asked, misses, standing, steps),
        "executed": executed,
        "closed": trades.all.closed,
        "daemon": asked.daemon,
        "trading": {
            "state": standing.trading_state,
            "why": standing.why,
            "source": standing.source,
            "breakers": open_breakers(standing.breakers, asked.until),
            "losses_in_row": standing.breakers.losses_in_row,
            "blocked": dict(standing.blocked),
            "positions": list(standing.positions),
        },
        "capital": standing.capital,
        "funnel": steps,
        "nearest_misses": [_miss(drop) for drop in misses.nearest()],
        "strategies": _strategies(asked, misses),
        "confidence": _confidence(misses),
        "score": _score(misses, asked.min_tier),
        "data": _data(asked, misses),
        "disk": asked.disk,
    }


def _verdict(
    asked: Asked, misses: Misses, standing: Standing, steps: Sequence[Mapping[str, object]]
) -> str:
    tally, hours = misses.tally, f"{asked.hours:g} h of market time"
    executed = len(tally.executed_ids)
    if executed:
        signals = _count(steps, "signals")
        return f"{executed} trade(s) were opened in the last {hours}, out of {signals} signals"
    nothing = f"nothing was traded in the last {hours}"
    if not tally.traces:
        return f"{nothing}: no market was looked at; was the daemon running?"
    return f"{nothing}: {_cause(asked, misses, standing, steps)}"


def _cause(
    asked: Asked, misses: Misses, standing: Standing, steps: Sequence[Mapping[str, object]]
) -> str:
    """The main cause; what stands in the way of everything comes before what loses most."""
    held = open_breakers(standing.breakers, asked.until)
    if standing.trading_state != "ACTIVE":
        return f"the trading state is {standing.trading_state} ({standing.why or 'no reason kept'})"
    if held:
        return f"breaker {held[0].code.value} is open"
    if not _count(steps, "decided_bars"):
        return f"no bar could be decided on; {_top(steps, 'decided_bars')} stopped most looks"
    if not _count(steps, "signals"):
        bars = _count(steps, "decided_bars")
        return f"no strategy gave a signal on {bars} decided bars ({_top(steps, 'signals')} most)"
    lossy = max(steps[2:-1], key=lambda step: int(str(step["lost"])))
    said = f"{lossy['lost']} of {_count(steps, 'signals')} signals were not {lossy['step']}"
    return f"{said}, most by {_top(steps, str(lossy['step']))}"


def _miss(drop: Drop) -> Mapping[str, object]:
    """One rule's number is named; others that failed stand beside it."""
    worst = farthest(drop)
    return {
        "trace_id": drop.trace_id,
        "symbol": drop.symbol,
        "strategy": drop.strategy,
        "seen_at": drop.at,
        "not": drop.step,
        "code": worst.code,
        "value": worst.value,
        "limit": worst.limit,
        "unit": worst.unit,
        "gap_percent": round(100 * (worst.gap or 0.0), 1),
        "also": [rule.code for rule in drop.rules if rule is not worst],
    }


def _strategies(asked: Asked, misses: Misses) -> Mapping[str, object]:
    fired = {name: use.signals for name, use in sorted(misses.tally.strategies.items())}
    never = [name for name in asked.enabled if name not in fired]
    return {
        "enabled": len(asked.enabled),
        "signals": fired,
        # asked 0 times: the regime never let it speak
        "never_fired": [{"name": name, "asked": misses.considered[name]} for name in never],
    }


def _confidence(misses: Misses) -> Mapping[str, object]:
    spread = measure(misses.confidence)
    limit = misses.threshold
    reached = sum(value >= limit for value in misses.confidence) if limit is not None else 0
    return {
        "threshold": limit,
        "asked": len(misses.confidence),
        "reached": reached,
        "median": None if spread is None else round(spread.p50, 4),
        "best": None if spread is None else round(spread.max, 4),
        "judged_by_tier_alone": misses.rules_alone,
    }


def _score(misses: Misses, min_tier: int) -> Mapping[str, object]:
    least = next((score for score, tier in TIERS if int(tier) == min_tier), 0.0)
    spread = measure(misses.scores)
    return {
        "needed": least,
        "signals": len(misses.scores),
        "reached": sum(value >= least for value in misses.scores),
        "median": None if spread is None else round(spread.p50, 2),
        "best": None if spread is None else round(spread.max, 2),
    }


def _data(asked: Asked, misses: Misses) -> Mapping[str, object]:
    tally = misses.tally
    missing = tally.errors[Reason.STALE_DATA] + tally.errors[Reason.NO_BARS]
    oldest = min(misses.last_bar.items(), key=lambda item: (item[1], item[0]), default=None)
    return {
        "symbols": len(misses.last_bar),
        "looks_without_data": missing,
        "stale": dict(sorted(misses.stale.items())),
        "oldest_bar_symbol": None if oldest is None else oldest[0],
        "oldest_bar_at": None if oldest is None else oldest[1],
        "oldest_bar_age_s": None if oldest is None else round((asked.until - oldest[1]) / 1000),
    }


def _checks(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    checks = _at(body, "approval", "verdict").get("checks")
    return checks if isinstance(checks, list) else []


def _at(body: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    found: Any = body
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _count(steps: Sequence[Mapping[str, object]], name: str) -> int:
    return next(int(str(step["count"])) for step in steps if step["step"] == name)


def _top(steps: Sequence[Mapping[str, object]], name: str) -> str:
    reasons = next(step["reasons"] for step in steps if step["step"] == name)
    if not isinstance(reasons, list) or not reasons:
        return "no rule on record"
    return f"{reasons[0]['rule']} ({reasons[0]['count']})"

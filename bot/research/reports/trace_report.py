"""The trace report: what the traces of a window say of speed, errors, strategies and the funnel.

Owns the shape of the report; the counting is `tally`'s, the judging `advice`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.reasons import Stage
from bot.domain.statistics import wilson
from bot.pipeline.funnel import funnel
from bot.research.reports.advice import Sample, judge
from bot.research.reports.latency import Latency, measure
from bot.research.reports.tally import (
    ALL,
    DECIDING,
    WITHOUT_MODELS,
    Blocked,
    Tally,
    TradeCount,
    TradeTally,
    Use,
)

TOP_REASONS = 3
_TIMED = (ALL, DECIDING, WITHOUT_MODELS, *(stage.value for stage in Stage))


@dataclass(frozen=True, slots=True)
class Found:
    """What the walk over the store gave."""

    tally: Tally
    trades: TradeTally
    stored: int  # traces in the window, counted or not
    database_bytes: int
    enabled: tuple[str, ...]  # strategies of the newest configuration
    breakers: Sequence[Mapping[str, object]] = ()  # see `held`


def report(found: Found) -> Mapping[str, object]:
    """Head, latency, errors, strategies, funnel, symbols, regimes, findings; JSON-able."""
    tally, trades = found.tally, found.trades
    latency = {name: times for name in _TIMED if (times := measured(tally, name)) is not None}
    steps = funnel_of(tally, trades)
    findings = judge(sample_of(found, latency))
    return {
        "head": _head(found),
        "latency_ms": latency,
        "errors": _errors(tally),
        "strategies": _uses(tally.strategies, trades.strategies, found.enabled, tally),
        "funnel": steps,
        "symbols": _uses(tally.symbols, trades.symbols, (), tally),
        "regimes": _shares(dict(tally.regimes.most_common())),
        "breakers": list(found.breakers),
        "findings": findings,
    }


def measured(tally: Tally, name: str) -> Latency | None:
    """Quantiles of one row of the latency table."""
    times = tally.times.get(name)
    return None if times is None else measure(times)


def funnel_of(tally: Tally, trades: TradeTally) -> list[Mapping[str, object]]:
    """Steps in order, each with what was lost on the way to it and the rules that did it."""
    won = trades.won_of(tally.executed_ids)
    steps: list[Mapping[str, object]] = []
    before = tally.traces
    for step in funnel(tally.ended, won):
        name, count = str(step["step"]), int(str(step["count"]))
        lost = before - count
        reasons = _lost_after_entry(tally, trades) if name == "won" else _reasons(tally, name, lost)
        steps.append({"step": name, "count": count, "lost": lost, "reasons": reasons})
        before = count
    return steps


def sample_of(found: Found, latency: Mapping[str, Latency]) -> Sample:
    """The figures that the rules of `advice` look at."""
    tally = found.tally
    passed = {name: _passed(tally, name) for name in ("signals", "asked", "approved", "executed")}
    return Sample(
        traces=tally.traces,
        signals=passed["signals"],
        asked=max(0, passed["asked"] - tally.repeated),
        approved=passed["approved"],
        executed=passed["executed"],
        failed_traces=tally.failed_traces,
        errors=tally.errors.most_common(),
        latency=latency,
        strategies={name: (use.signals, use.executed) for name, use in tally.strategies.items()},
        enabled=found.enabled,
        rejections={
            step: _top(blocked, blocked.times.total(), None) for step, blocked in _gates(tally)
        },
        mean_bytes=tally.bytes / tally.traces if tally.traces else 0.0,
    )


def rate(part: int, whole: int) -> float | None:
    """Percent with two decimals; None of nothing."""
    return round(100 * part / whole, 2) if whole else None


def win_rate(count: TradeCount) -> Mapping[str, object]:
    """Closed trades, how many won, and the 95 % Wilson interval, in percent."""
    interval = wilson(count.won, count.closed)
    return {
        "trades": count.closed,
        "won": count.won,
        "win_rate": rate(count.won, count.closed),
        "ci95": None if interval is None else [round(100 * bound, 1) for bound in interval],
        "net_usd": round(count.net_usd, 2),
    }


def _head(found: Found) -> Mapping[str, object]:
    tally = found.tally
    executed, asked = _passed(tally, "executed"), _passed(tally, "asked")
    return {
        "traces": tally.traces,
        "traces_in_window": found.stored,
        "first_at": tally.first_at,
        "last_at": tally.last_at,
        "cycles": tally.cycles,
        "trades_executed": executed,
        "execution_rate": rate(executed, asked),
        "executed_per_1000_cycles": round(1000 * executed / tally.cycles, 2)
        if tally.cycles
        else None,
        "approval_rate": rate(_passed(tally, "approved"), max(0, asked - tally.repeated)),
        "error_rate": rate(tally.failed_traces, tally.traces),
        "symbols": len(tally.symbols),
        "regimes": len(tally.regimes),
        "closed": win_rate(found.trades.all),
        "database_bytes": found.database_bytes,
        "mean_trace_bytes": round(tally.bytes / tally.traces) if tally.traces else None,
    }


def _errors(tally: Tally) -> list[Mapping[str, object]]:
    return [
        {"kind": kind, "count": count, "share": rate(count, tally.traces)}
        for kind, count in tally.errors.most_common()
    ]


def _uses(
    uses: Mapping[str, Use],
    trades: Mapping[str, TradeCount],
    also: Sequence[str],
    tally: Tally,
) -> list[Mapping[str, object]]:
    """Most signals first; those of `also` that never spoke stand at the end with zeros."""
    total = _passed(tally, "signals")
    names = sorted({*uses, *also}, key=lambda name: (-_signals(uses, name), name))
    rows: list[Mapping[str, object]] = []
    for name in names:
        use = uses.get(name, Use())
        rows.append(
            {
                "name": name,
                "traces": use.traces,
                "signals": use.signals,
                "share": rate(use.signals, total),
                "asked": use.passed["asked"],
                "approved": use.passed["approved"],
                "executed": use.executed,
                **win_rate(trades.get(name, TradeCount())),
            }
        )
    return rows


def _signals(uses: Mapping[str, Use], name: str) -> int:
    return uses[name].signals if name in uses else 0


def _reasons(tally: Tally, step: str, lost: int) -> list[Mapping[str, object]]:
    blocked = tally.blocked.get(step)
    return [] if blocked is None else _top(blocked, lost)


def _top(blocked: Blocked, lost: int, most: int | None = TOP_REASONS) -> list[Mapping[str, object]]:
    """The rules that stood against most; one signal may have met several."""
    ranked = sorted(blocked.times.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [
        {"rule": rule, "count": n, "share": rate(n, lost), "alone": blocked.alone[rule]}
        for rule, n in ranked
    ]


def _lost_after_entry(tally: Tally, trades: TradeTally) -> list[Mapping[str, object]]:
    """Executed and not won: still open, or closed without a profit, by how it ended."""
    still_open = len(tally.executed_ids) - trades.closed_of(tally.executed_ids)
    rows = [(f"closed by {how}", n) for how, n in trades.exits.most_common()]
    if still_open:
        rows.append(("still open", still_open))
    return [{"rule": rule, "count": n, "share": None, "alone": n} for rule, n in rows]


def _gates(tally: Tally) -> list[tuple[str, Blocked]]:
    gates = ("asked", "approved", "sized", "passed_risk", "executed")
    return [(step, tally.blocked[step]) for step in gates if step in tally.blocked]


def _passed(tally: Tally, step: str) -> int:
    return sum(use.passed[step] for use in tally.symbols.values())


def _shares(counts: Mapping[str, int]) -> list[Mapping[str, object]]:
    total = sum(counts.values())
    return [{"regime": name, "count": n, "share": rate(n, total)} for name, n in counts.items()]

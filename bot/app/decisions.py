"""A stored decision as the page shows it: score parts, voices, every check, the nearest miss.

Owns how a trace's body is read; decides nothing again and knows no table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bot.domain.reasons import CheckCode
from bot.domain.scoring import TIERS
from bot.ports import TraceRecord

# Where a body keeps the checks of each gate, in the order in which the road meets them. A preview
# has checks only where no size was found.
GATES = (
    ("asking", ("worth",)),
    ("approval", ("approval", "verdict")),
    ("preview", ("approval", "preview")),
    ("risk", ("desk", "verdict")),
)

Plain = dict[str, Any]


def digest(record: TraceRecord) -> Plain:
    """One decision that reached a signal, in plain JSON values; times are ms."""
    body = record.body
    signal = _at(body, "proposal", "signal")
    gates = [gate for name, path in GATES if (gate := _gate(name, _at(body, *path)))]
    return {
        "id": record.trace_id,
        "symbol": record.symbol,
        "bar_close_ms": int(record.bar_close),
        "started_ms": int(record.started_at),
        "duration_ms": record.duration_ms,
        "stage": record.stage,
        "result": record.result,
        "regime": record.regime,
        "strategy": record.strategy,
        "side": record.side,
        "tier": record.tier,
        "why": str(signal.get("why", "")),
        "score": {"total": record.score, "parts": _rows(_at(body, "score"), "parts")},
        "flags": [dict(flag) for flag in _list(body.get("flags"))],
        "council": _council(body),
        "gates": gates,
        "nearest_miss": nearest_miss(
            [check for gate in gates for check in gate["checks"]], record.score
        ),
    }


def nearest_miss(checks: Sequence[Mapping[str, Any]], score: float | None) -> Plain | None:
    """The failed number that came closest to its limit; None when no number failed.

    The distance is relative to the limit. `also` names the other rules that failed: the number
    alone would have let the signal pass only where `also` is empty. A tier is told as the score
    that reaches it, because that is the number that moves.
    """
    failed = [check for check in checks if not check["ok"]]
    ranked = [
        (gap, place, miss)
        for place, check in enumerate(failed)
        if (miss := _as_number(check, score)) is not None
        and (gap := _gap(miss["value"], miss["limit"])) > 0
    ]
    if not ranked:
        return None
    _, place, miss = min(ranked, key=lambda one: one[:2])
    others = [check["code"] for number, check in enumerate(failed) if number != place]
    return {**miss, "also": others}


def _as_number(check: Mapping[str, Any], score: float | None) -> Plain | None:
    if check["code"] == CheckCode.TIER.value:
        return _tier_as_score(check, score)
    value, limit = _number(check.get("value")), _number(check.get("limit"))
    if value is None or limit is None:
        return None
    return {"code": check["code"], "value": value, "limit": limit, "unit": check.get("unit", "")}


def _tier_as_score(check: Mapping[str, Any], score: float | None) -> Plain | None:
    least = {float(tier): total for total, tier in TIERS}.get(_number(check.get("limit")) or 0.0)
    if least is None or score is None:
        return None
    return {"code": "score", "value": score, "limit": least, "unit": "points"}


def _gap(value: float, limit: float) -> float:
    return abs(value - limit) / (abs(limit) or 1.0)


def _gate(name: str, verdict: Mapping[str, Any]) -> Plain | None:
    checks = _rows(verdict, "checks")
    if not checks:
        return None
    return {"gate": name, "ok": all(check["ok"] for check in checks), "checks": checks}


def _council(body: Mapping[str, Any]) -> Plain | None:
    """The vote; what came too late stands beside it and counted for nothing."""
    decision = _at(body, "decision")
    if not decision:
        return None
    opinions, silent = _rows(decision, "opinions"), _rows(decision, "abstentions")
    late = [{**_voice(_at(row, "voice")), "after_s": row["after_s"]} for row in _rows(body, "late")]
    return {
        "action": decision.get("action"),
        "confidence": decision.get("confidence"),
        "why": decision.get("why", ""),
        "stand_in": bool(decision.get("stand_in", False)),
        "prompt": str(_at(body, "prompt").get("version", "")),
        "opinions": [_voice(one) for one in opinions],
        "abstentions": [_voice(one) for one in silent],
        "late": late,
    }


def _voice(row: Mapping[str, Any]) -> Plain:
    """One seat's word with what it took; its text and attempts stay in the trace."""
    attempts = _list(row.get("attempts"))
    shown = {name: value for name, value in row.items() if name not in ("attempts", "text")}
    models = [str(attempt["model"]) for attempt in attempts if attempt.get("model")]
    return {
        **shown,
        "model": models[-1] if models else "",
        "tries": len(attempts),
        "ms": round(sum(_number(a.get("latency_ms")) or 0.0 for a in attempts), 1),
        "cost_usd": str(sum((_usd(a.get("cost")) for a in attempts), Decimal(0))),
        "reserved_usd": str(sum((_usd(a.get("reserved")) for a in attempts), Decimal(0))),
    }


def _usd(value: object) -> Decimal:
    return Decimal(str(value)) if value is not None else Decimal(0)


def _rows(section: Mapping[str, Any], name: str) -> list[Plain]:
    return [dict(row) for row in _list(section.get(name))]


def _at(body: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The section under `path`; empty where the road ended before it."""
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _list(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None

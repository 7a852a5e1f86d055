"""A trace as rows: its own, its signal's, and one for each check of the gates.

Owns the encoding of a trace for table and spool; knows no queue and no transaction's bounds.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import insert_many, upsert
from bot.adapters.store.rows import ReadRow, Row
from bot.adapters.store.tables import gate_results, signals, traces
from bot.domain import canonical
from bot.domain.errors import InvariantBroken
from bot.domain.reasons import Reason
from bot.domain.types import Ms, Symbol, TraceId
from bot.ports import TraceRecord

# Where a body holds the checks of each gate (see bot.pipeline.trace and .decide).
_GATES = {"approval": ("approval", "verdict"), "risk": ("desk", "verdict")}
_GATE_ROWS_A_STATEMENT = 500  # keeps one stretch of the loop under 5 ms


@dataclass(frozen=True, slots=True)
class TraceRows:
    """What one trace writes; `gates` as (gate, code, ok, value, limit, unit)."""

    row: Row
    signal: Row | None
    gates: tuple[tuple[str, str, bool, str | None, str | None, str], ...]

    @property
    def id(self) -> TraceId:
        return TraceId(self.row["id"])


def trace_rows(record: TraceRecord) -> TraceRows:
    """Encode a record. Raises ValueError when its body has no canonical form."""
    text = canonical.dumps(record.body)
    body = canonical.loads(text)  # a tenth of the price of making it plain a second time
    assert isinstance(body, dict)
    row: Row = {
        "id": str(record.trace_id),
        "cycle": int(record.cycle),
        "symbol": str(record.symbol),
        "bar_close": int(record.bar_close),
        "started_at": int(record.started_at),
        "duration_ms": float(record.duration_ms),
        "stage": str(record.stage),
        "result": str(record.result),
        "regime": _text(record.regime),
        "strategy": _text(record.strategy),
        "side": _text(record.side),
        "score": None if record.score is None else float(record.score),
        "tier": None if record.tier is None else int(record.tier),
        "fingerprint": str(record.fingerprint),
        "body": zlib.compress(text),
    }
    return TraceRows(row, _signal_row(row, body), tuple(_gate_rows(body)))


def record_of(row: ReadRow) -> TraceRecord:
    """The record of a row, its body in plain JSON (tuples as lists, Decimals as text).

    Raises InvariantBroken for a row that is damaged.
    """
    try:
        body = canonical.loads(zlib.decompress(row["body"]))
    except (zlib.error, TypeError, ValueError, RecursionError) as error:
        raise InvariantBroken(f"trace {row['id']} is damaged in the database: {error}") from None
    if not isinstance(body, dict):
        raise InvariantBroken(f"trace {row['id']} is damaged in the database: no object")
    return TraceRecord(
        trace_id=TraceId(row["id"]),
        cycle=row["cycle"],
        symbol=Symbol(row["symbol"]),
        bar_close=Ms(row["bar_close"]),
        started_at=Ms(row["started_at"]),
        duration_ms=row["duration_ms"],
        stage=row["stage"],
        result=row["result"],
        regime=row["regime"],
        strategy=row["strategy"],
        side=row["side"],
        score=row["score"],
        tier=row["tier"],
        fingerprint=row["fingerprint"],
        body=body,
    )


async def write_traces(connection: AsyncConnection, batch: Sequence[TraceRows]) -> None:
    """Write rows, replacing those of the same id; the later of a batch wins."""
    latest = list({rows.id: rows for rows in batch}.values())
    if not latest:
        return
    await connection.execute(upsert(connection, traces), [rows.row for rows in latest])
    proposals = [rows.signal for rows in latest if rows.signal is not None]
    if proposals:
        await connection.execute(upsert(connection, signals), proposals)
    ids = [rows.id for rows in latest]
    await connection.execute(gate_results.delete().where(gate_results.c.trace_id.in_(ids)))
    checks = [check for rows in latest for check in _numbered(rows)]
    for start in range(0, len(checks), _GATE_ROWS_A_STATEMENT):
        part = checks[start : start + _GATE_ROWS_A_STATEMENT]
        await insert_many(connection, gate_results, part)


def encode_trace(rows: TraceRows) -> bytes:
    """A spool line without its line end."""
    row = {**rows.row, "body": base64.b64encode(rows.row["body"]).decode()}
    line = {"kind": "trace", "row": row, "signal": rows.signal, "gates": rows.gates}
    return canonical.dumps(line)


def decode_trace(line: Mapping[str, Any]) -> TraceRows:
    """The rows of a spool line. Raises KeyError, TypeError or ValueError when it is not one."""
    row = {**line["row"], "body": base64.b64decode(line["row"]["body"])}
    return TraceRows(row, line["signal"], tuple(tuple(gate) for gate in line["gates"]))


def _signal_row(row: Row, body: Mapping[str, Any]) -> Row | None:
    signal = _at(body, "proposal", "signal")
    if not isinstance(signal, Mapping):
        return None
    side = row["side"] or signal.get("side")
    strategy = row["strategy"] or signal.get("strategy")
    if side is None or strategy is None:
        return None
    taken = row["result"] == Reason.EXECUTED
    return {
        "trace_id": row["id"],
        "symbol": row["symbol"],
        "side": side,
        "strategy": strategy,
        "score": row["score"],
        "tier": row["tier"],
        "price": _price(body),
        "taken": taken,
        "gate_reason": None if taken else row["result"],
        "at": row["started_at"],
    }


def _price(body: Mapping[str, Any]) -> float | None:
    """The mark that was seen with the signal."""
    mark = _at(body, "inputs", "market", "mark")
    return float(mark) if isinstance(mark, int | float) else None


def _at(body: Mapping[str, Any], *path: str) -> Any:
    """What lies at the end of a path of keys; None where it breaks off."""
    value: Any = body
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _gate_rows(
    body: Mapping[str, Any],
) -> list[tuple[str, str, bool, str | None, str | None, str]]:
    rows = []
    for gate, path in _GATES.items():
        checks = _at(body, *path, "checks")
        for check in checks if isinstance(checks, list) else []:
            if isinstance(check, Mapping) and "code" in check:
                value, limit = _text(check.get("value")), _text(check.get("limit"))
                unit = str(check.get("unit") or "")
                rows.append((gate, str(check["code"]), bool(check.get("ok")), value, limit, unit))
    return rows


def _numbered(rows: TraceRows) -> list[tuple[Any, ...]]:
    """Rows of `gate_results`, in the order of its columns."""
    at = rows.row["started_at"]
    return [(rows.id, n, *gate, at) for n, gate in enumerate(rows.gates)]


def _text(value: object) -> str | None:
    return None if value is None else str(value)

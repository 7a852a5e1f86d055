"""What the reports ask of the store: traces newest first in a stream, trades, and the last state.

Owns the queries and the cheap way into a trace's body; computes no figure of a report.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.rows import breaker_event_of, position_of, trade_of
from bot.adapters.store.tables import (
    bot_state,
    circuit_breaker_events,
    config_history,
    equity,
    positions,
    traces,
    trades,
)
from bot.domain import canonical
from bot.domain.breakers import BreakerEvent
from bot.domain.types import Ms, Position, Trade
from bot.ports import EquityPoint

_IN_PARTS = {"yield_per": 500}  # traces in memory at once: half a megabyte of packed bodies
_HEAD_BYTES = 512  # holds the durations of every stage there is
_DURATIONS = b'{"durations_ms":{'


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """One trace as the table has it; the body stays compressed until it is asked for."""

    id: str
    cycle: int
    symbol: str
    bar_close: int
    started_at: int
    duration_ms: float
    stage: str
    result: str
    regime: str | None
    strategy: str | None
    score: float | None
    fingerprint: str
    packed: bytes

    def body(self) -> Mapping[str, Any]:
        """The whole body in plain JSON (Decimals as text)."""
        found = canonical.loads(zlib.decompress(self.packed))
        return found if isinstance(found, dict) else {}

    def durations(self) -> Mapping[str, float]:
        """Machine ms by stage.

        Most traces end before any section whose name sorts before this one; of those only the
        first bytes are unpacked, which is ten times faster than the whole.
        """
        head = zlib.decompressobj().decompress(self.packed, _HEAD_BYTES)
        if head.startswith(_DURATIONS):
            start, end = len(_DURATIONS) - 1, head.find(b"}")
            if end > 0:
                return _numbers(canonical.loads(head[start : end + 1]))
        return _numbers(self.body().get("durations_ms"))


@dataclass(frozen=True, slots=True)
class Asked:
    """Which traces: from `since` on (market time), of one symbol or of all."""

    since: Ms = Ms(0)
    symbol: str | None = None


async def count_traces(db: AsyncConnection, asked: Asked) -> int:
    """How many there are."""
    return int((await db.execute(_asked(select(func.count()), asked))).scalar_one())


async def stream_traces(
    db: AsyncConnection, asked: Asked, limit: int
) -> AsyncIterator[StoredTrace]:
    """The newest `limit`, newest first, a part at a time."""
    columns = [traces.c[name] for name in StoredTrace.__slots__ if name != "packed"]
    question = _asked(select(*columns, traces.c.body), asked).order_by(traces.c.started_at.desc())
    result = await db.stream(question.limit(limit), execution_options=_IN_PARTS)
    async for part in result.partitions():
        for row in part:
            yield StoredTrace(*row)


async def stream_trades(db: AsyncConnection, asked: Asked) -> AsyncIterator[Trade]:
    """Trades opened from `since` on that are closed, oldest first."""
    found = select(trades).where(trades.c.opened_at >= asked.since).order_by(trades.c.opened_at)
    if asked.symbol is not None:
        found = found.where(trades.c.symbol == asked.symbol)
    result = await db.stream(found, execution_options=_IN_PARTS)
    async for part in result.mappings().partitions():
        for row in part:
            yield trade_of(row)


async def breaker_events(db: AsyncConnection, since: Ms) -> tuple[BreakerEvent, ...]:
    """Openings from `since` on, and those of before that hold still or closed later."""
    c = circuit_breaker_events.c
    touched = or_(c.at >= since, c.cleared_at.is_(None), c.cleared_at >= since)
    found = select(circuit_breaker_events).where(touched).order_by(c.at, c.event_type)
    return tuple(breaker_event_of(row) for row in (await db.execute(found)).mappings())


async def open_positions(db: AsyncConnection) -> tuple[Position, ...]:
    """What is held now."""
    rows = (await db.execute(select(positions).order_by(positions.c.symbol))).mappings()
    return tuple(position_of(row) for row in rows)


async def last_moment(db: AsyncConnection) -> Ms:
    """The newest market time that anything was stored with; 0 in an empty database."""
    newest = 0
    for at in (traces.c.started_at, equity.c.at, bot_state.c.updated_at):
        newest = max(newest, int((await db.execute(select(func.max(at)))).scalar() or 0))
    return Ms(newest)


async def symbols(db: AsyncConnection) -> tuple[str, ...]:
    """Every coin that a trace or a trade tells of."""
    found = select(traces.c.symbol).union(select(trades.c.symbol))
    return tuple(sorted((await db.execute(found)).scalars()))


async def state(db: AsyncConnection) -> Mapping[str, Any]:
    """The rows of `bot_state`, read."""
    rows = await db.execute(select(bot_state.c.key, bot_state.c.value).order_by(bot_state.c.key))
    return {key: canonical.loads(value) for key, value in rows}


async def last_equity(db: AsyncConnection) -> EquityPoint | None:
    """The newest point of the curve."""
    newest = select(equity).order_by(equity.c.at.desc()).limit(1)
    row = (await db.execute(newest)).mappings().first()
    return None if row is None else EquityPoint(**row)


async def config(db: AsyncConnection, fingerprint: str) -> Mapping[str, Any]:
    """The configuration of a fingerprint; empty when it is not kept."""
    found = select(config_history.c.body).where(config_history.c.fingerprint == fingerprint)
    text = (await db.execute(found)).scalar()
    body = canonical.loads(text) if text is not None else None
    return body if isinstance(body, dict) else {}


def _asked(question: Select[Any], asked: Asked) -> Select[Any]:
    question = question.select_from(traces).where(traces.c.started_at >= asked.since)
    if asked.symbol is not None:
        question = question.where(traces.c.symbol == asked.symbol)
    return question


def _numbers(found: object) -> Mapping[str, float]:
    if not isinstance(found, dict):
        return {}
    return {str(name): float(value) for name, value in found.items()}

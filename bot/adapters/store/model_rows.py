"""What asking models came to, and their answers by content, in and out of the database.

Owns the rows; knows neither budgets nor when an answer is too old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Column, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import Database, upsert
from bot.adapters.store.model_tables import ai_cache, decisions
from bot.adapters.store.rows import ReadRow
from bot.domain.errors import TransientError
from bot.domain.types import Attempt, Ms, TraceId, Usage
from bot.ports import Clock, StoredAnswer

log = structlog.get_logger(__name__)

RETRY_S = 5.0
ROWS_A_BATCH = 500  # of up to 16 KB, deleted in one transaction
QUEUE_ROWS = 1000  # answers that wait for a database; beyond it the oldest is let go
_TEXTS = ("detail", "raw")
_FIGURES = [column for column in decisions.columns if column.name not in _TEXTS]


class SqlAttemptStore:
    """Every request to a model, on the money engine: what may have been spent is never lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, attempts: Sequence[Attempt]) -> None:
        """Write rows in the place of the same attempts' earlier ones. Raises TransientError."""
        rows = [_row_of(attempt) for attempt in attempts]
        if rows:
            await self._database.write(partial(_put_attempts, rows=rows))

    async def since(self, wall_ms: int) -> tuple[Attempt, ...]:
        """Attempts asked from then on, oldest first, without texts. Raises TransientError."""
        found = select(*_FIGURES).where(decisions.c.asked_at >= wall_ms)
        return await self._read(found.order_by(decisions.c.asked_at))

    async def of_trace(self, trace_id: TraceId) -> tuple[Attempt, ...]:
        """Every attempt of one decision, whole. Raises TransientError."""
        found = select(decisions).where(decisions.c.trace_id == trace_id)
        return await self._read(found.order_by(decisions.c.seat, decisions.c.attempt))

    async def forget(self, before_wall_ms: int) -> int:
        """Delete attempts asked before then; how many. Raises TransientError."""
        return await _forget(self._database, decisions, decisions.c.asked_at, before_wall_ms)

    async def _read(self, found: Any) -> tuple[Attempt, ...]:
        async def read(db: AsyncConnection) -> tuple[Attempt, ...]:
            rows = (await db.execute(found)).mappings().all()
            return tuple(_attempt_of(row) for row in rows)

        return await self._database.read(read)


class SqlAnswerStore:
    """`bot.ports.AnswerStore` on the trace engine: an answer that is lost is asked for again."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._queue: dict[str, StoredAnswer] = {}
        self._work = asyncio.Event()

    async def get(self, key: str) -> StoredAnswer | None:
        """The newest answer under this key, expired or not. Raises TransientError."""
        waiting = self._queue.get(key)
        if waiting is not None:
            return waiting

        async def read(db: AsyncConnection) -> StoredAnswer | None:
            found = await db.execute(select(ai_cache).where(ai_cache.c.key == key))
            row = found.mappings().first()
            return None if row is None else _answer_of(row)

        return await self._database.read(read)

    def put(self, answer: StoredAnswer) -> None:
        """Keep an answer; never waits, never raises for a slow database."""
        self._queue.pop(answer.key, None)
        self._queue[answer.key] = answer
        while len(self._queue) > QUEUE_ROWS:
            del self._queue[next(iter(self._queue))]
        self._work.set()

    async def forget(self, before: Ms) -> int:
        """Delete answers kept before a moment of market time; how many. Raises TransientError."""
        return await _forget(self._database, ai_cache, ai_cache.c.created_at, before)

    async def run(self) -> None:
        """Service: write what waits, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self.flush()
            except TransientError as error:
                log.warning("answers_not_stored", rows=len(self._queue), error=str(error))
                self._work.set()
                await self._clock.pause(RETRY_S)

    async def flush(self) -> None:
        """Write what waits now. Raises TransientError; what could not be written still waits."""
        answers = tuple(self._queue.values())
        if not answers:
            return
        rows = [_answer_row(answer) for answer in answers]
        await self._database.write(partial(_put_answers, rows=rows))
        for answer in answers:
            if self._queue.get(answer.key) is answer:
                del self._queue[answer.key]


async def _forget(database: Database, table: Table, age: Column[int], before: int) -> int:
    """Delete old rows, a few at a time: who writes meanwhile waits for one batch at most."""
    oldest = select(age).where(age < before).order_by(age)

    async def batch(db: AsyncConnection) -> int:
        last = (await db.execute(oldest.offset(ROWS_A_BATCH - 1).limit(1))).scalar()
        bound = before if last is None else last + 1
        return (await db.execute(table.delete().where(age < bound))).rowcount

    gone = 0
    while deleted := await database.write(batch):
        gone += deleted
    return gone


async def _put_attempts(db: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    await db.execute(upsert(db, decisions), rows)


async def _put_answers(db: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    await db.execute(upsert(db, ai_cache), rows)


def _row_of(attempt: Attempt) -> dict[str, Any]:
    usage = attempt.usage
    return {
        "trace_id": attempt.trace_id,
        "seat": attempt.seat,
        "attempt": attempt.number,
        "kind": attempt.kind,
        "action": attempt.action,
        "confidence": attempt.confidence,
        "asked_at": attempt.asked_at,
        "latency_ms": attempt.latency_ms,
        "input_tokens": usage.input if usage is not None else None,
        "cached_tokens": usage.cached if usage is not None else None,
        "output_tokens": usage.output if usage is not None else None,
        "reasoning_tokens": usage.reasoning if usage is not None else None,
        "cost_usd": attempt.cost,
        "reserved_usd": attempt.reserved,
        "price_version": attempt.price_version,
        "model": attempt.model,
        "system_fingerprint": attempt.system_fingerprint,
        "late": attempt.late,
        "detail": attempt.detail,
        "raw": attempt.raw,
    }


def _attempt_of(row: ReadRow) -> Attempt:
    usage = None
    if row["input_tokens"] is not None:
        usage = Usage(
            input=row["input_tokens"],
            output=row["output_tokens"],
            cached=row["cached_tokens"],
            reasoning=row["reasoning_tokens"],
        )
    return Attempt(
        trace_id=TraceId(row["trace_id"]),
        seat=row["seat"],
        number=row["attempt"],
        kind=row["kind"],
        asked_at=row["asked_at"],
        latency_ms=row["latency_ms"],
        usage=usage,
        cost=row["cost_usd"],
        reserved=row["reserved_usd"],
        price_version=row["price_version"],
        model=row["model"],
        system_fingerprint=row["system_fingerprint"],
        detail=row.get("detail", ""),
        raw=row.get("raw", ""),
        late=row["late"],
        action=row["action"],
        confidence=row["confidence"],
    )


def _answer_row(answer: StoredAnswer) -> dict[str, Any]:
    return {
        "key": answer.key,
        "seat": answer.seat,
        "identity": answer.identity,
        "version": answer.version,
        "answer": answer.text,
        "created_at": int(answer.at),
        "expires_at": int(answer.expires_at),
    }


def _answer_of(row: ReadRow) -> StoredAnswer:
    return StoredAnswer(
        key=row["key"],
        seat=row["seat"],
        identity=row["identity"],
        version=row["version"],
        text=row["answer"],
        at=Ms(row["created_at"]),
        expires_at=Ms(row["expires_at"]),
    )

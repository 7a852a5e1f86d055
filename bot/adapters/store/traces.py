"""The trace store: rows behind the action, in batches, by one writer with a bounded queue.

Owns the queue and what happens when it is full; knows nothing of what a trace means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import Database
from bot.adapters.store.model_tables import decisions
from bot.adapters.store.newest import NewestBars
from bot.adapters.store.replay import Replay
from bot.adapters.store.rows import ReadRow
from bot.adapters.store.spool import Spool
from bot.adapters.store.tables import traces
from bot.adapters.store.trace_rows import (
    TraceRows,
    encode_trace,
    record_of,
    trace_rows,
    write_traces,
)
from bot.domain.errors import InvariantBroken, TransientError
from bot.domain.types import Ms, Symbol, TraceId, trace_id
from bot.ports import Clock, TraceRecord

log = structlog.get_logger(__name__)

BATCH_ROWS = 100  # 45,000 rows a second by batches of 100, 1,200 one by one (measured)
BATCH_WAIT_S = 0.25
FIRST_RETRY_S = 0.25
LAST_RETRY_S = 5.0
PROBED = 20  # numbers of a bar that are looked for at once


class SqlTraceStore:
    """`bot.ports.TraceStore` on the trace engine (synchronous NORMAL).

    The queue holds the newest `queue_rows` records, one an id. When it is full the oldest goes
    to the spool file, so that spooled rows are always older than queued ones and are replayed
    before them.
    """

    def __init__(
        self, database: Database, spool: Spool, replay: Replay, clock: Clock, queue_rows: int
    ) -> None:
        self._database = database
        self._spool = spool
        self._replay = replay
        self._clock = clock
        self._queue_rows = queue_rows
        self._queue: dict[TraceId, TraceRows] = {}
        self._full = asyncio.Event()  # a whole batch waits
        self._writing = asyncio.Lock()
        self._spooled_numbers: dict[tuple[str, int], int] = {}
        self._failing = False
        self._lost = 0
        self._proposals = 0
        self._newest_bars = NewestBars(self._rows, database.dialect)

    def put(self, record: TraceRecord) -> None:
        """Queue a record; never waits, never raises for a slow database."""
        rows = _encode(record)
        self._proposals += record.strategy is not None
        self._newest_bars.met(record.symbol, record.bar_close)
        self._queue.pop(rows.id, None)
        self._queue[rows.id] = rows
        if len(self._queue) > self._queue_rows:
            self._spill_oldest()
        if len(self._queue) >= BATCH_ROWS:
            self._full.set()
        self._spool.appended.set()

    def backlog(self) -> int:
        """Rows that are not in the database yet, queued or spooled; the gates ask."""
        return len(self._queue) + self._spool.pending

    @property
    def lost(self) -> int:
        """Rows lost because neither database nor spool file took them."""
        return self._lost

    @property
    def proposals(self) -> int:
        """How often a trace with a signal was put since the start; grows when there is news."""
        return self._proposals

    async def run(self) -> None:
        """The writer service: writes 100 rows or what 250 ms brought; retries for ever."""
        retry_s = FIRST_RETRY_S
        work = self._spool.appended
        while True:
            await work.wait()
            work.clear()
            await self._clock.wait(self._full, BATCH_WAIT_S)
            try:
                await self.flush()
            except TransientError as error:
                self._note_failure(error)
                work.set()
                await self._clock.pause(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
                continue
            self._note_success()
            retry_s = FIRST_RETRY_S

    async def flush(self) -> None:
        """Write all that waits. Raises TransientError; what is not written stays queued."""
        with self._clock.busy():
            async with self._writing:
                while self._queue or self._spool.pending:
                    await self._write_next()
        self._full.clear()

    async def get(self, trace_id: TraceId) -> TraceRecord | None:
        """The record, also while it is queued. Raises TransientError."""
        queued = self._queue.get(trace_id)
        if queued is not None:
            return record_of(queued.row)
        stored = await self._rows(select(traces).where(traces.c.id == trace_id))
        return record_of(stored[0]) if stored else None

    async def recent(self, limit: int) -> tuple[TraceRecord, ...]:
        """Newest first, queued ones among them. Raises TransientError."""
        queued = [rows.row for rows in self._queue.values()]
        return tuple(map(record_of, await self._newest(select(traces), queued, limit)))

    async def heads(self, limit: int) -> tuple[ReadRow, ...]:
        """As `recent`, without the bodies: a list of 500 opens none. Raises TransientError."""
        queued = [rows.row for rows in self._queue.values()]
        columns = [column for column in traces.columns if column.name != "body"]
        return tuple(await self._newest(select(*columns), queued, limit))

    async def proposed(self, limit: int) -> tuple[ReadRow, ...]:
        """Newest rows with a signal, queued ones among them; `record_of` opens a row's body."""
        queued = [rows.row for rows in self._queue.values() if rows.row["strategy"] is not None]
        stored = select(traces).where(traces.c.strategy.is_not(None))
        return tuple(await self._newest(stored, queued, limit))

    async def last_number(self, symbol: Symbol, bar_close: Ms) -> int:
        """Highest n stored, queued, spooled or asked about for this bar; 0 for none.

        Raises TransientError.
        """
        if not (self._newest_bars.knows(symbol) or self._spool.pending):
            await self._newest_bars.look(symbol)
        new = self._newest_bars.is_new(symbol, bar_close)
        self._newest_bars.met(symbol, bar_close)
        if new:
            return 0
        same = select(traces.c.id).where(traces.c.symbol == symbol, traces.c.bar_close == bar_close)
        ids = [row["id"] for row in await self._rows(same)]
        ids += [rows.id for rows in self._queue.values() if _bar(rows) == (symbol, bar_close)]
        spooled = self._spooled_numbers.get((symbol, bar_close), 0)
        return await self._asked(symbol, bar_close, max([spooled, *map(_number, ids)]))

    async def _asked(self, symbol: Symbol, bar_close: Ms, last: int) -> int:
        """Highest n from `last` on under which a model was asked.

        A process that was killed meanwhile left no trace of it, but what it may have spent: a
        second question of that name would be booked in its place.
        """
        while True:
            names = [trace_id(symbol, bar_close, n) for n in range(last + 1, last + 1 + PROBED)]
            found = select(decisions.c.trace_id).where(decisions.c.trace_id.in_(names))
            asked = [_number(row["trace_id"]) for row in await self._rows(found)]
            if not asked:
                return last
            last = max(asked)

    async def funnel(self, since: Ms) -> Mapping[tuple[str, str], int]:
        """How many traces ended at each (stage, result) since then. Raises TransientError."""
        await self.flush()
        counted = (
            select(traces.c.stage, traces.c.result, func.count().label("n"))
            .where(traces.c.started_at >= since)
            .group_by(traces.c.stage, traces.c.result)
            .order_by(traces.c.stage, traces.c.result)
        )
        rows = await self._rows(counted)
        return {(row["stage"], row["result"]): row["n"] for row in rows}

    def spill(self) -> None:
        """Append everything queued to the spool file: the last act when the database is away."""
        while self._queue:
            self._spill_oldest()

    async def _newest(
        self, question: Select[Any], queued: Sequence[ReadRow], limit: int
    ) -> Sequence[ReadRow]:
        newest = question.order_by(traces.c.started_at.desc(), traces.c.id.desc())
        stored = await self._rows(newest.limit(limit))
        found: dict[str, ReadRow] = {row["id"]: row for row in stored}
        found |= {row["id"]: row for row in queued}
        newest_first = sorted(
            found.values(), key=lambda row: (row["started_at"], row["id"]), reverse=True
        )
        return newest_first[:limit]

    async def _rows(self, question: Select[Any]) -> Sequence[ReadRow]:
        async def ask(db: AsyncConnection) -> Sequence[ReadRow]:
            return list((await db.execute(question)).mappings())

        return await self._database.read(ask)

    async def _write_next(self) -> None:
        if self._spool.pending:
            await self._replay.run()
            self._spooled_numbers.clear()
        batch = list(islice(self._queue.values(), BATCH_ROWS))
        try:
            await self._database.write(partial(write_traces, batch=batch))
        except InvariantBroken as error:
            self._spool.reject([encode_trace(rows) for rows in batch], str(error))
        for rows in batch:
            # A record put again meanwhile is another object and stays.
            if self._queue.get(rows.id) is rows:
                del self._queue[rows.id]

    def _spill_oldest(self) -> None:
        oldest = self._queue.pop(next(iter(self._queue)))
        try:
            self._spool.append(encode_trace(oldest))
        except OSError as error:
            self._lost += 1
            log.error("trace_lost", trace_id=oldest.id, lost=self._lost, error=str(error))
            return
        bar, number = _bar(oldest), _number(oldest.id)
        self._spooled_numbers[bar] = max(number, self._spooled_numbers.get(bar, 0))

    def _note_failure(self, error: TransientError) -> None:
        if not self._failing:
            log.warning("trace_store_failing", error=str(error), backlog=self.backlog())
        self._failing = True

    def _note_success(self) -> None:
        if self._failing:
            log.warning("trace_store_recovered", lost=self._lost)
        self._failing = False


def _encode(record: TraceRecord) -> TraceRows:
    """Rows of a record; a body without canonical form is replaced by the reason why."""
    try:
        return trace_rows(record)
    except ValueError as error:
        log.error("trace_body_refused", trace_id=record.trace_id, error=str(error))
        bare = {name: getattr(record, name) for name in TraceRecord.__slots__}
        return trace_rows(TraceRecord(**{**bare, "body": {"refused": str(error)}}))


def _bar(rows: TraceRows) -> tuple[str, int]:
    return rows.row["symbol"], rows.row["bar_close"]


def _number(ident: str) -> int:
    """The n of `{symbol}-{bar close}-{n}`."""
    tail = ident.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else 0

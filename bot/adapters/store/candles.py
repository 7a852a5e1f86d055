"""The candle store: one row a closed bar, for warm start, outcomes, replay and backtest.

Owns the batches and windows; knows neither where candles come from nor what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import Database, upsert_many
from bot.adapters.store.tables import candles
from bot.domain.types import Bars, Ms, Symbol, Timeframe
from bot.ports import Clock

_ROWS_A_BATCH = 500
_ROWS_A_PART = 2000  # rows turned into arrays between two turns of the loop
_COLUMNS = (
    candles.c.ts,
    candles.c.open,
    candles.c.high,
    candles.c.low,
    candles.c.close,
    candles.c.volume,
)

_Row = tuple[Any, ...]


class SqlCandleStore:
    """`bot.ports.CandleStore` on the trace engine: a candle can always be fetched again."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, source: str, *seen: tuple[Symbol, Timeframe, Bars]) -> None:
        """Store bars, replacing those of the same open time. Raises TransientError.

        Few bars of many symbols are one transaction; many bars are several.
        """
        with self._clock.busy():
            for batch in _batches(str(source), seen):
                await self._database.write(partial(_put, rows=batch))

    async def window(
        self, source: str, symbol: Symbol, timeframe: Timeframe, first: Ms, last: Ms
    ) -> Bars:
        """Bars whose open time lies in [first, last]; what is missing is just not there.

        Raises TransientError.
        """
        found = (
            select(*_COLUMNS)
            .where(
                candles.c.source == source,
                candles.c.symbol == symbol,
                candles.c.interval == timeframe.value,
                candles.c.ts.between(first, last),
            )
            .order_by(candles.c.ts)
        )
        return await self._database.read(partial(_bars, found=found))


async def _put(db: AsyncConnection, rows: Sequence[_Row]) -> None:
    await upsert_many(db, candles, rows)


async def _bars(db: AsyncConnection, found: Select[Any]) -> Bars:
    parts: list[Bars] = []
    rows = await db.stream(found)
    async for part in rows.partitions(_ROWS_A_PART):
        parts.append(Bars.of([(r[0], r[1], r[2], r[3], r[4], r[5]) for r in part]))
    return _joined(parts)


def _batches(
    source: str, seen: Iterable[tuple[Symbol, Timeframe, Bars]]
) -> Iterator[Sequence[_Row]]:
    """Rows of all windows, so many at a time; made when they are asked for."""
    batch: list[_Row] = []
    for symbol, timeframe, bars in seen:
        key = (source, str(symbol), timeframe.value)
        for start in range(0, len(bars), _ROWS_A_BATCH):
            batch += _rows(key, bars[start : start + _ROWS_A_BATCH])
            if len(batch) >= _ROWS_A_BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _rows(key: tuple[str, str, str], bars: Bars) -> list[_Row]:
    """In the order of the table's columns."""
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [(*key, *values) for values in zip(*(column.tolist() for column in columns))]


def _joined(parts: list[Bars]) -> Bars:
    if not parts:
        return Bars.empty()
    if len(parts) == 1:
        return parts[0]
    return Bars(
        np.concatenate([part.ts for part in parts]),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("open", "high", "low", "close", "volume")
        ),
    )

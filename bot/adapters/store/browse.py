"""What the page asks of history: a bounded answer to every question.

Owns the queries that thin and count in SQL; knows neither who asks nor how it is drawn.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import Database
from bot.adapters.store.tables import candles, equity, trades
from bot.domain.types import Bars, Ms, Symbol, Timeframe
from bot.ports import EquityPoint


class Earned(NamedTuple):
    """Closed trades of one symbol or strategy; `won` by the sign of the exact result."""

    name: str
    closed: int
    won: int
    net_usd: float


class Browse:
    """Reads only; every answer has at most as many rows as asked for. Raises TransientError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def equity_curve(self, since: Ms, before: Ms, limit: int) -> tuple[EquityPoint, ...]:
        """The curve in [since, before), oldest first; of too many points the last of each slice."""
        work = partial(_curve, since=since, before=before, limit=limit)
        return await self._database.read(work)

    async def last_equity(self) -> EquityPoint | None:
        """The newest point of the curve; None before the first heartbeat."""
        return await self._database.read(_last)

    async def won(self, since: Ms) -> int:
        """How many trades opened since then were closed with a profit after costs."""
        return await self._database.read(partial(_won, since=since))

    async def earned(self) -> tuple[tuple[Earned, ...], tuple[Earned, ...]]:
        """All closed trades by symbol and by strategy."""
        return await self._database.read(_both)

    async def latest_bars(
        self, source: str, symbol: Symbol, timeframe: Timeframe, limit: int
    ) -> Bars:
        """The last `limit` stored bars, oldest first; empty where none were seen."""
        work = partial(_bars, source=source, symbol=symbol, timeframe=timeframe, limit=limit)
        return await self._database.read(work)


async def _curve(db: AsyncConnection, since: Ms, before: Ms, limit: int) -> tuple[EquityPoint, ...]:
    inside = (equity.c.at >= since, equity.c.at < before)
    bounds = select(func.min(equity.c.at), func.max(equity.c.at)).where(*inside)
    first, last = (await db.execute(bounds)).one()
    if first is None:
        return ()
    width = (last - first) // limit + 1
    kept = select(func.max(equity.c.at)).where(*inside).group_by((equity.c.at - first) // width)
    rows = await db.execute(select(equity).where(equity.c.at.in_(kept)).order_by(equity.c.at))
    return tuple(EquityPoint(**row) for row in rows.mappings())


async def _last(db: AsyncConnection) -> EquityPoint | None:
    row = (await db.execute(select(equity).order_by(equity.c.at.desc()).limit(1))).mappings()
    found = row.one_or_none()
    return EquityPoint(**found) if found is not None else None


async def _won(db: AsyncConnection, since: Ms) -> int:
    # The sign of the REAL column is that of the exact one: rounding never crosses zero.
    won = select(func.count()).where(trades.c.net_pnl_real > 0, trades.c.opened_at >= since)
    return int((await db.execute(won)).scalar_one())


async def _both(db: AsyncConnection) -> tuple[tuple[Earned, ...], tuple[Earned, ...]]:
    return await _earned(db, trades.c.symbol), await _earned(db, trades.c.strategy)


async def _earned(db: AsyncConnection, name: ColumnElement[str]) -> tuple[Earned, ...]:
    won = func.sum(case((trades.c.net_pnl_real > 0, 1), else_=0))
    net = func.sum(trades.c.net_pnl_real)
    rows = await db.execute(select(name, func.count(), won, net).group_by(name).order_by(name))
    return tuple(Earned(str(r[0]), int(r[1]), int(r[2]), float(r[3])) for r in rows.all())


async def _bars(
    db: AsyncConnection, source: str, symbol: Symbol, timeframe: Timeframe, limit: int
) -> Bars:
    c = candles.c
    newest = (
        select(c.ts, c.open, c.high, c.low, c.close, c.volume)
        .where(c.source == source, c.symbol == symbol, c.interval == timeframe.value)
        .order_by(c.ts.desc())
        .limit(limit)
    )
    rows = (await db.execute(newest)).all()
    return Bars.of([(r[0], r[1], r[2], r[3], r[4], r[5]) for r in rows[::-1]])

"""The money journal: written ahead of the action, read back at start-up.

Owns what is asked of the money tables; knows neither the venue nor when an order may be sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from functools import partial
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import Database, insert_once
from bot.adapters.store.money import TERMINAL, write_money
from bot.adapters.store.money_spool import SqlMoneySpool, rows_of
from bot.adapters.store.replay import Replay
from bot.adapters.store.rows import (
    ReadRow,
    breaker_event_of,
    fill_of,
    order_of,
    position_of,
    trade_of,
)
from bot.adapters.store.spool import Spool
from bot.adapters.store.tables import (
    bot_state,
    circuit_breaker_events,
    config_history,
    equity,
    fills,
    funding,
    orders,
    positions,
    trades,
)
from bot.domain import canonical
from bot.domain.breakers import BreakerEvent
from bot.domain.types import ZERO, Fill, Ms, Order, Position, TraceId, Trade
from bot.ports import Changes, Clock, EquityPoint, Recovered

RECENT_FILLS = 500  # bot.ports.Recovered
RECENT_TRADES = 100
RECENT_EVENTS = 50
_ROWS_A_PART = 1000  # rows read between two turns of the loop
# Sums are exact: no sum of money needs as many digits as this, and unused ones cost nothing.
_EXACT = Context(prec=2000)


class SqlJournal:
    """`bot.ports.Journal` on the money engine (synchronous FULL)."""

    def __init__(self, database: Database, spool: Spool, replay: Replay, clock: Clock) -> None:
        self._database = database
        self._replay = replay
        self._clock = clock
        self.spool = SqlMoneySpool(database, spool, replay, clock)

    async def record(self, changes: Changes) -> None:
        """Write `changes` in one transaction; they are on the disk when this returns.

        What was spooled goes in first, so that rows keep their order. Raises TransientError
        when the database is away (entries are then refused, what is behind is spooled), and
        InvariantBroken for a value that no table takes.
        """
        money = rows_of(changes, self._clock.now())
        if money.empty:
            return
        await self._catch_up()
        await self._database.write(partial(write_money, money=money))

    async def spool_money(self, changes: Changes) -> None:
        """`append` and `sync` of the journal's spool in one: the rows are on the disk.

        To be called before anything newer of the same order or position is recorded: spooled
        rows go into the database before whatever is recorded after them.
        Raises TransientError when the file cannot be written either.
        """
        self.spool.append(changes)
        await self.spool.sync()

    async def recover(self) -> Recovered:
        """Everything that start-up needs, of one moment. Raises TransientError."""
        await self._catch_up()
        return await self._database.read(_recovered)

    async def state_of(self, key: str) -> object | None:
        """One value of the durable state; None: never recorded. Raises TransientError."""
        rows = await self._ask(select(bot_state.c.value).where(bot_state.c.key == key))
        return canonical.loads(rows[0]["value"]) if rows else None

    async def orders_of(self, trace_id: TraceId) -> tuple[Order, ...]:
        """Orders of one trace, oldest first. Raises TransientError."""
        found = select(orders).where(orders.c.trace_id == trace_id)
        ordered = found.order_by(orders.c.created_at, orders.c.attempt, orders.c.cloid)
        return tuple(order_of(row) for row in await self._ask(ordered))

    async def trades(self, limit: int) -> tuple[Trade, ...]:
        """The last `limit` closed trades, oldest first. Raises TransientError."""
        return await self._database.read(partial(_trades, limit=limit))

    async def put_config(self, fingerprint: str, at: Ms, body: Mapping[str, object]) -> None:
        """Keep a configuration once, under its fingerprint. Raises TransientError."""
        row = {"fingerprint": fingerprint, "at": int(at), "body": canonical.dumps(body).decode()}

        async def put(db: AsyncConnection) -> None:
            await db.execute(insert_once(db, config_history), row)

        await self._database.write(put)

    async def get_config(self, fingerprint: str) -> Mapping[str, object] | None:
        """The configuration of a fingerprint; None when it was never used here."""
        found = select(config_history.c.body).where(config_history.c.fingerprint == fingerprint)
        rows = await self._ask(found)
        if not rows:
            return None
        config = canonical.loads(rows[0]["body"])
        assert isinstance(config, dict)
        return config

    async def breaker_events(self, since: Ms, limit: int) -> tuple[BreakerEvent, ...]:
        """The newest `limit` openings from `since` on, newest first. Raises TransientError."""
        c = circuit_breaker_events.c
        found = select(circuit_breaker_events).where(c.at >= since)
        newest = found.order_by(c.at.desc(), c.event_type).limit(limit)
        return tuple(breaker_event_of(row) for row in await self._ask(newest))

    async def equity_since(self, at: Ms) -> tuple[EquityPoint, ...]:
        """The curve from `at` on, oldest first. Raises TransientError."""
        found = select(equity).where(equity.c.at >= at).order_by(equity.c.at)
        return tuple(EquityPoint(**row) for row in await self._ask(found))

    async def _ask(self, question: Select[Any]) -> Sequence[ReadRow]:
        async def ask(db: AsyncConnection) -> Sequence[ReadRow]:
            return list((await db.execute(question)).mappings())

        return await self._database.read(ask)

    async def _catch_up(self) -> None:
        if self._replay.pending:
            await self._replay.run()


async def _recovered(db: AsyncConnection) -> Recovered:
    live = select(orders).where(orders.c.status.not_in(TERMINAL))
    open_orders = await db.execute(live.order_by(orders.c.created_at, orders.c.cloid))
    held = await db.execute(select(positions).order_by(positions.c.symbol))
    held_now = tuple(position_of(row) for row in held.mappings())
    realised, fees = await _totals(db)
    return Recovered(
        open_orders=tuple(order_of(row) for row in open_orders.mappings()),
        positions=held_now,
        state=await _state(db),
        fills=await _fills(db, held_now),
        last_fill_at=await _latest(db, fills.c.at),
        last_funding_at=await _latest(db, funding.c.at),
        realised=realised,
        fees=fees,
        funding=await _total_funding(db),
        closed_trades=await _count_trades(db),
        recent_trades=await _trades(db, RECENT_TRADES),
        breaker_events=await _breaker_events(db),
    )


async def _state(db: AsyncConnection) -> dict[str, object]:
    rows = await db.execute(select(bot_state.c.key, bot_state.c.value).order_by(bot_state.c.key))
    return {key: canonical.loads(value) for key, value in rows}


async def _latest(db: AsyncConnection, at: Any) -> Ms:
    return Ms((await db.execute(select(func.max(at)))).scalar() or 0)


async def _count_trades(db: AsyncConnection) -> int:
    return int((await db.execute(select(func.count()).select_from(trades))).scalar_one())


async def _totals(db: AsyncConnection) -> tuple[Decimal, Decimal]:
    """Gross realised P&L and fees of all fills, summed in Decimal."""
    realised = fees = ZERO
    parts = await db.stream(select(fills.c.closed_pnl, fills.c.fee))
    async for part in parts.partitions(_ROWS_A_PART):
        for pnl, fee in part:
            realised, fees = _EXACT.add(realised, pnl), _EXACT.add(fees, fee)
    return realised, fees


async def _total_funding(db: AsyncConnection) -> Decimal:
    total = ZERO
    parts = await db.stream(select(funding.c.usd))
    async for part in parts.partitions(_ROWS_A_PART):
        for (usd,) in part:
            total = _EXACT.add(total, usd)
    return total


async def _fills(db: AsyncConnection, held: tuple[Position, ...]) -> tuple[Fill, ...]:
    """The last 500, and before them those since the oldest open position; oldest first."""
    newest = select(fills).order_by(fills.c.at.desc(), fills.c.seq.desc()).limit(RECENT_FILLS)
    recent = (await db.execute(newest)).mappings().all()[::-1]
    found = [fill_of(row) for row in recent]
    oldest = min((position.opened_at for position in held), default=None)
    if not recent or oldest is None or oldest > recent[0]["at"]:
        return tuple(found)
    first_at, first_seq = recent[0]["at"], recent[0]["seq"]
    before = or_(fills.c.at < first_at, and_(fills.c.at == first_at, fills.c.seq < first_seq))
    earlier = select(fills).where(fills.c.at >= oldest, before)
    rows = await db.execute(earlier.order_by(fills.c.at, fills.c.seq))
    return (*(fill_of(row) for row in rows.mappings()), *found)


async def _trades(db: AsyncConnection, limit: int) -> tuple[Trade, ...]:
    newest = select(trades).order_by(
        trades.c.closed_at.desc(), trades.c.opened_at.desc(), trades.c.trace_id.desc()
    )
    rows = (await db.execute(newest.limit(limit))).mappings().all()
    return tuple(trade_of(row) for row in rows[::-1])


async def _breaker_events(db: AsyncConnection) -> tuple[BreakerEvent, ...]:
    c = circuit_breaker_events.c
    newest = select(circuit_breaker_events).order_by(c.at.desc(), c.event_type)
    rows = (await db.execute(newest.limit(RECENT_EVENTS))).mappings().all()
    return tuple(breaker_event_of(row) for row in rows[::-1])

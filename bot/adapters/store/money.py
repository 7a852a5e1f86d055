"""How money rows enter their tables: in one transaction, without ever undoing a final state.

Owns the statements of a write; knows neither connections nor what to do when one fails.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import insert, insert_once, upsert
from bot.adapters.store.rows import MoneyRows
from bot.adapters.store.tables import (
    bot_state,
    circuit_breaker_events,
    equity,
    fills,
    funding,
    orders,
    positions,
    trades,
)
from bot.domain.types import OrderStatus

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

TERMINAL = tuple(status.value for status in OrderStatus if status.terminal)
_FIXED = ("cloid", "trace_id", "created_at")  # an order's identity and birth never change


async def write_money(connection: AsyncConnection, money: MoneyRows) -> None:
    """Write every row of `money` on an open transaction."""
    rows = money.rows
    if rows["orders"]:
        await connection.execute(_upsert_order(connection.dialect.name), rows["orders"])
    if rows["fills"]:
        last = (await connection.execute(select(func.max(fills.c.seq)))).scalar() or 0
        numbered = [{**row, "seq": last + n} for n, row in enumerate(rows["fills"], start=1)]
        await connection.execute(insert_once(connection, fills), numbered)
    if rows["funding"]:
        await connection.execute(insert_once(connection, funding), rows["funding"])
    if money.flat:
        await connection.execute(positions.delete().where(positions.c.symbol.in_(money.flat)))
    if rows["positions"]:
        await connection.execute(upsert(connection, positions), rows["positions"])
    if rows["trades"]:
        await connection.execute(upsert(connection, trades), rows["trades"])
    # A line that was spooled by an older Keel does not know these two.
    if rows.get("circuit_breaker_events"):
        events = _upsert_event(connection.dialect.name)
        await connection.execute(events, rows["circuit_breaker_events"])
    if rows.get("equity"):
        await connection.execute(upsert(connection, equity), rows["equity"])
    if rows["bot_state"]:
        await connection.execute(upsert(connection, bot_state), rows["bot_state"])


@cache
def _upsert_order(dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Insert or update, but never from a terminal status back to one that is not.

    A late answer to an old question must not bring a filled or cancelled order to life again.
    """
    statement = insert(dialect, orders)
    new = statement.excluded
    changed = {c.name: new[c.name] for c in orders.columns if c.name not in _FIXED}
    # Spelled out: an IN list cannot be used with many rows at once.
    was_live = and_(*(orders.c.status != status for status in TERMINAL))
    is_final = or_(*(new.status == status for status in TERMINAL))
    return statement.on_conflict_do_update(
        index_elements=["cloid"], set_=changed, where=or_(was_live, is_final)
    )


@cache
def _upsert_event(dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Insert or update, but never open again what is closed: an opening is known by its row."""
    statement = insert(dialect, circuit_breaker_events)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["event_type", "at"],
        set_={"action_taken": new.action_taken, "cleared_at": new.cleared_at},
        where=circuit_breaker_events.c.cleared_at.is_(None),
    )

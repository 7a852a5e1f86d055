"""Money values to rows and back, and rows to spool lines and back.

Owns the mapping of fields to columns; knows no transaction and no file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table

from bot.adapters.store import tables
from bot.adapters.store.exact import Exact
from bot.domain import canonical
from bot.domain.breakers import BreakerEvent
from bot.domain.types import (
    Cloid,
    ExitReason,
    Fill,
    Leg,
    Ms,
    Order,
    OrderStatus,
    Position,
    Side,
    Symbol,
    TraceId,
    Trade,
)
from bot.ports import Changes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = dict[str, Any]
# A row read back: what the driver gives is known by the column alone.
ReadRow = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class MoneyRows:
    """`Changes` as rows by table, ready for a transaction or for the spool."""

    rows: Mapping[str, Sequence[Row]]
    flat: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return not self.flat and not any(self.rows.values())


def money_rows(changes: Changes, at: Ms) -> MoneyRows:
    """Rows of `changes`; state rows carry `at`. Raises ValueError for state that is not JSON."""
    state = changes.state or {}
    rows: dict[str, Sequence[Row]] = {
        "orders": [_order_row(order) for order in changes.orders],
        "fills": [_row(fill) for fill in changes.fills],
        "funding": [_row(payment) for payment in changes.funding],
        "positions": [_row(position) for position in changes.positions],
        "trades": [_trade_row(trade) for trade in changes.trades],
        "circuit_breaker_events": [_row(event) for event in changes.breaker_events],
        "equity": [_row(point) for point in changes.equity],
        "bot_state": [
            {"key": key, "value": canonical.dumps(value).decode(), "updated_at": int(at)}
            for key, value in state.items()
        ],
    }
    return MoneyRows(rows, tuple(changes.flat))


def encode_money(money: MoneyRows) -> bytes:
    """A spool line without its line end."""
    return canonical.dumps({"kind": "money", "rows": money.rows, "flat": money.flat})


def decode_money(line: Mapping[str, Any]) -> MoneyRows:
    """The rows of a spool line. Raises KeyError, TypeError or ValueError when it is not one."""
    rows = {
        name: [_revive(tables.metadata.tables[name], row) for row in found]
        for name, found in line["rows"].items()
    }
    return MoneyRows(rows, tuple(line["flat"]))


def _row(value: DataclassInstance) -> Row:
    return {field.name: _scalar(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _scalar(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _order_row(order: Order) -> Row:
    return {**_row(order), "executions": canonical.dumps(order.executions).decode()}


def _executions(text: str) -> tuple[tuple[int, int, Decimal, Decimal], ...]:
    found: Any = canonical.loads(text)
    return tuple((at, number, Decimal(size), Decimal(price)) for at, number, size, price in found)


def _trade_row(trade: Trade) -> Row:
    return {**_row(trade), "net_pnl_real": float(trade.net_pnl)}


def _revive(table: Table, row: Mapping[str, Any]) -> Row:
    """Texts of `Exact` columns become Decimals again."""
    exact = {column.name for column in table.columns if isinstance(column.type, Exact)}
    return {
        name: Decimal(value) if name in exact and value is not None else value
        for name, value in row.items()
    }


def order_of(row: ReadRow) -> Order:
    return Order(
        cloid=Cloid(row["cloid"]),
        trace_id=TraceId(row["trace_id"]),
        symbol=Symbol(row["symbol"]),
        leg=Leg(row["leg"]),
        side=Side(row["side"]),
        is_buy=row["is_buy"],
        quantity=row["quantity"],
        limit=row["limit"],
        status=OrderStatus(row["status"]),
        created_at=Ms(row["created_at"]),
        updated_at=Ms(row["updated_at"]),
        attempt=row["attempt"],
        trigger=row["trigger"],
        reduce_only=row["reduce_only"],
        venue_id=row["venue_id"],
        filled=row["filled"],
        average_price=row["average_price"],
        expires_at=row["expires_at"],
        reason=row["reason"],
        executions=_executions(row["executions"]),
    )


def fill_of(row: ReadRow) -> Fill:
    return Fill(
        fill_id=row["fill_id"],
        symbol=Symbol(row["symbol"]),
        is_buy=row["is_buy"],
        quantity=row["quantity"],
        price=row["price"],
        fee=row["fee"],
        closed_pnl=row["closed_pnl"],
        start_position=row["start_position"],
        at=Ms(row["at"]),
        venue_id=row["venue_id"],
        cloid=None if row["cloid"] is None else Cloid(row["cloid"]),
        liquidation=row["liquidation"],
    )


def breaker_event_of(row: ReadRow) -> BreakerEvent:
    cleared_at = row["cleared_at"]
    return BreakerEvent(
        at=Ms(row["at"]),
        event_type=row["event_type"],
        trigger_value=row["trigger_value"],
        threshold_value=row["threshold_value"],
        action_taken=row["action_taken"],
        cleared_at=None if cleared_at is None else Ms(cleared_at),
    )


def position_of(row: ReadRow) -> Position:
    return Position(
        symbol=Symbol(row["symbol"]),
        side=Side(row["side"]),
        quantity=row["quantity"],
        entry_price=row["entry_price"],
        opened_at=Ms(row["opened_at"]),
        trace_id=TraceId(row["trace_id"]),
        strategy=row["strategy"],
        entry_fees=row["entry_fees"],
        realised=row["realised"],
        exit_fees=row["exit_fees"],
        funding=row["funding"],
        max_quantity=row["max_quantity"],
        exit_quantity=row["exit_quantity"],
        exit_value=row["exit_value"],
    )


def trade_of(row: ReadRow) -> Trade:
    return Trade(
        trace_id=TraceId(row["trace_id"]),
        symbol=Symbol(row["symbol"]),
        side=Side(row["side"]),
        strategy=row["strategy"],
        quantity=row["quantity"],
        entry_price=row["entry_price"],
        exit_price=row["exit_price"],
        opened_at=Ms(row["opened_at"]),
        closed_at=Ms(row["closed_at"]),
        gross_pnl=row["gross_pnl"],
        fees=row["fees"],
        funding=row["funding"],
        exit_reason=ExitReason(row["exit_reason"]),
    )

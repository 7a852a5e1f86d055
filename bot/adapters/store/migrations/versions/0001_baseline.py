"""Baseline: candles, traces, money, state and configuration.

Revision 0001, after nothing. Written out: a later change of `tables.py` must not change it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_EXACT = sa.Text().with_variant(sa.Numeric(asdecimal=True), "postgresql")


def upgrade() -> None:
    _market()
    _thinking()
    _orders()
    _books()
    _state()


def _market() -> None:
    op.create_table(
        "candles",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("interval", sa.Text(), nullable=False),
        sa.Column("ts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("open", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("volume", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("source", "symbol", "interval", "ts"),
        sqlite_with_rowid=False,
    )


def _thinking() -> None:
    op.create_table(
        "traces",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("bar_close", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("regime", sa.Text()),
        sa.Column("strategy", sa.Text()),
        sa.Column("side", sa.Text()),
        sa.Column("score", sa.Double()),
        sa.Column("tier", sa.Integer()),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_traces_funnel", "traces", ["started_at", "stage", "result"])
    op.create_index("ix_traces_symbol_bar_close", "traces", ["symbol", "bar_close"])
    op.create_table(
        "signals",
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("tier", sa.Integer()),
        sa.Column("price", sa.Double()),
        sa.Column("taken", sa.Boolean(), nullable=False),
        sa.Column("gate_reason", sa.Text()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("trace_id"),
    )
    op.create_index("ix_signals_at", "signals", ["at"])
    op.create_index("ix_signals_symbol_at", "signals", ["symbol", "at"])
    op.create_table(
        "gate_results",
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Text()),
        sa.Column("limit_value", sa.Text()),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("trace_id", "n"),
    )
    op.create_index("ix_gate_results_at", "gate_results", ["at", "gate", "code", "ok"])


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("cloid", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("leg", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("is_buy", sa.Boolean(), nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("limit", _EXACT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("trigger", _EXACT),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("venue_id", sa.BigInteger()),
        sa.Column("filled", _EXACT, nullable=False),
        sa.Column("average_price", _EXACT),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("executions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cloid"),
    )
    op.create_index("ix_orders_status", "orders", ["status", "created_at"])
    op.create_index("ix_orders_trace_id", "orders", ["trace_id"])
    op.create_table(
        "fills",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fill_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("is_buy", sa.Boolean(), nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("price", _EXACT, nullable=False),
        sa.Column("fee", _EXACT, nullable=False),
        sa.Column("closed_pnl", _EXACT, nullable=False),
        sa.Column("start_position", _EXACT, nullable=False),
        sa.Column("venue_id", sa.BigInteger(), nullable=False),
        sa.Column("cloid", sa.Text()),
        sa.Column("liquidation", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "at", "fill_id"),
    )
    op.create_index("ix_fills_at", "fills", ["at", "seq"])
    op.create_index("ix_fills_cloid", "fills", ["cloid"])
    op.create_index("ix_fills_seq", "fills", ["seq"])
    op.create_table(
        "funding",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("usd", _EXACT, nullable=False),
        sa.Column("rate", _EXACT, nullable=False),
        sa.Column("size", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("symbol", "at"),
    )
    op.create_index("ix_funding_at", "funding", ["at"])


def _books() -> None:
    op.create_table(
        "positions",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("entry_price", _EXACT, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("entry_fees", _EXACT, nullable=False),
        sa.Column("realised", _EXACT, nullable=False),
        sa.Column("exit_fees", _EXACT, nullable=False),
        sa.Column("funding", _EXACT, nullable=False),
        sa.Column("max_quantity", _EXACT, nullable=False),
        sa.Column("exit_quantity", _EXACT, nullable=False),
        sa.Column("exit_value", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("symbol"),
    )
    op.create_table(
        "trades",
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("entry_price", _EXACT, nullable=False),
        sa.Column("exit_price", _EXACT, nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("gross_pnl", _EXACT, nullable=False),
        sa.Column("fees", _EXACT, nullable=False),
        sa.Column("funding", _EXACT, nullable=False),
        sa.Column("exit_reason", sa.Text(), nullable=False),
        sa.Column("net_pnl_real", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trace_id", "opened_at"),
    )
    op.create_index("ix_trades_closed_at", "trades", ["closed_at"])
    op.create_index("ix_trades_strategy", "trades", ["strategy", "closed_at"])
    op.create_index("ix_trades_symbol", "trades", ["symbol", "closed_at"])
    op.create_table(
        "equity",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("equity", _EXACT, nullable=False),
        sa.Column("cash", _EXACT, nullable=False),
        sa.Column("unrealised", _EXACT, nullable=False),
        sa.Column("peak", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("at"),
    )


def _state() -> None:
    op.create_table(
        "bot_state",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "config_history",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_table(
        "spool_marks",
        sa.Column("spool_id", sa.Text(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("spool_id"),
    )

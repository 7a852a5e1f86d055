"""The tables, written once for SQLite and PostgreSQL, with an index for each question asked.

Owns names, types and keys; knows neither who writes a row nor how a schema is upgraded.
Times are BIGINT milliseconds UTC; money is `Exact`; columns ending in `_real` are for analytics.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from bot.adapters.store.exact import Exact

metadata = MetaData()

candles = Table(
    "candles",
    metadata,
    Column("source", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("interval", Text, primary_key=True),
    Column("ts", BigInteger, primary_key=True, autoincrement=False),
    Column("open", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("close", Double, nullable=False),
    Column("volume", Double, nullable=False),
    sqlite_with_rowid=False,  # the key is the order in which windows are read
)

traces = Table(
    "traces",
    metadata,
    Column("id", Text, primary_key=True),
    Column("cycle", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("bar_close", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("duration_ms", Double, nullable=False),
    Column("stage", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("regime", Text),
    Column("strategy", Text),
    Column("side", Text),
    Column("score", Double),
    Column("tier", Integer),
    Column("fingerprint", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # canonical JSON, zlib
    # The last n of a bar; the funnel since a moment, from the index alone; the newest traces.
    Index("ix_traces_symbol_bar_close", "symbol", "bar_close"),
    Index("ix_traces_funnel", "started_at", "stage", "result"),
)

signals = Table(
    "signals",
    metadata,
    Column("trace_id", Text, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("score", Double),
    Column("tier", Integer),
    Column("price", Double),
    Column("taken", Boolean, nullable=False),
    Column("gate_reason", Text),
    Column("at", BigInteger, nullable=False),
    Index("ix_signals_at", "at"),
    Index("ix_signals_symbol_at", "symbol", "at"),
)

gate_results = Table(
    "gate_results",
    metadata,
    Column("trace_id", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("gate", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("value", Text),
    Column("limit_value", Text),
    Column("unit", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    # Which rule rejected most since a moment, from the index alone.
    Index("ix_gate_results_at", "at", "gate", "code", "ok"),
)

orders = Table(
    "orders",
    metadata,
    Column("cloid", Text, primary_key=True),
    Column("trace_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("leg", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("is_buy", Boolean, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("limit", Exact, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("trigger", Exact),
    Column("reduce_only", Boolean, nullable=False),
    Column("venue_id", BigInteger),
    Column("filled", Exact, nullable=False),
    Column("average_price", Exact),
    Column("expires_at", BigInteger),
    Column("reason", Text),
    Column("executions", Text, nullable=False),  # canonical JSON: [at, fill id, size, price], ...
    Index("ix_orders_trace_id", "trace_id"),
    Index("ix_orders_status", "status", "created_at"),
)

fills = Table(
    "fills",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("fill_id", BigInteger, primary_key=True, autoincrement=False),
    # Order of arrival: fills of one order share a millisecond, and their ids are not in order.
    Column("seq", BigInteger, nullable=False),
    Column("is_buy", Boolean, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("fee", Exact, nullable=False),
    Column("closed_pnl", Exact, nullable=False),
    Column("start_position", Exact, nullable=False),
    Column("venue_id", BigInteger, nullable=False),
    Column("cloid", Text),
    Column("liquidation", Boolean, nullable=False),
    Index("ix_fills_at", "at", "seq"),
    Index("ix_fills_seq", "seq"),
    Index("ix_fills_cloid", "cloid"),
)

funding = Table(
    "funding",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("usd", Exact, nullable=False),
    Column("rate", Exact, nullable=False),
    Column("size", Exact, nullable=False),
    Index("ix_funding_at", "at"),
)

positions = Table(
    "positions",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("side", Text, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("entry_price", Exact, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("entry_fees", Exact, nullable=False),
    Column("realised", Exact, nullable=False),
    Column("exit_fees", Exact, nullable=False),
    Column("funding", Exact, nullable=False),
    Column("max_quantity", Exact, nullable=False),
    Column("exit_quantity", Exact, nullable=False),
    Column("exit_value", Exact, nullable=False),
)

trades = Table(
    "trades",
    metadata,
    # One trace can be flat twice: an entry that fills again after its first part was stopped out.
    Column("trace_id", Text, primary_key=True),
    Column("opened_at", BigInteger, primary_key=True, autoincrement=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("entry_price", Exact, nullable=False),
    Column("exit_price", Exact, nullable=False),
    Column("closed_at", BigInteger, nullable=False),
    Column("gross_pnl", Exact, nullable=False),
    Column("fees", Exact, nullable=False),
    Column("funding", Exact, nullable=False),
    Column("exit_reason", Text, nullable=False),
    Column("net_pnl_real", Double, nullable=False),
    Index("ix_trades_closed_at", "closed_at"),
    Index("ix_trades_strategy", "strategy", "closed_at"),
    Index("ix_trades_symbol", "symbol", "closed_at"),
)

equity = Table(
    "equity",
    metadata,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("equity", Exact, nullable=False),
    Column("cash", Exact, nullable=False),
    Column("unrealised", Exact, nullable=False),
    Column("peak", Exact, nullable=False),
)

circuit_breaker_events = Table(
    # One row an opening; the closing fills in cleared_at.
    "circuit_breaker_events",
    metadata,
    Column("event_type", Text, primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("trigger_value", Exact, nullable=False),
    Column("threshold_value", Exact, nullable=False),
    Column("action_taken", Text, nullable=False),
    Column("cleared_at", BigInteger),
    Index("ix_circuit_breaker_events_at", "at"),
)

bot_state = Table(
    "bot_state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),  # canonical JSON
    Column("updated_at", BigInteger, nullable=False),
)

config_history = Table(
    "config_history",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # canonical JSON
)

spool_marks = Table(
    # How many lines of a spool file are already in the database: written in the same
    # transaction as the lines, so that each is replayed once, whenever the process is killed.
    "spool_marks",
    metadata,
    Column("spool_id", Text, primary_key=True),
    Column("lines", BigInteger, nullable=False),
)

"""The tables of the AI council: what asking came to, and answers kept by content.

Owns names, types and keys; knows neither who writes a row nor when an answer is too old.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, Table, Text

from bot.adapters.store.exact import Exact
from bot.adapters.store.tables import metadata

decisions = Table(
    # One row a request to a model: written before it leaves, and again when it ended.
    "decisions",
    metadata,
    Column("trace_id", Text, primary_key=True),
    Column("seat", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # answered, asked, or why there was no answer
    Column("action", Text, nullable=False),
    Column("confidence", Double),
    Column("asked_at", BigInteger, nullable=False),  # wall clock
    Column("latency_ms", Double, nullable=False),
    Column("input_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("output_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("cost_usd", Exact, nullable=False),
    Column("reserved_usd", Exact, nullable=False),  # stands for what nobody answered
    Column("price_version", Text, nullable=False),
    Column("model", Text, nullable=False),  # as the endpoint names what answered
    Column("system_fingerprint", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Index("ix_decisions_asked_at", "asked_at"),
)

ai_cache = Table(
    # Answers under the hash of all that shaped them; kept after they expired, for audits.
    "ai_cache",
    metadata,
    Column("key", Text, primary_key=True),
    Column("seat", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # market time
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_ai_cache_created_at", "created_at"),
)

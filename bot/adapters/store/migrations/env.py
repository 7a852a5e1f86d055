"""Runs the migrations on the connection that setup_database.py hands over.

Owns nothing else: the transaction, and what happens when one fails, are the script's.
"""

from __future__ import annotations

from alembic import context

from bot.adapters.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()

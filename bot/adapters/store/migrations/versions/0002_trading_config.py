"""The view `trading_config`, for those who look with SQL.

Revision 0002, after 0001. Reads what the daemon keeps in bot_state and equity; one row.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# bot_state.value is JSON; {field} of the row {key}, by dialect.
_FIELD = {
    "sqlite": "(SELECT json_extract(value, '$.{field}') FROM bot_state WHERE key = '{key}')",
    "postgresql": "(SELECT value::json ->> '{field}' FROM bot_state WHERE key = '{key}')",
}
_TIME = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%SZ', {ms} / 1000, 'unixepoch')",
    "postgresql": "to_timestamp({ms} / 1000.0)",
}
_LAST = """
(SELECT max(at) FROM (
    SELECT max(updated_at) AS at FROM bot_state UNION ALL SELECT max(at) AS at FROM equity
) AS moments)
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    field, time = _FIELD[dialect], _TIME[dialect]
    initial = field.format(key="settings", field="initial_capital")
    op.execute(
        "CREATE VIEW trading_config AS SELECT "
        f"{initial} AS initial_capital, "
        f"COALESCE((SELECT CAST(equity AS TEXT) FROM equity ORDER BY at DESC LIMIT 1), {initial}) "
        "AS current_capital, "
        f"COALESCE({field.format(key='trading', field='state')}, 'ACTIVE') = 'ACTIVE' "
        "AS is_trading_enabled, "
        f"{field.format(key='settings', field='mode')} AS mode, "
        f"{field.format(key='settings', field='profile')} AS profile, "
        f"{time.format(ms=_LAST)} AS last_updated"
    )

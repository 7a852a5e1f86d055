"""The venue's durable memory: one SQLite file, written before every answer.

Owns the tables; knows no rule of trading. WAL with synchronous NORMAL: the death of the
process loses nothing (a power cut may lose the last moments, which a demo can bear).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.errors import ConfigError, TransientError
from bot.simulator.accounts import (
    KEPT_FILLS,
    KEPT_ORDERS,
    AccountState,
    Row,
    SimOrder,
    account_of,
    account_text,
    order_of,
    order_text,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS world (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (address TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    oid INTEGER PRIMARY KEY, address TEXT NOT NULL, live INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_of ON orders (address, oid);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of ON events (address, kind, id);
CREATE TABLE IF NOT EXISTS nonces (signer TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""
UNUSABLE = "the simulator's ledger cannot be opened"
TABLES = ("world", "accounts", "orders", "events", "nonces")


@dataclass(slots=True)
class Dirty:
    """What changed since the last write."""

    accounts: dict[str, AccountState] = field(default_factory=dict)
    orders: dict[int, SimOrder] = field(default_factory=dict)
    events: list[tuple[str, str, Row]] = field(default_factory=list)  # address, kind, row
    nonces: dict[str, list[int]] = field(default_factory=dict)


class Ledger:
    """`simulator.db`. Raises ConfigError when it cannot be opened or is another world's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path}: {UNUSABLE} ({error})") from None
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
            # A damaged file shows itself here, not in the middle of the first answer.
            for table in TABLES:
                self._db.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
            sound = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            self._db.close()
            raise ConfigError(f"{path}: {UNUSABLE} ({error})") from None
        if sound is None or sound[0] != "ok":
            self._db.close()
            raise ConfigError(f"{path}: {UNUSABLE} (damaged: {sound and sound[0]})")

    def state(self) -> dict[str, Any] | None:
        """The world's row as it was last written; None in a new ledger."""
        row = self._db.execute("SELECT value FROM world WHERE key = 'state'").fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def check(self, identity: str) -> None:
        """Refuse a ledger that was written with other prices."""
        row = self._db.execute("SELECT value FROM world WHERE key = 'identity'").fetchone()
        if row is None:
            self._db.execute("INSERT INTO world VALUES ('identity', ?)", (identity,))
        elif row[0] != identity:
            self.close()
            raise ConfigError(
                f"{self._path}: a ledger of another world; expected {identity}, found {row[0]}; "
                "use another folder, or remove the file to start anew"
            )

    def reset(self) -> None:
        """Forget everything but which world it is."""
        self._db.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            where = " WHERE key <> 'identity'" if table == "world" else ""
            self._db.execute(f"DELETE FROM {table}{where}")
        self._db.execute("COMMIT")

    def write(self, state: dict[str, Any], dirty: Dirty) -> None:
        """Write one moment: all of it or nothing. Raises TransientError when it is nothing."""
        try:
            self._write(state, dirty)
        except sqlite3.OperationalError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise TransientError(f"{self._path}: cannot be written ({error})") from None

    def _write(self, state: dict[str, Any], dirty: Dirty) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "INSERT INTO world VALUES ('state', ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (json.dumps(state),),
        )
        if dirty.accounts:
            db.executemany(
                "INSERT OR REPLACE INTO accounts VALUES (?, ?)",
                [(address, account_text(account)) for address, account in dirty.accounts.items()],
            )
        if dirty.orders:
            db.executemany(
                "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)",
                [(o.oid, o.owner, int(o.is_open), order_text(o)) for o in dirty.orders.values()],
            )
        if dirty.events:
            db.executemany(
                "INSERT INTO events (address, kind, body) VALUES (?, ?, ?)",
                [(address, kind, json.dumps(row)) for address, kind, row in dirty.events],
            )
        if dirty.nonces:
            db.executemany(
                "INSERT OR REPLACE INTO nonces VALUES (?, ?)",
                [(signer, json.dumps(used)) for signer, used in dirty.nonces.items()],
            )
        db.execute("COMMIT")

    def accounts(self) -> dict[str, AccountState]:
        """All accounts with their orders and histories, in the order they came."""
        found = {}
        for address, text in self._db.execute("SELECT address, body FROM accounts ORDER BY 1"):
            account = found[address] = account_of(address, text)
            for order in self._orders(address):
                account.remember(order)
            account.fills.extend(self._events(address, "fill", KEPT_FILLS))
            account.fundings.extend(self._events(address, "funding", KEPT_FILLS))
            account.updates.extend(self._events(address, "update", KEPT_FILLS))
        return found

    def nonces(self) -> dict[str, list[int]]:
        """Used nonces by signer."""
        rows = self._db.execute("SELECT signer, body FROM nonces")
        return {signer: json.loads(text) for signer, text in rows}

    def close(self) -> None:
        self._db.close()

    def _orders(self, address: str) -> list[SimOrder]:
        rows = self._db.execute(
            "SELECT body FROM orders WHERE address = ? AND (live = 1 OR oid > ("
            "SELECT coalesce(min(oid), 0) - 1 FROM "
            "(SELECT oid FROM orders WHERE address = ? ORDER BY oid DESC LIMIT ?))) ORDER BY oid",
            (address, address, KEPT_ORDERS),
        )
        return [order_of(row[0]) for row in rows]

    def _events(self, address: str, kind: str, most: int) -> list[Row]:
        rows = self._db.execute(
            "SELECT body FROM events WHERE address = ? AND kind = ? ORDER BY id DESC LIMIT ?",
            (address, kind, most),
        ).fetchall()
        return [json.loads(row[0]) for row in reversed(rows)]

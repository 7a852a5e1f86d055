"""Money rows to the spool file while the database is away, and back when it is there again.

Owns the way of `Changes` into a spool line and the proof that writing works; knows no order.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store.engine import Database, upsert
from bot.adapters.store.replay import Replay
from bot.adapters.store.rows import MoneyRows, encode_money, money_rows
from bot.adapters.store.spool import Spool
from bot.adapters.store.tables import spool_marks
from bot.domain.errors import InvariantBroken, TransientError
from bot.domain.types import Ms
from bot.ports import Changes, Clock

_PROBE = {"spool_id": "probe", "lines": 0}


class SqlMoneySpool:
    """`bot.ports.MoneySpool` on the spool file that traces share."""

    def __init__(self, database: Database, spool: Spool, replay: Replay, clock: Clock) -> None:
        self._database = database
        self._spool = spool
        self._replay = replay
        self._clock = clock

    @property
    def pending(self) -> int:
        return self._spool.pending

    def append(self, changes: Changes) -> None:
        """Take rows at once. Raises TransientError and InvariantBroken as the port says."""
        line = encode_money(rows_of(changes, self._clock.now()))
        try:
            self._spool.append(line)
        except OSError as error:
            raise TransientError(f"{self._spool.path} cannot be written: {error}") from error

    async def sync(self) -> None:
        """Return when every line is on the disk. Raises TransientError."""
        try:
            with self._clock.busy():
                await self._spool.sync()
        except OSError as error:
            raise TransientError(f"{self._spool.path} cannot be written: {error}") from error

    async def catch_up(self) -> None:
        """Replay what waits, else write a row and take it out. Raises TransientError."""
        if self._spool.pending:
            await self._replay.run()
        else:
            await self._database.write(_probe)


def rows_of(changes: Changes, at: Ms) -> MoneyRows:
    """Rows of `changes`. Raises InvariantBroken for a value that no table takes."""
    try:
        return money_rows(changes, at)
    except (ValueError, OverflowError) as error:
        raise InvariantBroken(f"changes that no table takes: {error}") from error


async def _probe(db: AsyncConnection) -> None:
    """An empty transaction proves nothing: SQLite would not touch the file."""
    await db.execute(upsert(db, spool_marks), _PROBE)
    await db.execute(spool_marks.delete().where(spool_marks.c.spool_id == _PROBE["spool_id"]))

"""One daemon an account on a database server: PostgreSQL's advisory lock, held by a connection.

Owns the connection and taking the lock again after the server went away; knows no table.
"""

from __future__ import annotations

import hashlib

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.adapters.store.place import Place
from bot.adapters.store.server import explain_server, one_connection
from bot.domain.errors import AlreadyRunning, ConfigError, TransientError
from bot.ports import Clock

log = structlog.get_logger(__name__)

CHECK_S = 30.0

_TAKE = text("select pg_try_advisory_lock(:key)")
_HELD = text(
    "select exists(select 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())"
)


class AccountLock:
    """The server frees the lock when this connection ends, also when the process is killed."""

    def __init__(self, place: Place, account: str) -> None:
        self._place = place
        self._account = account
        digest = hashlib.sha256(f"keel|{account}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> None:
        """Take the lock at once.

        Raises AlreadyRunning when another session has it, ConfigError and TransientError as
        `explain_server` says.
        """
        self._engine = one_connection(self._place)
        try:
            connection = await self._engine.connect()
            self._connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            taken = (await self._connection.execute(_TAKE, {"key": self._key})).scalar_one()
        except (DBAPIError, OSError) as error:
            await self.release()
            raise explain_server(self._place, error) from error
        if not taken:
            await self.release()
            raise AlreadyRunning(
                f"another Keel serves account {self._account} on database {self._place}; "
                "stop it first, or use another database"
            )

    async def release(self) -> None:
        """Close the connection, and with it the lock; without one it does nothing."""
        connection, engine = self._connection, self._engine
        self._connection = self._engine = None
        if connection is not None:
            await connection.invalidate()  # closed, never pooled: nothing is asked of the server
            await connection.close()
        if engine is not None:
            await engine.dispose()

    async def held(self) -> bool:
        """Whether the connection answers and holds the lock; one that does not is closed.

        Never by a new connection in its place: that one would answer, without the lock.
        """
        if self._connection is None:
            return False
        try:
            if (await self._connection.execute(_HELD)).scalar_one():
                return True
        except (DBAPIError, OSError) as error:
            log.warning("account_lock_lost", account=self._account, error=str(error))
        await self.release()
        return False

    async def step(self) -> None:
        """Take the lock again when its connection has died.

        Raises AlreadyRunning when another daemon has come first: this one must end.
        """
        if await self.held():
            return
        try:
            await self.acquire()
        except (TransientError, ConfigError) as error:
            log.warning("account_lock_away", error=str(error))
            return
        log.warning("account_lock_taken_again", account=self._account)

    async def run(self, clock: Clock) -> None:
        """Service: look after the lock until cancelled."""
        while True:
            await clock.pause(CHECK_S)
            await self.step()

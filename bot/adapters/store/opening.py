"""Opens the store: the schema is compared and brought up to date, then the parts are wired.

Owns the order of start and stop; never imports alembic, which runs as a process of its own.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.adapters.store.account_lock import AccountLock
from bot.adapters.store.archive import TraceArchive
from bot.adapters.store.browse import Browse
from bot.adapters.store.candles import SqlCandleStore
from bot.adapters.store.engine import Database
from bot.adapters.store.gate import Behind
from bot.adapters.store.journal import SqlJournal
from bot.adapters.store.model_rows import SqlAnswerStore, SqlAttemptStore
from bot.adapters.store.place import Place, place_of
from bot.adapters.store.replay import Replay
from bot.adapters.store.schema import REVISION, Standing, inspect, inspect_server
from bot.adapters.store.server import CONNECT_LIMIT_S
from bot.adapters.store.spool import Spool
from bot.adapters.store.traces import SqlTraceStore
from bot.adapters.store.watch import FileWatch
from bot.domain.errors import ConfigError, TransientError
from bot.ports import Changes, Clock
from bot.runtime.calls import Calls

log = structlog.get_logger(__name__)

OWNER = "owner"  # key of bot_state
SETUP_SCRIPT = Path(__file__).resolve().parents[3] / "setup_database.py"


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the store lives and how long it may take; seconds are machine time."""

    database_url: str = field(repr=False)  # may hold a password
    data_dir: Path  # for the spool file and the archive
    reader: bool = False  # beside a daemon: takes over no spool, makes and upgrades nothing
    queue_rows: int = 10_000  # spec 05: over this many, entries halt
    busy_timeout_s: float = 2.0  # for a lock of another program; then the spool takes over
    limit_s: float = 10.0  # of one transaction
    setup_limit_s: float = 60.0  # of setup_database.py
    setup_script: Path = SETUP_SCRIPT


class Store:
    """The stores on one database; `close` must be called, or the process never ends."""

    def __init__(
        self,
        place: Place,
        options: StoreOptions,
        spool: Spool,
        clock: Clock,
    ) -> None:
        gate = asyncio.Lock()
        watch = FileWatch(place.path) if place.is_file else None
        limits = {"busy_timeout_s": options.busy_timeout_s, "limit_s": options.limit_s}
        self.place = place
        self.lock: AccountLock | None = None
        self._spool = spool
        self._money = Database(place, "FULL", clock, gate, watch, **limits)
        self._behind = Database(place, "NORMAL", clock, Behind(gate), watch, **limits)
        self.replay = Replay(spool, self._money, clock)
        self.journal = SqlJournal(self._money, spool, self.replay, clock)
        self.traces = SqlTraceStore(self._behind, spool, self.replay, clock, options.queue_rows)
        self.candles = SqlCandleStore(self._behind, clock)
        self.browse = Browse(self._behind)
        self.attempts = SqlAttemptStore(self._money)
        self.answers = SqlAnswerStore(self._behind, clock)
        self.archive = TraceArchive(self._behind, options.data_dir / "archive", clock)

    @property
    def path(self) -> Path:
        """The database's file. Raises ConfigError when it lies on a server."""
        return self.place.path

    def calls(self) -> dict[str, Calls]:
        """How the database answered: transactions of money, and all the others."""
        return {
            "database_money": self._money.calls.view(),
            "database_traces": self._behind.calls.view(),
        }

    async def claim(self, owner: str, account: str) -> None:
        """Make sure that this database is `owner`'s, and on a server nobody else's now.

        Tables hold one account's books: rows of two would be added up. Raises ConfigError for
        another owner, AlreadyRunning while another daemon serves this account, TransientError.
        """
        if not self.place.is_file:
            lock = AccountLock(self.place, account)
            await lock.acquire()
            self.lock = lock
        known = await self.journal.state_of(OWNER)
        if known is None:
            await self.journal.record(Changes(state={OWNER: owner}))
        elif known != owner:
            raise ConfigError(
                f"database {self.place} holds the books of {known}; this is {owner}: "
                "use another DATABASE_URL or DATA_DIR"
            )

    async def close(self) -> None:
        """Write what waits, or spool it when the database is away, and close every connection."""
        try:
            await self.traces.flush()
        except TransientError as error:
            log.warning("traces_spooled_at_stop", rows=self.traces.backlog(), error=str(error))
            self.traces.spill()
        finally:
            self._spool.close()
            try:
                await self._behind.close()
            finally:
                await self._money.close()
                if self.lock is not None:
                    await self.lock.release()


async def open_store(options: StoreOptions, clock: Clock) -> Store:
    """Bring the schema up to date, take over the spool of an earlier run, wire the stores.

    Raises ConfigError (newer schema, not ours, damaged, not writable, wrong password, no such
    database) and TransientError (locked, disk full, server not reachable); nothing stays open
    then.
    """
    place = place_of(options.database_url)
    spool = Spool(options.data_dir)
    with clock.busy():
        await _ensure_schema(place, options)
        if not options.reader:
            await asyncio.to_thread(options.data_dir.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(spool.open)
        store = Store(place, options, spool, clock)
        try:
            if spool.pending:
                await store.replay.run()
        except BaseException:
            await store.close()
            raise
    return store


async def _standing(place: Place, options: StoreOptions) -> Standing:
    if place.is_file:
        return await asyncio.to_thread(inspect, place.path, options.busy_timeout_s)
    return await inspect_server(place, CONNECT_LIMIT_S)


async def _ensure_schema(place: Place, options: StoreOptions) -> None:
    standing = await _standing(place, options)
    if standing is Standing.CURRENT:
        return
    if options.reader:
        raise ConfigError(
            f"database {place}: the schema is {standing.value}, this code reads {REVISION}; "
            "run python main.py db upgrade"
        )
    log.info("database_setup_started", place=str(place), schema=standing.value, wanted=REVISION)
    await _run_setup(place, options)
    standing = await _standing(place, options)
    if standing is not Standing.CURRENT:
        raise ConfigError(
            f"database {place}: setup_database.py ended well but the schema is {standing.value}; "
            f"expected {REVISION}: run it by hand and read what it says"
        )


async def _run_setup(place: Place, options: StoreOptions) -> None:
    """Create or upgrade in a process of its own: Alembic costs 11 MB that would never go.

    The URL goes in by standard input: arguments can be read by every user of the machine.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(options.setup_script),
        "--database-url",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(options.setup_limit_s):
            output, _ = await process.communicate(place.whole.encode())
    except TimeoutError:
        raise TransientError(
            f"setup_database.py did not end within {options.setup_limit_s:g} s for {place}"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = output.decode(errors="replace").strip().splitlines()
        raise ConfigError(f"database {place} could not be set up", *words[-2:])

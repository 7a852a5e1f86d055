"""Opens the store: the schema is compared and brought up to date, then the parts are wired.

Owns the order of start and stop; never imports alembic, which runs as a process of its own.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog

from bot.adapters.store.candles import SqlCandleStore
from bot.adapters.store.engine import Database
from bot.adapters.store.journal import SqlJournal
from bot.adapters.store.replay import Replay
from bot.adapters.store.schema import REVISION, Standing, async_url, database_path, inspect
from bot.adapters.store.spool import Spool
from bot.adapters.store.traces import SqlTraceStore
from bot.domain.errors import ConfigError, TransientError
from bot.ports import Clock

log = structlog.get_logger(__name__)

_SETUP_SCRIPT = Path(__file__).resolve().parents[3] / "setup_database.py"


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the store lives and how long it may take; seconds are machine time."""

    database_url: str
    data_dir: Path  # for the spool file
    queue_rows: int = 10_000  # spec 05: over this many, entries halt
    busy_timeout_s: float = 5.0
    limit_s: float = 10.0  # of one transaction
    setup_limit_s: float = 60.0  # of setup_database.py
    setup_script: Path = _SETUP_SCRIPT


class Store:
    """The three stores on one file; `close` must be called, or the process never ends."""

    def __init__(self, path: Path, options: StoreOptions, spool: Spool, clock: Clock) -> None:
        gate = asyncio.Lock()
        limits = {"busy_timeout_s": options.busy_timeout_s, "limit_s": options.limit_s}
        self.path = path
        self._spool = spool
        self._money = Database(path, "FULL", clock, gate, **limits)
        self._behind = Database(path, "NORMAL", clock, gate, **limits)
        self.replay = Replay(spool, self._money, clock)
        self.journal = SqlJournal(self._money, spool, self.replay, clock)
        self.traces = SqlTraceStore(self._behind, spool, self.replay, clock, options.queue_rows)
        self.candles = SqlCandleStore(self._behind, clock)

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


async def open_store(options: StoreOptions, clock: Clock) -> Store:
    """Bring the schema up to date, take over the spool of an earlier run, wire the stores.

    Raises ConfigError (newer schema, not ours, damaged, not writable) and TransientError
    (locked, disk full); nothing stays open then.
    """
    path = database_path(options.database_url)
    spool = Spool(options.data_dir)
    with clock.busy():
        await _ensure_schema(path, options)
        await asyncio.to_thread(options.data_dir.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(spool.open)
        store = Store(path, options, spool, clock)
        try:
            if spool.pending:
                await store.replay.run()
        except BaseException:
            await store.close()
            raise
    return store


async def _ensure_schema(path: Path, options: StoreOptions) -> None:
    standing = await asyncio.to_thread(inspect, path, options.busy_timeout_s)
    if standing is Standing.CURRENT:
        return
    log.info("database_setup_started", path=str(path), schema=standing.value, wanted=REVISION)
    await _run_setup(path, options)
    standing = await asyncio.to_thread(inspect, path, options.busy_timeout_s)
    if standing is not Standing.CURRENT:
        raise ConfigError(
            f"database {path}: setup_database.py ended well but the schema is {standing.value}; "
            f"expected {REVISION}: run it by hand and read what it says"
        )


async def _run_setup(path: Path, options: StoreOptions) -> None:
    """Create or upgrade in a process of its own: Alembic costs 11 MB that would never go."""
    url = async_url(path).render_as_string()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(options.setup_script),
        "--database-url",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(options.setup_limit_s):
            output, _ = await process.communicate()
    except TimeoutError:
        raise TransientError(
            f"setup_database.py did not end within {options.setup_limit_s:g} s for {path}"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = output.decode(errors="replace").strip().splitlines()
        raise ConfigError(f"database {path} could not be set up", *words[-2:])

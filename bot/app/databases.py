"""The databases that the settings name, and what an operator may do with them by hand.

Owns finding them and the words of each answer; how is the store's.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.adapters.store import (
    REVISION,
    SETUP_SCRIPT,
    Backups,
    Place,
    Store,
    StoreOptions,
    check_file,
    open_store,
    place_of,
    place_of_file,
)
from bot.app.keeping import BACKUP_FOLDER, DAY_MS, HOUR_MS
from bot.app.world import world_name
from bot.domain.errors import ConfigError, TransientError
from bot.domain.types import Ms
from bot.runtime.clock import SystemClock
from config.settings import Settings

FILE_NAME = "keel.db"
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class WorldDatabase:
    """One database, and the folder of the world that it belongs to."""

    place: Place
    folder: Path


def databases_of(settings: Settings) -> tuple[WorldDatabase, ...]:
    """DATABASE_URL, else the file of every world below DATA_DIR.

    Raises ConfigError when there is none.
    """
    data = settings.general.data_dir
    if settings.general.database_url is not None:
        place = place_of(settings.general.database_url.get_secret_value())
        return (WorldDatabase(place, data / world_name(settings)),)
    found = sorted(data.glob(f"*/{FILE_NAME}"))
    if not found:
        raise ConfigError(
            f"there is no database below {data.absolute()}: python main.py makes one, "
            "or name another DATA_DIR or DATABASE_URL"
        )
    return tuple(WorldDatabase(place_of_file(path), path.parent) for path in found)


def back_up(settings: Settings) -> Iterator[str]:
    """Make a backup of each database now, also while a daemon works; one line each.

    Raises TransientError and ConfigError as `Backups.make` says.
    """
    for one in databases_of(settings):
        made = asyncio.run(backups_of(one, settings.general.backups_kept).make())
        size = made.path.stat().st_size / _MB
        yield f"{one.place}: backed up to {made.path} ({size:.1f} MB)"


def check(settings: Settings) -> Iterator[str]:
    """Look at each database without changing it. Raises what is wrong as ConfigError."""
    for one in databases_of(settings):
        rows = asyncio.run(_count(one))
        yield f"{one.place}: schema {REVISION}, {rows}"
        if one.place.is_file:
            check_file(one.place.path)
            size = one.place.path.stat().st_size / _MB
            yield f"  read through without a fault, {size:.1f} MB"
        yield f"  {_backup_age(one, settings.general.backups_kept)}"
        spool = one.folder / "spool.jsonl"
        if spool.exists():
            yield f"  {spool} holds rows of an outage; the next start of the daemon writes them"


def upgrade(settings: Settings) -> int:
    """Bring each database to this code's schema, step by step on the terminal; the exit code."""
    for one in databases_of(settings):
        done = subprocess.run(
            [sys.executable, str(SETUP_SCRIPT), "--database-url", "-"],
            input=one.place.whole.encode(),
            check=False,
        )
        if done.returncode:
            return done.returncode
    return 0


def archive(settings: Settings) -> Iterator[str]:
    """Move old traces to files now; one line each. Raises TransientError, AlreadyRunning."""
    days = settings.general.traces_kept_days
    for one in databases_of(settings):
        moved = asyncio.run(_archive(one, days))
        yield f"{one.place}: {moved} traces older than {days} days went to {one.folder / 'archive'}"


def backups_of(one: WorldDatabase, kept: int) -> Backups:
    return Backups(one.place, one.folder / BACKUP_FOLDER, SystemClock(), kept)


async def _open(one: WorldDatabase) -> Store:
    """Beside a daemon: nothing of what it owns is taken over."""
    return await open_store(StoreOptions(one.place.whole, one.folder, reader=True), SystemClock())


async def _count(one: WorldDatabase) -> str:
    store = await _open(one)
    try:
        recovered = await store.journal.recover()
        counts = await store.traces.funnel(Ms(0))
        return (
            f"{sum(counts.values())} traces, {recovered.closed_trades} closed trades, "
            f"{len(recovered.positions)} open positions"
        )
    except TransientError as error:
        raise ConfigError(str(error)) from error
    finally:
        await store.close()


async def _archive(one: WorldDatabase, days: int) -> int:
    """The newest row says what time it is in this world's market."""
    store = await _open(one)
    try:
        newest = await store.archive.newest()
        return await store.archive.move_older(Ms(newest - days * DAY_MS))
    finally:
        await store.close()


def _backup_age(one: WorldDatabase, kept: int) -> str:
    newest = backups_of(one, kept).newest()
    if newest is None:
        return "no backup yet: python main.py db backup makes one"
    hours = (SystemClock().wall() - newest.made_at) / HOUR_MS
    return f"newest backup {newest.path.name}, {hours:.1f} h old"

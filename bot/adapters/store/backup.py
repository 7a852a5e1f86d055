"""A copy of the whole database in one file, made while the daemon works; the newest are kept.

Owns making, checking, naming and pruning; knows neither when it is due nor who is told.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bot.adapters.store.place import Place
from bot.adapters.store.schema import explain
from bot.domain.errors import ConfigError, TransientError
from bot.ports import Clock

log = structlog.get_logger(__name__)

DUMP_LIMIT_S = 600.0
_PAGES_A_STEP = 256  # 1 MB; between two steps other threads get the interpreter
_BUSY_S = 5.0
_NAME = re.compile(r"keel-(\d{8}T\d{6})\.(db|dump)")


@dataclass(frozen=True, slots=True)
class Backup:
    """One finished backup; `made_at` in wall ms."""

    path: Path
    made_at: int


class Backups:
    """Backups of one database in one folder, `kept` of them."""

    def __init__(self, place: Place, folder: Path, clock: Clock, kept: int) -> None:
        self._place = place
        self._folder = folder.absolute()
        self._clock = clock
        self._kept = kept

    @property
    def folder(self) -> Path:
        """Where they lie; it need not be there yet."""
        return self._folder

    def newest(self) -> Backup | None:
        """The last finished one; blocking, one directory. None when there is none."""
        found = self._finished()
        return found[-1] if found else None

    async def make(self) -> Backup:
        """Copy the database now, check the copy, forget the oldest.

        Raises TransientError (disk full, locked, server away) and ConfigError (no pg_dump, the
        database is damaged); nothing half made stays behind.
        """
        at = self._clock.wall()
        stamp = f"{datetime.fromtimestamp(at / 1000, UTC):%Y%m%dT%H%M%S}"
        ending = "db" if self._place.is_file else "dump"
        path = self._folder / f"keel-{stamp}.{ending}"
        part = path.with_name(f".{path.name}.part")
        try:
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
            await self._copied(part)
            await asyncio.to_thread(_publish, part, path)
            await asyncio.to_thread(self._prune)
        except OSError as error:
            raise TransientError(f"backup {path}: {error.strerror or error}") from error
        log.info("backup_made", path=str(path))
        return Backup(path, at // 1000 * 1000)

    async def _copied(self, part: Path) -> None:
        """Write `part` whole, or leave none."""
        try:
            if self._place.is_file:
                await asyncio.to_thread(_copy, self._place.path, part)
            else:
                await _dump(self._place, part)
        except BaseException:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise

    def _prune(self) -> None:
        for old in self._finished()[: -self._kept]:
            old.path.unlink(missing_ok=True)

    def _finished(self) -> list[Backup]:
        """Oldest first."""
        found = []
        for path in self._folder.glob("keel-*"):
            named = _NAME.fullmatch(path.name)
            if named is not None:
                at = datetime.strptime(named[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
                found.append(Backup(path, int(at.timestamp() * 1000)))
        return sorted(found, key=lambda backup: (backup.made_at, backup.path.name))


def check_file(path: Path) -> None:
    """Read a SQLite file through; blocking. Raises ConfigError for a damaged one."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, _BUSY_S, uri=True)) as db:
            ((said,),) = db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise explain(path, error) from error
    if said != "ok":
        raise ConfigError(f"database {path} is damaged ({said}); restore a backup over it")


def _copy(source: Path, target: Path) -> None:
    """SQLite's online backup of one snapshot: a read transaction is held, so that a writer
    beside us does not make it begin again with every commit.
    """
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", _BUSY_S, uri=True)) as db,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            db.backup(copy, pages=_PAGES_A_STEP)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
    except sqlite3.Error as error:
        raise explain(source, error) from error
    check_file(target)


def _publish(part: Path, path: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


async def _dump(place: Place, target: Path) -> None:
    """pg_dump in its own format; pg_restore brings it back."""
    program = shutil.which("pg_dump")
    if program is None:
        raise ConfigError(
            "pg_dump is not installed: no backup of the PostgreSQL database is made here; "
            "install postgresql-client, or back it up on the server"
        )
    process = await asyncio.create_subprocess_exec(
        program,
        "--format=custom",
        "--no-password",
        f"--file={target}",
        env=connection_environment(place, program),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DUMP_LIMIT_S):
            _, said = await process.communicate()
    except TimeoutError:
        raise TransientError(f"pg_dump of {place} did not end within {DUMP_LIMIT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = said.decode(errors="replace").strip().splitlines()
        raise TransientError(f"pg_dump of {place} failed: {words[-1] if words else 'no word'}")


def connection_environment(place: Place, program: str) -> Mapping[str, str]:
    """What PostgreSQL's programs read: arguments would show the password to everybody.

    `program` with what it calls itself (Debian's is a script) is found in the usual folders.
    """
    url = place.url
    said = {
        "PGHOST": url.host,
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": url.username,
        "PGPASSWORD": place.password,
        "PGDATABASE": url.database,
        "PGCONNECT_TIMEOUT": "10",
    }
    path = os.pathsep.join((str(Path(program).parent), os.defpath))
    return {"PATH": path, **{name: value for name, value in said.items() if value}}

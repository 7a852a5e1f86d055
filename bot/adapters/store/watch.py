"""Notices that the database's file was taken away or replaced while connections are open.

Owns the comparison of the name with what was opened; knows no row. SQLite itself goes on
writing, without a word, into a file that has no name any more.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.errors import TransientError

log = structlog.get_logger(__name__)

_Identity = tuple[int, int]


class FileWatch:
    """Asked before each transaction: three `stat`s, some microseconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: _Identity | None = None
        self._beside = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
        self._opened: dict[Path, _Identity] = {}
        self.engines: list[AsyncEngine] = []

    async def insist(self) -> None:
        """Make sure that the name is that of the file we opened.

        Raises TransientError while there is no such file, or no right to look. Another file
        under the name (a restored backup) is opened anew, by all connections at once.
        """
        now = self._identity()
        if self._known is not None and now != self._known:
            log.error("database_replaced", path=str(self._path))
            for engine in self.engines:
                await engine.dispose()
            self._forget_journal()
        self._known = now
        self._opened = {path: found for path in self._beside if (found := _stat(path))}

    def _forget_journal(self) -> None:
        """Remove the old file's write-ahead log: SQLite would play it into the new file.

        SQLite leaves it there when the file it belongs to has moved. One that came with the
        new file is another one, and stays.
        """
        for path, opened in self._opened.items():
            if _stat(path) == opened:
                path.unlink(missing_ok=True)

    def _identity(self) -> _Identity:
        try:
            found = self._path.stat()
        except OSError as error:
            raise TransientError(
                f"database {self._path} is gone ({error.strerror}); put it back where it was"
            ) from error
        return found.st_dev, found.st_ino


def _stat(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

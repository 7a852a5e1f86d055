"""The file that takes what the database cannot: one JSON line a row set, in order of arrival.

Owns the file, its identity and its bounds; knows neither the tables nor when to replay.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from bot.domain import canonical
from bot.domain.errors import ConfigError

log = structlog.get_logger(__name__)

FILE_NAME = "spool.jsonl"
REJECTED_NAME = "spool.rejected.jsonl"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some whole lines, and the offset behind them."""

    lines: tuple[bytes, ...]
    end: int


class Spool:
    """Append-only; every write happens on the event loop, so that lines never interleave.

    `appended` is set with each line: whoever replays waits for it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.rejected_path = folder / REJECTED_NAME
        self.appended = asyncio.Event()
        self.id = ""
        self._fd: int | None = None
        self._size = 0
        self._offset = 0  # behind the last line that is known to be in the database
        self._lines = 0
        self._done = 0

    @property
    def pending(self) -> int:
        """Lines that are not known to be in the database."""
        return self._lines - self._done

    @property
    def done(self) -> int:
        """Lines that are."""
        return self._done

    def open(self) -> None:
        """Take over what an earlier run left; blocking, for start-up.

        A torn last line (the process died while writing it) is cut off. Raises ConfigError
        when the file is not a spool.
        """
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            log.warning("spool_torn_line_cut", path=str(self.path), bytes=len(data) - len(whole))
            os.truncate(self.path, len(whole))
        if not whole:
            self.path.unlink()
            return
        first, _, rest = whole.partition(b"\n")
        self.id = self._identity(first)
        self._size = len(whole)
        self._offset = len(first) + 1
        self._lines = rest.count(b"\n")
        if self._lines:
            self.appended.set()

    def append(self, line: bytes) -> None:
        """Write one line; it survives the death of the process, and after `sync` of the machine.

        Raises OSError (the disk is full, the folder is gone); nothing is then written.
        """
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        data = line + b"\n"
        fresh = self._size == 0
        if fresh:
            self.id = uuid.uuid4().hex
            data = canonical.dumps({"kind": "spool", "id": self.id}) + b"\n" + data
        self._write(self._fd, data)
        if fresh:
            self._offset = len(data) - len(line) - 1
        self._size += len(data)
        self._lines += 1
        self.appended.set()

    async def sync(self) -> None:
        """Return when every line written so far is on the disk. Raises OSError."""
        if self._fd is not None:
            await asyncio.to_thread(_sync, os.dup(self._fd), self.path.parent)

    def read(self, limit: int) -> Chunk:
        """The next lines that are not replayed; blocking, may run in a thread."""
        end = self._size
        lines: list[bytes] = []
        offset = self._offset
        with self.path.open("rb") as file:
            file.seek(offset)
            while len(lines) < limit and offset < end:
                line = file.readline()
                offset += len(line)
                lines.append(line.rstrip(b"\n"))
        return Chunk(tuple(lines), offset)

    def advance(self, chunk: Chunk) -> None:
        """Count the lines of `chunk` as being in the database."""
        self._done += len(chunk.lines)
        self._offset = chunk.end

    def drop(self) -> None:
        """Remove the file when all of it is in the database."""
        if self.pending or not self._size:
            return
        self.close()
        self.path.unlink(missing_ok=True)
        self._size = self._offset = self._lines = self._done = 0
        self.id = ""

    def reject(self, lines: Sequence[bytes], why: str) -> None:
        """Keep lines that can never be replayed beside the spool, for a person to look at."""
        log.error("spool_lines_rejected", lines=len(lines), why=why, kept=str(self.rejected_path))
        try:
            with self.rejected_path.open("ab") as file:
                file.writelines(line + b"\n" for line in lines)
        except OSError as error:
            log.error("spool_rejected_not_kept", error=str(error))

    def close(self) -> None:
        """Close the file; it stays where it is."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, fd: int, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError:
            os.ftruncate(fd, self._size)  # no half line stays behind
            raise

    def _identity(self, line: bytes) -> str:
        try:
            header: Any = canonical.loads(line)
            if header["kind"] == "spool":
                return str(header["id"])
        except (ValueError, KeyError, TypeError) as error:
            log.error("spool_header_unreadable", path=str(self.path), error=str(error))
        raise ConfigError(
            f"{self.path} does not begin as a spool of Keel does; move it away (it may hold "
            "rows of an outage: keep it) and start again"
        )


def _sync(fd: int, folder: Path) -> None:
    """Bring a file and its name to the disk; closes `fd`."""
    try:
        os.fsync(fd)
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)
    finally:
        os.close(fd)

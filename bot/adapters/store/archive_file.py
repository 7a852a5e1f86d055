"""The archive's files: one gzip member a batch, JSON lines inside, nothing torn left behind.

Owns their layout and the check after writing; blocking, for a thread. Knows no database.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from bot.adapters.store.rows import ReadRow
from bot.domain import canonical

PENDING = "appending"  # name and size of the file that is being appended to
_TRACE_ID = re.compile(r".+-(\d{8}T\d{4})-\d+")


def append(folder: Path, rows: Sequence[ReadRow]) -> None:
    """Write trace rows, oldest first, to the files of their months, and read them back.

    Raises OSError when a file cannot be written or does not give back what was written, or a row
    is damaged; the files are then as they were before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for month, group in groupby(rows, _month):
        lines = b"".join(_line(row) + b"\n" for row in group)
        _append_whole(folder, folder / f"traces-{month}.jsonl.gz", lines)


def recover_folder(folder: Path) -> None:
    """Cut off what a process left half appended when it was killed. Raises OSError."""
    pending = folder / PENDING
    if not pending.exists():
        return
    name, _, size = pending.read_text().partition(" ")
    if name and size.isdecimal() and (folder / name).exists():
        os.truncate(folder / name, int(size))
    pending.unlink()


def find(folder: Path, trace_id: str) -> tuple[str, bytes] | None:
    """(file name, line) of an archived trace, the last one written; None when it is in none.

    A trace starts at the close of its bar or soon after: its month's file or the next one's.
    Raises OSError, also for a file that is damaged.
    """
    close = _bar_close(trace_id)
    if close is None:
        return None
    wanted = b'"id":' + canonical.dumps(trace_id)
    months = {f"{at:%Y%m}" for at in (close, close + timedelta(days=1))}
    files = [folder / f"traces-{month}.jsonl.gz" for month in sorted(months)]
    found = None
    for path in (file for file in files if file.exists()):
        for line in (line for line in _lines(path) if wanted in line):
            found = path.name, line
    return found


def _bar_close(trace_id: str) -> datetime | None:
    """The moment in an id; None when it is none of ours (it may be anything somebody typed)."""
    known = _TRACE_ID.fullmatch(trace_id)
    try:
        return datetime.strptime(known[1], "%Y%m%dT%H%M").replace(tzinfo=UTC) if known else None
    except ValueError:
        return None


def _lines(path: Path) -> Iterator[bytes]:
    """Those of every whole member: the rows of one that is being appended are in the table."""
    with gzip.open(path) as lines:
        try:
            for line in lines:
                yield line.rstrip(b"\n")
        except EOFError:
            return
        except zlib.error as error:
            raise OSError(f"{path.name}: {error}") from error


def _month(row: ReadRow) -> str:
    return f"{datetime.fromtimestamp(row['started_at'] / 1000, UTC):%Y%m}"


def _line(row: ReadRow) -> bytes:
    try:
        body: Any = canonical.loads(zlib.decompress(row["body"]))
    except (zlib.error, TypeError, ValueError, RecursionError) as error:
        raise OSError(f"trace {row['id']} is damaged in the database: {error}") from None
    return canonical.dumps({**row, "body": body})


def _append_whole(folder: Path, path: Path, lines: bytes) -> None:
    """One member, written and read back; the file keeps its size when anything goes wrong."""
    before = path.stat().st_size if path.exists() else 0
    pending = folder / PENDING
    _write_synced(pending, f"{path.name} {before}".encode())
    try:
        with path.open("ab") as file:
            file.write(gzip.compress(lines, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        with path.open("rb") as file:
            file.seek(before)
            if gzip.decompress(file.read()) != lines:
                raise OSError(f"{path} does not give back what was written to it")
    except (OSError, EOFError, zlib.error) as error:
        if path.exists():
            os.truncate(path, before)
        pending.unlink()
        raise OSError(f"{path.name}: {error}") from error
    pending.unlink()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

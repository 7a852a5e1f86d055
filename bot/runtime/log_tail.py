"""Owns reading the end of the log file: newest lines first, by level, masked once more.

Refuses to know what an event means.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.runtime.logs import FILE_NAME
from bot.runtime.mask import redact

READ_BYTES = 1_000_000  # of each file, from its end
FIGURES_SHOWN = 600  # characters
_HEAD = ("timestamp", "level", "event", "logger")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; `id` tells it from every other one of the same tail."""

    id: str
    timestamp: str
    level: str
    event: str
    figures: str


def tail(folder: Path, limit: int, level: str = "debug") -> list[LogLine]:
    """At most `limit` lines of `level` or worse, newest first; reads at most 2 MB. For a thread."""
    least = logging.getLevelNamesMapping()[level.upper()]
    found: list[LogLine] = []
    for name in (FILE_NAME, f"{FILE_NAME}.1"):  # right after the file was turned the old one helps
        for line in _newest_first(folder / name):
            if _rank(line.level) >= least:
                found.append(line)
            if len(found) == limit:
                return found
    return found


def _newest_first(path: Path) -> Iterator[LogLine]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - READ_BYTES)
            file.seek(start)
            text = file.read(size - start)
            made = path.stat().st_ino
    except OSError:
        return
    end = size
    for raw in reversed(text.splitlines(keepends=True)):
        end -= len(raw)
        whole = raw.endswith(b"\n") and (end > 0 or start == 0)
        if whole and (line := _line(f"{made}.{end}", raw)) is not None:
            yield line


def _line(ident: str, raw: bytes) -> LogLine | None:
    """A line that is being written, or was cut, is none."""
    try:
        entry = json.loads(redact(raw.decode("utf-8", "replace")))
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    figures = " ".join(
        f"{name}={_short(value)}" for name, value in entry.items() if name not in _HEAD
    )
    at, level, event = (str(entry.get(name, "")) for name in _HEAD[:3])
    return LogLine(ident, at, level, event, figures[:FIGURES_SHOWN])


def _short(value: object) -> str:
    """Of a traceback the last line says what happened."""
    if isinstance(value, str):
        return value.strip().rsplit("\n", 1)[-1]
    return json.dumps(value, ensure_ascii=False)


def _rank(level: str) -> int:
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO)

"""Owns what is written where: the rotating file of JSON lines, the console, last words.

Refuses to know what the events mean.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog

from bot.domain.errors import ConfigError
from bot.runtime.mask import redact

FILE_NAME = "keel.log"
MAX_BYTES = 10_000_000  # spec 40 "Logs": 10 MB, 3 backups
BACKUPS = 3
QUIET = {
    "aiohttp": "WARNING",
    "aiosqlite": "WARNING",
    "alembic": "WARNING",
    "asyncio": "WARNING",
    "sqlalchemy": "WARNING",
    "urllib3": "WARNING",
    "uvicorn": "WARNING",
}


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`folder`: where keel.log lies; None: no file. Levels are names as in `logging`.

    `console_level` None means INFO on a terminal and WARNING as a service.
    """

    folder: Path | None
    console_level: str | None = None
    file_level: str = "INFO"
    library_levels: Mapping[str, str] = field(default_factory=dict)
    max_bytes: int = MAX_BYTES
    backups: int = BACKUPS
    stream: TextIO | None = None  # None: standard error


# --- a crash ---------------------------------------------------------------------------


def last_words(error: BaseException, stream: TextIO | None = None) -> None:
    """Tell of a crash where logs go, or on `stream` (stderr) before there are any; masked."""
    if structlog.is_configured():
        structlog.get_logger("keel").critical("crashed", exc_info=error, remedy="report this")
        logging.shutdown()
        return
    told = "".join(traceback.format_exception(error))
    (stream or sys.stderr).write(redact(told))


# --- handlers -------------------------------------------------------------------------


class _Masking(structlog.stdlib.ProcessorFormatter):
    """Masks the finished line, so that nothing (key, nesting, traceback) goes around it."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _ErrorCount(logging.Handler):
    """Counts records of level ERROR and above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


class _LogFile(RotatingFileHandler):
    """Says once that it cannot write; the inherited report would print arguments unmasked."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            reason = sys.exc_info()[1]
            sys.stderr.write(f"log file {self.baseFilename} cannot be written: {reason}\n")


_errors = _ErrorCount()


def error_count() -> int:
    """ERROR records since the start of the process."""
    return _errors.count


def configure(options: LogOptions) -> None:
    """Set up structlog and logging; a second call replaces the first.

    Raises ConfigError for an unknown level or a file that cannot be opened.
    """
    stream = options.stream or sys.stderr
    terminal = stream.isatty()
    console_level = _level(options.console_level or ("INFO" if terminal else "WARNING"))
    file_level = _level(options.file_level)
    handlers: list[logging.Handler] = [_errors, _console(stream, terminal, console_level)]
    if options.folder is not None:
        handlers.append(_file(options.folder, file_level, options))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if old is not _errors:
            old.close()
    for handler in handlers:
        root.addHandler(handler)
    lowest = min(console_level, file_level)
    root.setLevel(lowest)
    for library, name in {**QUIET, **options.library_levels}.items():
        logging.getLogger(library).setLevel(_level(name))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _shared() -> list[structlog.typing.Processor]:
    """Steps for our own events and for the records of libraries alike."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _file(folder: Path, level: int, options: LogOptions) -> logging.Handler:
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(
            path, maxBytes=options.max_bytes, backupCount=options.backups, encoding="utf-8"
        )
    except OSError as error:
        raise ConfigError(
            f"log file {path}: {error.strerror}; make the folder writable or set DATA_DIR"
        ) from error
    handler.setLevel(level)
    handler.setFormatter(
        _Masking(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    return handler


def _console(stream: TextIO, terminal: bool, level: int) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    renderer = structlog.dev.ConsoleRenderer(
        colors=terminal,
        pad_event_to=0,
        pad_level=False,
        # Not the fancy ones: they print local variables and break lines inside a secret.
        exception_formatter=structlog.dev.plain_traceback,
    )
    handler.setFormatter(
        _Masking(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _short,
                renderer,
            ],
        )
    )
    return handler


def _short(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The console needs the time of day, and no module names."""
    event["timestamp"] = str(event.get("timestamp", ""))[11:19]
    event.pop("logger", None)
    return event


def _level(name: str) -> int:
    number = logging.getLevelNamesMapping().get(name.upper())
    if number is None:
        raise ConfigError(f"log level {name!r}: expected DEBUG, INFO, WARNING or ERROR")
    return number

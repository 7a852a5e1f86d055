"""The file, the console and the mask."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest
import structlog

from bot.domain.errors import ConfigError
from bot.runtime import logs, mask
from bot.runtime.logs import LogOptions, configure, error_count
from bot.runtime.mask import register_secret

CANARY = "canary-7f3a9c-of-a-secret"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging is global: put it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(mask, "_secrets", set())
    monkeypatch.setattr(mask, "_pattern", None)
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "keel.log").read_text().splitlines()]


def test_the_file_holds_json_with_the_trace_id(tmp_path: Path) -> None:
    """Each line is one object; what is bound to the context is on it, also for libraries."""
    configure(LogOptions(tmp_path, stream=io.StringIO()))
    log = structlog.get_logger("bot.desk")
    with structlog.contextvars.bound_contextvars(trace_id="BTC-20260101T0000-1"):
        log.info("order_sent", price="100.5")
        logging.getLogger("some.library").warning("from %s", "outside")
    first, second = lines(tmp_path)
    assert first["event"] == "order_sent"
    assert first["price"] == "100.5"
    assert first["level"] == "info"
    assert first["logger"] == "bot.desk"
    assert str(first["timestamp"]).endswith("Z")
    assert second["event"] == "from outside"
    assert first["trace_id"] == second["trace_id"] == "BTC-20260101T0000-1"


def test_the_file_rotates_at_10_mb_with_3_backups(tmp_path: Path) -> None:
    """Spec 40 "Logs"."""
    configure(LogOptions(tmp_path, stream=io.StringIO()))
    (handler,) = (h for h in logging.getLogger().handlers if isinstance(h, RotatingFileHandler))
    assert (handler.maxBytes, handler.backupCount) == (10_000_000, 3)


def test_old_files_are_dropped(tmp_path: Path) -> None:
    """However much is written, there is a file and its backups."""
    configure(LogOptions(tmp_path, stream=io.StringIO(), max_bytes=500, backups=2))
    for number in range(100):
        structlog.get_logger("x").info("line", number=number)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "keel.log",
        "keel.log.1",
        "keel.log.2",
    ]


@pytest.mark.parametrize(
    ("stream", "asked", "expected"),
    [
        (Terminal(), None, ["info", "warning"]),
        (io.StringIO(), None, ["warning"]),
        (io.StringIO(), "DEBUG", ["debug", "info", "warning"]),
        (Terminal(), "ERROR", []),
    ],
    ids=["terminal", "service", "asked for more", "asked for less"],
)
def test_the_console_level_fits_the_place(
    stream: io.StringIO, asked: str | None, expected: list[str]
) -> None:
    """INFO on a terminal, WARNING as a service, LOG_CONSOLE_LEVEL over both."""
    stream.truncate(0)
    configure(LogOptions(None, console_level=asked, stream=stream))
    log = structlog.get_logger("x")
    log.debug("at_debug")
    log.info("at_info")
    log.warning("at_warning")
    assert [name for name in ("debug", "info", "warning") if f"at_{name}" in stream.getvalue()] == (
        expected
    )


def test_the_console_is_coloured_on_a_terminal_only() -> None:
    """A journal gets no escape codes."""
    for stream in (Terminal(), io.StringIO()):
        configure(LogOptions(None, stream=stream))
        structlog.get_logger("x").warning("look")
        assert ("\x1b[" in stream.getvalue()) is stream.isatty()


def test_noisy_libraries_are_quiet(tmp_path: Path) -> None:
    """One level a library, ours to set."""
    configure(LogOptions(tmp_path, stream=io.StringIO(), library_levels={"aiohttp": "ERROR"}))
    for name in ("uvicorn.error", "sqlalchemy.engine", "asyncio"):
        logging.getLogger(name).info("noise")
    logging.getLogger("aiohttp.client").warning("noise")
    logging.getLogger("uvicorn").warning("kept")
    assert [line["event"] for line in lines(tmp_path)] == ["kept"]


def _raise(secret: str) -> None:
    raise ValueError(f"bad answer for {secret}")


@pytest.mark.parametrize(
    "secret",
    [
        CANARY,
        'quo"ted\\and\nbroken-secret',
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk\n-----END",
        "käse-mit-löchern",
    ],
    ids=["plain", "escaped", "pem", "not ascii"],
)
def test_no_path_of_the_log_shows_a_secret(secret: str, tmp_path: Path) -> None:
    """Value, key, nesting, message, arguments, traceback, escapes: all are masked."""
    console = io.StringIO()
    register_secret(secret)
    configure(LogOptions(tmp_path, stream=console))
    log = structlog.get_logger("x")
    spoken = f"event {secret}"
    log.error(spoken, plain=secret, nested={"deep": [secret]}, **{secret: 1})
    log.error("repr", of=ValueError(secret), raw=secret.encode())
    logging.getLogger("library").error("argument %s and %r", secret, secret)
    try:
        _raise(secret)
    except ValueError as error:
        log.exception("failed")
        logging.getLogger("library").exception("failed too")
        log.warning("given", exc_info=error)
    parts = [part for part in secret.splitlines() if "-----" not in part]
    for text in (console.getvalue(), (tmp_path / "keel.log").read_text()):
        assert "***" in text
        assert "bad answer for" in text
        for part in (secret, *parts):
            assert part not in text
            assert json.dumps(part)[1:-1] not in text
            assert json.dumps(repr(part)[1:-1])[1:-1] not in text
    lines(tmp_path)  # masking leaves valid JSON


def test_errors_are_counted(tmp_path: Path) -> None:
    """ERROR and above, our own and the libraries'."""
    configure(LogOptions(tmp_path, stream=io.StringIO()))
    before = error_count()
    structlog.get_logger("x").error("one")
    logging.getLogger("library").critical("two")
    structlog.get_logger("x").warning("not counted")
    assert error_count() == before + 2


def test_a_wrong_level_is_named() -> None:
    """ConfigError: one line with the value and what is allowed."""
    with pytest.raises(ConfigError, match="'LOUD': expected DEBUG"):
        configure(LogOptions(None, console_level="LOUD"))


def test_a_log_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    """The operator learns the path and the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"keel\.log"):
        configure(LogOptions(tmp_path / "file", stream=io.StringIO()))


def test_a_full_disk_is_said_once_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logging that fails neither stops the caller nor prints its arguments unmasked."""
    configure(LogOptions(tmp_path, stream=io.StringIO()))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs._LogFile, "shouldRollover", full)
    for _ in range(3):
        structlog.get_logger("x").info("order_sent", secret=CANARY)
    told = capsys.readouterr().err
    assert told.count("No space left on device") == 1
    assert CANARY not in told

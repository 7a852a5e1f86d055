"""SIGHUP takes what is safe, says what is not, and never ends the daemon."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from bot.app import reload
from bot.app.reload import Reload, changes, ignore
from bot.domain.errors import ConfigError
from config.settings import Loaded, load
from tests.until import until

SECRET = "sk-canary12345678901234567890"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The log and the signal are those of before."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level, handler, kept = root.level, signal.getsignal(signal.SIGHUP), structlog.get_config()
    yield
    for made in [one for one in root.handlers if one not in before]:
        made.close()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**kept)
    signal.signal(signal.SIGHUP, handler)


def loaded(folder: Path, lines: str) -> Loaded:
    """Settings from an `.env` that the test can change."""
    env = folder / ".env"
    env.write_text(lines)
    return load({"DATA_DIR": str(folder / "data")}, {}, env)


def nothing() -> None:
    raise AssertionError("the terminal is said to be closed")


async def test_a_log_level_is_taken_and_the_rest_is_said(tmp_path: Path) -> None:
    """By name; what a changed setting holds is nobody's business."""
    first = loaded(tmp_path, "LOG_LEVEL=INFO\nMAX_LEVERAGE=3\n")
    reloading = Reload(first, nothing)
    lines = f"LOG_LEVEL=DEBUG\nMAX_LEVERAGE=4\nENABLE_OPENAI=true\nOPENAI_API_KEY={SECRET}\n"
    (tmp_path / ".env").write_text(lines)
    with capture_logs() as said:
        await reloading.step()
    assert logging.getLogger().level == logging.DEBUG
    (line,) = [entry for entry in said if entry["event"] == "settings_reloaded"]
    assert line["changed"] == ["LOG_LEVEL"]
    assert {"MAX_LEVERAGE", "ENABLE_OPENAI", "OPENAI_API_KEY"} <= set(line["needs_restart"])
    assert SECRET not in str(said)


async def test_what_needs_a_restart_is_said_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured against what runs, not against what was read last."""
    monkeypatch.setattr(reload, "configure", lambda options: None)  # it would end the capture
    reloading = Reload(loaded(tmp_path, "MAX_LEVERAGE=3\n"), nothing)
    (tmp_path / ".env").write_text("MAX_LEVERAGE=4\nLOG_LEVEL=WARNING\n")
    with capture_logs() as said:
        await reloading.step()
        await reloading.step()
    assert [entry["needs_restart"] for entry in said] == [["MAX_LEVERAGE"]] * 2
    assert [entry["changed"] for entry in said] == [["LOG_LEVEL"], []]


async def test_settings_that_cannot_be_read_change_nothing(tmp_path: Path) -> None:
    """All that is wrong is said, and the daemon goes on with what it had."""
    reloading = Reload(loaded(tmp_path, "LOG_LEVEL=INFO\n"), nothing)
    (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\nMAX_LEVRAGE=3\n")
    level = logging.getLogger().level
    with capture_logs() as said:
        await reloading.step()
    (line,) = said
    assert (line["event"], line["log_level"], len(line["problems"])) == (
        "settings_not_reloaded",
        "error",
        2,
    )
    assert logging.getLogger().level == level


async def test_a_signal_reloads_and_then_is_ignored(tmp_path: Path) -> None:
    """While it runs it reads again; before and after, SIGHUP does nothing at all."""
    asked: list[str] = []

    def again() -> Loaded:
        asked.append("again")
        raise ConfigError("mend it")

    first = loaded(tmp_path, "")
    ignore()
    os.kill(os.getpid(), signal.SIGHUP)
    service = asyncio.create_task(Reload(Loaded(first.settings, (), again), nothing).run())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: bool(asked))
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
    os.kill(os.getpid(), signal.SIGHUP)
    assert asked == ["again"]


async def test_a_closed_terminal_ends_the_daemon_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees it any more: it stops as by Ctrl-C, and does not run on unseen."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(reload, "has_terminal", lambda: False)
    ended: list[str] = []
    reloading = Reload(loaded(tmp_path, ""), lambda: ended.append("closed"))
    service = asyncio.create_task(reloading.run())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: bool(ended))
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)


def test_equal_settings_have_no_changes(tmp_path: Path) -> None:
    """Also those that hold a secret."""
    lines = f"ENABLE_OPENAI=true\nOPENAI_API_KEY={SECRET}\n"
    one, other = loaded(tmp_path, lines), loaded(tmp_path, lines)
    assert changes(one.settings, other.settings) == []

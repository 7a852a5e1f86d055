"""Fixtures for every test: an isolated environment, loopback only, shared data, counted skips."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from tests.guards import NO_SHARED_DATA, LoopbackOnly, forbidden_skips

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT / ".." / "shared" / "data"
SCENARIOS = ROOT / "tests" / "scenarios"

# A slow machine is no failure; the example that failed is printed so that it can be kept.
hypothesis_settings.register_profile("keel", deadline=None, print_blob=True)
hypothesis_settings.load_profile("keel")

sockets = LoopbackOnly()
_skips: dict[str, str] = {}


def pytest_configure() -> None:
    sockets.install()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios first: they take minutes, and short tests fill what is left of each core."""
    items.sort(key=lambda item: SCENARIOS not in item.path.parents)


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """No test talks to another host, not even through code that hides the refusal."""
    sockets.attempts.clear()
    yield
    attempts = list(sockets.attempts)
    sockets.attempts.clear()
    assert not attempts, f"reached for another host: {attempts}"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer has exported for a real Keel never reaches a test."""
    from config.settings import known_names

    for name in known_names() & os.environ.keys():
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real candles and recorded venue answers, beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{NO_SHARED_DATA}: no folder ../shared/data beside the checkout")
    return SHARED_DATA.resolve()


# --- skips: under KEEL_CI=1 only "shared data absent" is allowed ----------------------


def _note_skip(nodeid: str, longrepr: object) -> None:
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    _skips[nodeid] = str(reason)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _note_skip(report.nodeid, report.longrepr)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _note_skip(report.nodeid, report.longrepr)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("KEEL_CI") and forbidden_skips(_skips):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = forbidden_skips(_skips) if os.environ.get("KEEL_CI") else []
    if lines:
        terminalreporter.section("skips that are not allowed under KEEL_CI=1", red=True)
        for line in lines:
            terminalreporter.write_line(line)

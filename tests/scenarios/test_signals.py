"""SIGTERM as it arrives: once, or twice when `make` hands on what its whole group was sent."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.daemon import STOP_LIMIT_S, Daemon


@pytest.mark.parametrize("apart_s", [0.0, 0.05])
def test_a_signal_sent_twice_within_a_moment_is_one(tmp_path: Path, apart_s: float) -> None:
    """The stop stays orderly: exit code 0, and the log says so."""
    with Daemon(tmp_path, settings={"DEMO_SPEED": 60}) as daemon:
        daemon.healthy()
        daemon.signal(signal.SIGTERM)
        time.sleep(apart_s)
        daemon.signal(signal.SIGTERM)
        assert daemon.finish(STOP_LIMIT_S) == 0, daemon.output()
        events = [event["event"] for event in daemon.events()]
    assert "stopping_at_once" not in events
    assert events[-1] == "stopped"

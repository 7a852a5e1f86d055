"""The invented world as fast as the machine goes, with every coin of the default universe."""

from __future__ import annotations

from pathlib import Path

from tests.daemon import Daemon

LIMIT_S = 60.0


def test_twelve_coins_go_on_at_full_speed(tmp_path: Path) -> None:
    """Their first history is more than a minute's share of requests: the market goes on."""
    with Daemon(tmp_path, settings={"DEMO_SPEED": "max", "DEMO_SEED": 1}) as daemon:
        daemon.healthy()
        status = daemon.until(lambda s: s["cycles"] > 10, LIMIT_S, "ten cycles")
        assert len(status["universe"]) == 12
        assert daemon.terminate() == 0, daemon.output()
        assert daemon.errors() == []

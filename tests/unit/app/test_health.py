"""/health sees a scan that stands still and a disk that fills up, and the log tells it once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from bot.app import health
from bot.app.health import DaemonHealth
from bot.runtime.clock import LockstepClock, ManualClock
from bot.runtime.resources import DiskMeter, LoopLag, ResourceMeter
from bot.runtime.supervisor import Supervisor
from bot.web.view import HealthState
from tests.fakes import FakeFeed
from tests.unit.app.given import parts
from tests.unit.pipeline.given import BTC
from tests.until import until

Room = Callable[[float], None]


def watched(**flags: str) -> tuple[DaemonHealth, ManualClock, FakeFeed, Callable[[], None]]:
    """The health of a freshly wired Keel, its clock and feed, and how a cycle is finished."""
    made, _, feed, clock = parts(**flags)
    found = DaemonHealth(made, Supervisor(clock), DiskMeter(Path()), ResourceMeter(LoopLag()))
    return found, clock, feed, lambda: made.facts.tell("cycle_done", clock.now())


def state(found: DaemonHealth, name: str) -> tuple[HealthState, str]:
    (one,) = [each for each in found.components() if each.name == name]
    return one.state, one.detail


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Sets how many MB the file system says are free."""

    def free(mb: float) -> None:
        usage = SimpleNamespace(free=mb * 1e6)
        monkeypatch.setattr("bot.runtime.resources.shutil.disk_usage", lambda _: usage)

    return free


def test_a_scan_that_stands_still_degrades_after_three_intervals() -> None:
    """Counted from the last finished cycle; the next one ends it."""
    found, clock, _, cycle = watched(SCAN_INTERVAL_SECONDS="60")
    found.expect_cycles(True)
    clock.advance(100_000)
    cycle()
    clock.advance(180_000)
    assert state(found, "scheduler") == (HealthState.OK, "last cycle 180 s ago")
    clock.advance(1_000)
    said = (HealthState.DEGRADED, "no cycle for 181 s, one is due within 180 s")
    assert state(found, "scheduler") == said
    cycle()
    assert state(found, "scheduler")[0] is HealthState.OK


def test_a_scan_that_never_began_degrades_too() -> None:
    """From the moment on from which cycles are due; before it and while stopping none is."""
    found, clock, _, _ = watched(SCAN_INTERVAL_SECONDS="60")
    clock.advance(999_000)
    assert state(found, "scheduler")[0] is HealthState.OK
    found.expect_cycles(True)
    clock.advance(181_000)
    assert state(found, "scheduler")[0] is HealthState.DEGRADED
    found.expect_cycles(False)
    assert state(found, "scheduler")[0] is HealthState.OK


def test_a_fast_market_leaves_a_cycle_its_time() -> None:
    """A cycle may gather for 5 s of machine time, so three of them are no standstill."""
    made, _, _, clock = parts(SCAN_INTERVAL_SECONDS="45")
    made = replace(made, world=replace(made.world, speed=600.0))
    found = DaemonHealth(made, Supervisor(clock), DiskMeter(Path()), ResourceMeter(LoopLag()))
    found.expect_cycles(True)
    clock.advance(15_000)
    assert state(found, "scheduler")[0] is HealthState.OK
    clock.advance(1_000)
    assert state(found, "scheduler")[0] is HealthState.DEGRADED


def test_in_lockstep_a_standstill_is_counted_in_market_time() -> None:
    """There machine time is market time: between two candles nothing is due."""
    made, _, _, clock = parts(SCAN_INTERVAL_SECONDS="60")
    made = replace(made, world=replace(made.world, lockstep=LockstepClock(clock.now())))
    found = DaemonHealth(made, Supervisor(clock), DiskMeter(Path()), ResourceMeter(LoopLag()))
    found.expect_cycles(True)
    clock.advance(60_000)
    assert state(found, "scheduler")[0] is HealthState.OK


@pytest.mark.parametrize(
    ("mb", "expected"),
    [
        (5_000.0, HealthState.OK),
        (health.LOW_DISK_MB - 1, HealthState.DEGRADED),
        (health.NO_DISK_MB - 1, HealthState.FAILING),
    ],
)
def test_a_disk_that_fills_up_is_told(room: Room, mb: float, expected: HealthState) -> None:
    """Low first, then nearly full; the figure is the one of the last look."""
    room(mb)
    meter = DiskMeter(Path())
    made, _, _, clock = parts()
    found = DaemonHealth(made, Supervisor(clock), meter, ResourceMeter(LoopLag()))
    assert state(found, "disk") == (HealthState.OK, "not looked at yet")
    meter.look()
    assert state(found, "disk")[0] is expected


async def test_disk_and_process_are_looked_at_beside_the_loop() -> None:
    """A disk may hang, and to read the files of the process takes milliseconds."""
    threads: list[int] = []

    def look() -> None:
        threads.append(threading.get_ident())

    disk, resources = DiskMeter(Path()), ResourceMeter(LoopLag())
    disk.look = resources.look = look  # type: ignore[method-assign]
    made, _, _, clock = parts()
    task = asyncio.create_task(DaemonHealth(made, Supervisor(clock), disk, resources).watch())
    await until(lambda: len(threads) == 2)
    task.cancel()
    assert threading.get_ident() not in threads


def test_a_disk_that_cannot_be_asked_is_no_alarm() -> None:
    """A folder that is gone is told by what writes to it."""
    meter = DiskMeter(Path("/no/such/folder"))
    meter.look()
    assert meter.free_mb is None


def test_a_change_is_one_line_of_the_log() -> None:
    """Worse is a warning, well again a note; what stays as it is says nothing."""
    found, clock, feed, cycle = watched(SCAN_INTERVAL_SECONDS="60")
    feed.ages[BTC] = 0.0
    with capture_logs() as lines:
        found.tell_changes()  # still starting
        found.expect_cycles(True)
        found._parts.reconcile.last_at = clock.monotonic()
        found.tell_changes()
        assert lines == []
        clock.advance(181_000)
        found._parts.reconcile.last_at = clock.monotonic()
        found.tell_changes()
        found.tell_changes()
        cycle()
        found.tell_changes()
    told = [(line["event"], line["component"], line["log_level"]) for line in lines]
    assert told == [
        ("component_unwell", "scheduler", "warning"),
        ("component_well", "scheduler", "info"),
    ]

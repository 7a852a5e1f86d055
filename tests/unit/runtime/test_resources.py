"""Figures of the process."""

from __future__ import annotations

import threading
from pathlib import Path

from bot.runtime.resources import KEPT, LoopLag, ResourceMeter


def test_lag_is_given_by_quantiles() -> None:
    """Nearest rank, in ms; zeros before the first sample."""
    lag = LoopLag()
    assert lag.view().samples == 0
    for ms in range(100):
        lag.note(ms / 1000)
    view = lag.view()
    assert (view.p50_ms, view.p95_ms, view.p99_ms, view.max_ms) == (50, 95, 99, 99)


def test_only_the_last_minute_is_kept() -> None:
    """Memory stays bounded, and an old hiccup is forgotten."""
    lag = LoopLag()
    lag.note(5)
    for _ in range(KEPT):
        lag.note(0.001)
    assert lag.view().samples == KEPT
    assert lag.view().max_ms == 1


async def test_one_step_takes_one_sample() -> None:
    """Never negative, whatever the timer's resolution."""
    lag = LoopLag()
    await lag.step()
    assert lag.view().samples == 1
    assert lag.view().max_ms >= 0


def test_the_sample_is_of_this_process() -> None:
    """Memory, threads and open files are real ones."""
    sample = ResourceMeter(LoopLag()).sample()
    assert sample.rss_mb > 5
    assert sample.threads >= threading.active_count()
    assert sample.open_files >= 3
    assert sample.cpu_percent >= 0
    assert sample.peak_rss_mb is None or sample.peak_rss_mb >= sample.rss_mb - 1


def test_the_system_is_not_asked_with_every_answer() -> None:
    """To read its files takes milliseconds: a look does that; how late the loop is, is of now."""
    lag = LoopLag()
    meter = ResourceMeter(lag)
    first = meter.sample()
    with Path(__file__).open():
        again = meter.sample()
        assert (again.open_files, again.loop_lag.samples) == (first.open_files, 0)
        lag.note(0.5)
        assert meter.sample().loop_lag.samples == 1
        meter.look()
        assert meter.sample().open_files == first.open_files + 1


def test_the_histogram_counts_every_sample_since_the_start() -> None:
    """What the last minute has forgotten still shows: one stall in an hour explains a figure."""
    lag = LoopLag()
    for late_ms in (0.5, 1.0, 1.5, 4.0, 700.0, 3_000.0):
        lag.note(late_ms / 1000)
    for _ in range(KEPT):
        lag.note(0.0)
    found = lag.view().histogram
    assert found["1"] == 2 + KEPT
    assert (found["2"], found["5"], found["1000"], found["more"]) == (1, 1, 1, 1)
    assert sum(found.values()) == 6 + KEPT


def test_standing_still_is_told_from_five_seconds_on() -> None:
    """With how long it was."""
    told: list[float] = []
    lag = LoopLag(told.append)
    for late_s in (0.1, 4.9, 5.0, 60.0):
        lag.note(late_s)
    assert told == [5.0, 60.0]


async def test_a_wall_clock_that_is_set_is_told_with_by_how_much() -> None:
    """Forward and back, from a second on; one that goes as time does is not."""
    told: list[float] = []
    walls = iter((0, 50, 0, 3_600_050, 3_600_050, 100, 0, 900))
    lag = LoopLag(clock_set=told.append, wall=lambda: next(walls))
    for _ in range(4):
        await lag.step()
    assert [round(by_s / 60) for by_s in told] == [60, -60]

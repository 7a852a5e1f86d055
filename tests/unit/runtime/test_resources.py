"""Figures of the process."""

from __future__ import annotations

import threading

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

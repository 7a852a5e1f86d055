"""Collections stay short: what has grown old is set aside, all is walked over seldom."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from bot.runtime.garbage import (
    ASIDES_BEFORE_ALL,
    MIDDLE_BEFORE_ASIDE,
    SWITCH_S,
    THRESHOLDS,
    Collector,
    Garbage,
)


class FakeCollector:
    """Notes what it is asked for; `middle` are the middle collections since the last freeze."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.middle = 0
        self.threshold = (0, 0, 0)

    def collect(self, generation: int = 2, /) -> int:
        self.asked.append("collect")
        return 0

    def freeze(self) -> None:
        self.asked.append("freeze")
        self.middle = 0

    def unfreeze(self) -> None:
        self.asked.append("unfreeze")

    def get_count(self) -> tuple[int, int, int]:
        return 0, 0, self.middle

    def set_threshold(self, threshold0: int, threshold1: int, threshold2: int, /) -> None:
        self.threshold = (threshold0, threshold1, threshold2)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    switch, threshold = sys.getswitchinterval(), gc.get_threshold()
    yield
    sys.setswitchinterval(switch)
    gc.set_threshold(*threshold)


def test_the_module_of_the_interpreter_fits() -> None:
    collector: Collector = gc
    assert collector.get_count() is not None


def test_the_start_is_set_aside() -> None:
    """Dead cycles of it first; then young collections are small, and the oldest never runs."""
    fake = FakeCollector()
    Garbage(fake).begin()
    assert fake.asked == ["collect", "freeze"]
    assert fake.threshold == THRESHOLDS
    assert THRESHOLDS[0] * (THRESHOLDS[1] + 1) <= 1_000, "a middle one walks over no more"
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)


def test_old_objects_are_set_aside_when_there_are_many() -> None:
    """Else the middle generation's survivors would be walked over by a whole collection."""
    fake = FakeCollector()
    garbage = Garbage(fake)
    fake.middle = MIDDLE_BEFORE_ASIDE - 1
    garbage.calm(exposed=False)
    assert fake.asked == []
    fake.middle = MIDDLE_BEFORE_ASIDE
    garbage.calm(exposed=True)
    assert fake.asked == ["freeze"]


def test_a_whole_collection_waits_until_nothing_is_open() -> None:
    """It takes 0.2 s with 200 symbols: an exit must not wait for it."""
    fake = FakeCollector()
    garbage = Garbage(fake)
    for _ in range(ASIDES_BEFORE_ALL + 3):
        fake.middle = MIDDLE_BEFORE_ASIDE
        garbage.calm(exposed=True)
    assert set(fake.asked) == {"freeze"}
    garbage.calm(exposed=False)
    assert fake.asked[-3:] == ["unfreeze", "collect", "freeze"]
    garbage.calm(exposed=False)
    assert fake.asked.count("collect") == 1, "not again before as many more"

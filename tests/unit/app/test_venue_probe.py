"""What `check` says of the venue, question by question."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.app.probes import Outcome
from bot.app.venue_probe import _skew
from tests.fake_venue import FakeVenue
from tests.unit.app.given import parts


@pytest.mark.parametrize(
    ("ahead_ms", "speed", "limit_s", "found", "outcome"),
    [
        (-900, 1.0, 1.0, "-900 ms from ours, 1000 allowed", Outcome.OK),
        (1_100, 1.0, 1.0, "+1100 ms from ours, 1000 allowed", Outcome.FAIL),
        (1_100, 1.0, 2.0, "+1100 ms from ours, 2000 allowed", Outcome.OK),
        (54_000, 60.0, 1.0, "+900 ms from ours, 1000 allowed", Outcome.OK),
    ],
)
async def test_the_clock_is_judged_as_the_gate_will_judge_it(
    ahead_ms: int, speed: float, limit_s: float, found: str, outcome: Outcome
) -> None:
    """In machine time, by `MAX_CLOCK_SKEW_SECONDS`."""
    made, _, _, clock = parts()
    venue = FakeVenue(clock, skew_ms=ahead_ms)
    world = replace(made.world, speed=speed)
    line = await _skew(cast(Any, SimpleNamespace(venue=venue)), world, limit_s)
    assert (line.found, line.outcome) == (found, outcome)

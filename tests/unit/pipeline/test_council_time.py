"""How long a council takes, by its own clock: as long as the slowest, at most to the deadline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bot.domain.types import Abstention, Ms, Opinion, Question
from bot.pipeline.council import CouncilOptions
from bot.ports import Told, untold
from bot.runtime.clock import ManualClock
from tests.council import FakeModel
from tests.unit.pipeline.given import BTC, kit
from tests.unit.pipeline.test_council import council, kinds, policies
from tests.unit.pipeline.thinking import CLOSE, Thinking

STEP_MS = 50
LONGEST_MS = 60_000
DEADLINE_S = 2.0


@dataclass
class Timed(FakeModel):
    """A model that takes its time by the clock of the test."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(Ms(0)))
    takes_s: float = 1.0

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        await self.clock.pause(self.takes_s)
        return await super().ask(question, tell)


async def sat(*takes_s: float) -> tuple[int, Thinking]:
    """Milliseconds from the question to the offer, in steps of `STEP_MS`, and the road."""
    clock = ManualClock(Ms(CLOSE + 3_000))
    seats = [Timed(name, clock=clock, takes_s=took) for name, took in zip("abc", takes_s)]
    options = CouncilOptions(deadline_s=DEADLINE_S, late_s=1.0)
    given = policies(*seats)
    made = council(*seats, options=options, policies=given, made=kit(clock=clock, policies=given))
    async with asyncio.timeout(10), made.chamber.open():
        await made.road.cycle([BTC])
        began = clock.now()
        while not made.offers and clock.now() - began < LONGEST_MS:
            await clock.run_for(STEP_MS)
        return clock.now() - began, made


@pytest.mark.parametrize("takes_s", [(1.0, 1.0, 1.0), (0.2, 0.5, 1.0)])
async def test_it_ends_with_its_slowest_model(takes_s: tuple[float, ...]) -> None:
    """Asked one after the other three seconds would pass; waiting for the deadline two."""
    took_ms, made = await sat(*takes_s)
    assert took_ms in range(1_000, 1_000 + STEP_MS + 1)
    assert kinds(made) == []


async def test_one_that_hangs_costs_the_deadline_and_no_more() -> None:
    """Two decide then; the third is a timeout."""
    took_ms, made = await sat(1.0, 1.0, 1_000.0)
    assert took_ms in range(2_000, 2_000 + STEP_MS + 1)
    assert kinds(made) == [("c", "timeout")]

"""Care and the other symbols while the council thinks: python -m benchmarks council_load

Owns 200 symbols of which 20 are put before three models that take a second each, and a held
position that is priced fifty times a second. Road, council, sessions and care are the real
ones on the real clock; the venue and the models are fakes, so nothing here waits for a network.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from benchmarks.figures import Figure, say, tell
from benchmarks.lag import Histogram
from bot.domain.types import Abstention, Opinion, Position, Question, Side, Symbol, TraceId
from bot.pipeline.council import CouncilOptions
from bot.ports import Told, untold
from bot.runtime.clock import ManualClock, SystemClock
from tests.council import FakeModel, template
from tests.judgement import FixedRule
from tests.series import walk
from tests.unit.pipeline.given import BTC, kit
from tests.unit.pipeline.test_council import policies
from tests.unit.pipeline.thinking import BARS, M5, Thinking, thinking

CARE_P95_MS = 50.0
CYCLE_P95_MS = 1_000.0  # what the models take: a cycle that waited for them would need more
MODEL_S, MODELS = 1.0, ("a", "b", "c")
TICK_S, PAUSE_S = 0.02, 2.0
CYCLES = 10  # each asks about other symbols: a signal that was acted on is not asked about again
SHORT = 6  # bars of a symbol on which no strategy can speak
STEP_MS = 1_000  # between two candles: each is new, none is stale


class Slow(FakeModel):
    """A model that takes a second."""

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        await asyncio.sleep(MODEL_S)
        return await super().ask(question, tell)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print care's delay and the length of the cycles; 0 when all is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks council_load")
    parser.add_argument("--symbols", type=int, default=200)
    chosen = parser.parse_args(arguments)
    load = Load(chosen.symbols)
    asyncio.run(load.run())
    asked, offers = load.made.council.counts["asked"], len(load.made.offers)
    say(f"  {CYCLES} cycles, {asked} questions to {len(MODELS)} models, {offers} offers")
    say(f"  care after a price  {load.care.line()}")
    say(f"  a cycle             {load.cycles.line()}")
    p95, cycle = load.care.at(0.95), load.cycles.at(0.95)
    return tell(
        Figure("care after a price, councils at work, p95", p95, CARE_P95_MS, "ms"),
        Figure("a cycle beside them, p95", cycle, CYCLE_P95_MS, "ms"),
        Figure("signals not worth asking about", 100 - 100 * asked / chosen.symbols, 10.0, "%"),
    )


class Load:
    """The road under load, and what it does to care."""

    def __init__(self, symbols: int) -> None:
        self.names = [Symbol(f"C{number:03}") for number in range(symbols)]
        self.clock = SystemClock()
        self.care, self.cycles = Histogram(), Histogram()
        self.made = self._wire()
        self._priced_at: float | None = None

    async def run(self) -> None:
        """One cycle after the other beside the prices, then the last answers."""
        self._hold(BTC)
        beside = [asyncio.ensure_future(work) for work in (self.made.kit.care.run(), self._ticks())]
        async with self.made.chamber.open():
            for number in range(CYCLES):
                await self._cycle(number)
                await asyncio.sleep(PAUSE_S)
            await self.made.chamber.settled()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

    def _wire(self) -> Thinking:
        seats = [Slow(name) for name in MODELS]
        given = policies(*seats)
        made = thinking(
            rules=[FixedRule("scalper.standard", target_r=4.0)],
            seats=seats,
            policies=given,
            council=CouncilOptions(),
            template=template(),
            made=kit(clock=cast(ManualClock, self.clock), policies=given),
        )
        for name in self.names:
            made.kit.instruments[name] = replace(made.kit.instruments[BTC], symbol=name)
        return made

    async def _cycle(self, number: int) -> None:
        """A new candle of every symbol, a strategy that speaks on a tenth of them, one cycle."""
        newest = self.clock.now() - 60_000 + number * STEP_MS
        for place, name in enumerate(self.names):
            bars = walk(BARS, seed=place)
            if place % CYCLES != number:
                bars = bars[-SHORT:]
            shift = newest - M5.ms - int(bars.ts[-1])
            self.made.kit.feed.windows[name, M5] = replace(bars, ts=bars.ts + shift)
            self.made.kit.price(name, round(float(bars.close[-1]), 2))
            await asyncio.sleep(0)
        began = time.perf_counter()
        await self.made.road.cycle(self.names)
        self.cycles.add((time.perf_counter() - began) * 1000)

    async def _ticks(self) -> None:
        """Price the held coin, and time care's step from there."""
        care = cast(Any, self.made.kit.care)
        step = care.step

        def timed(symbol: Symbol) -> None:
            if self._priced_at is not None:
                self.care.add((time.perf_counter() - self._priced_at) * 1000)
                self._priced_at = None
            step(symbol)

        care.step = timed
        while True:
            self._priced_at = self._priced_at or time.perf_counter()
            self.made.kit.price(BTC, 100.0)
            await asyncio.sleep(TICK_S)

    def _hold(self, symbol: Symbol) -> None:
        self.made.kit.books.positions[symbol] = Position(
            symbol=symbol,
            side=Side.LONG,
            quantity=Decimal(1),
            entry_price=Decimal(100),
            opened_at=self.clock.now(),
            trace_id=TraceId("BTC-20260101T0000-1"),
            strategy="scalper.standard",
        )

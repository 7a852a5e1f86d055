"""Care and the other symbols while the council thinks: python -m benchmarks council_load

Owns 200 symbols with whole windows, of which 20 a cycle are put before three models that take a
second each behind a real server, and a held position that is priced fifty times a second. Road,
council, seats, their books and care are the real ones on the real clock; the venue is a fake.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

from benchmarks.council_money import seats
from benchmarks.figures import Figure, say, tell
from benchmarks.lag import Histogram
from bot.app.policies import rules_of
from bot.domain.proposal import Rule
from bot.domain.signals import SignalArray
from bot.domain.types import Bars, Position, Side, Symbol, TraceId
from bot.pipeline.council import CouncilOptions
from bot.pipeline.policies import WINDOW_BARS
from bot.plugins import LoadedStrategy
from bot.ports import Seat
from bot.runtime.clock import ManualClock, SystemClock
from config.settings import load as settings_of
from tests.aimock import Aimock, answer, missing, replies
from tests.council import template
from tests.judgement import FixedRule
from tests.series import walk
from tests.unit.pipeline.given import BTC, kit
from tests.unit.pipeline.test_council import policies
from tests.unit.pipeline.thinking import M5, Thinking, thinking

CARE_P95_MS = 50.0
ASKING_MS = 250.0  # processor time of a cycle with twenty questions, beyond that of one without
ANSWER_MS = 1_000
TICK_S, PAUSE_S = 0.02, 2.0
CYCLES = 10  # each asks about other symbols: a signal that was acted on is not asked about again
STEP_MS = 1_000  # between two candles: each is new, none is stale
LOUD = 1e9  # volume of the bar on which a coin speaks


@dataclass(frozen=True)
class WhenLoud(FixedRule):
    """Speaks on a bar of a volume that no other bar has."""

    def signals(self, bars: Bars) -> SignalArray:
        side = np.where(bars.volume >= LOUD, 1, 0).astype(np.int8)
        return SignalArray(side, np.full(len(bars), self.strength), np.full(len(bars), 0.01))


class _Silent:
    """A strategy that ships: it computes as it does, and only the loud one is heard."""

    def __init__(self, rule: LoadedStrategy) -> None:
        self._rule = rule

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)

    def signals(self, bars: Bars) -> SignalArray:
        said = self._rule.signals(bars)
        return SignalArray(np.zeros_like(said.side), said.strength, said.stop_frac)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print care's delay and the length of the cycles; 0 when all is met, 2 without the server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks council_load")
    parser.add_argument("--symbols", type=int, default=200)
    chosen = parser.parse_args(arguments)
    if why := missing():
        say(f"not measured: {why}")
        return 2
    return asyncio.run(_measured(chosen.symbols))


async def _measured(symbols: int) -> int:
    said = replies("", answer(), latency_ms=ANSWER_MS)
    with tempfile.TemporaryDirectory(prefix="keel-") as name:
        folder = Path(name)
        said["match"] = {"userMessage": "signal.side"}
        with Aimock(folder / "aimock", [said]) as server:
            async with seats(server.url, folder / "books") as (purse, sitting):
                load = Load(symbols, sitting)
                await load.run()
                asked, answers = load.made.council.counts["asked"], purse.figures()["answers"]
    say(f"  {CYCLES} cycles of {symbols} symbols with {WINDOW_BARS} bars each")
    say(f"  {asked} questions, {answers} answers over HTTP, {len(load.made.offers)} offers")
    say(f"  care after a price  {load.care.line()}")
    say(f"  a cycle alone       {load.alone}")
    say(f"  a cycle beside them {load.beside}")
    asking = median(load.beside.worked) - median(load.alone.worked)
    return tell(
        Figure("care after a price, councils at work, p95", load.care.at(0.95), CARE_P95_MS, "ms"),
        Figure("processor time of a cycle for its questions, median", asking, ASKING_MS, "ms"),
        Figure("signals not worth asking about", 100 - 100 * asked / symbols, 10.0, "%"),
    )


@dataclass
class Cycles:
    """How long cycles took, and how long they kept the processor busy (ms)."""

    took: Histogram = field(default_factory=Histogram)
    worked: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.took.line()}; processor {median(self.worked):.0f} ms"


class Load:
    """The road under load, and what it does to care."""

    def __init__(self, symbols: int, sitting: Sequence[Seat]) -> None:
        self.names = [Symbol(f"C{number:03}") for number in range(symbols)]
        self.clock = SystemClock()
        self.care, self.alone, self.beside = Histogram(), Cycles(), Cycles()
        self.made = self._wire(sitting)
        self._priced_at: float | None = None
        self._number = 0

    async def run(self) -> None:
        """Cycles without a question, then as many with one in ten asked about."""
        self._hold(BTC)
        beside = [asyncio.ensure_future(work) for work in (self.made.kit.care.run(), self._ticks())]
        async with self.made.chamber.open():
            for _ in range(CYCLES):
                await self._cycle(self.alone, None)
            self.care = Histogram()
            for number in range(CYCLES):
                await self._cycle(self.beside, number)
                await asyncio.sleep(PAUSE_S)
            await self.made.chamber.settled()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

    def _wire(self, sitting: Sequence[Seat]) -> Thinking:
        given = policies(*sitting)
        shipped = rules_of(settings_of({"MODE": "demo"}, {}, None).settings)
        silent = [cast(Rule, _Silent(rule)) for rule in shipped]
        made = thinking(
            rules=[WhenLoud("scalper.standard", target_r=4.0), *silent],
            seats=sitting,
            policies=given,
            council=CouncilOptions(),
            template=template(),
            made=kit(clock=cast(ManualClock, self.clock), policies=given),
        )
        for name in self.names:
            made.kit.instruments[name] = replace(made.kit.instruments[BTC], symbol=name)
        return made

    async def _cycle(self, taken: Cycles, asked: int | None) -> None:
        """A new candle of every symbol, loud on a tenth of them or on none, and one cycle."""
        self._number += 1
        newest = self.clock.now() - 60_000 + self._number * STEP_MS
        for place, name in enumerate(self.names):
            bars = walk(WINDOW_BARS, seed=place)
            volume = bars.volume.copy()
            if asked is not None and place % CYCLES == asked:
                volume[-1] = LOUD
            shift = newest - M5.ms - int(bars.ts[-1])
            self.made.kit.feed.windows[name, M5] = replace(bars, ts=bars.ts + shift, volume=volume)
            self.made.kit.price(name, round(float(bars.close[-1]), 2))
            await asyncio.sleep(0)
        began, worked = time.perf_counter(), time.process_time()
        await self.made.road.cycle(self.names)
        taken.took.add((time.perf_counter() - began) * 1000)
        taken.worked.append((time.process_time() - worked) * 1000)

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

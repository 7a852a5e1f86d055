"""Weight of stop proof and reconciliation at the venue: python -m benchmarks budget

Owns the measurement: 20 open positions at the simulated exchange, ten minutes of market time
in which nothing else happens, weight counted by the venue's own rule, in both modes of the
account. Counted are the questions about the account and the venue's clock, transfers included;
comparing quiet coins' prices is told apart. Limit: 10 % of 1,200 a minute, and no action of the
account's own budget.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from benchmarks.figures import Figure, say, tell
from bot.app.world import Pace
from bot.domain.types import Symbol
from bot.pipeline.facts import Facts
from bot.pipeline.transfers import Transfers
from bot.simulator.info import Info
from bot.simulator.limits import WEIGHT_LIMIT
from tests.acting import Acting, acting

POSITIONS = 20
MINUTES = 10
LIMIT_PERCENT = 10.0  # of what the venue grants a minute
MODES = ("disabled", "unifiedAccount")
OF_PRICES = ("metaAndAssetCtxs",)


class Meter(Info):
    """Answers as usual and adds up what each kind of question weighed."""

    def begin(self) -> None:
        self.weighed: Counter[str] = Counter()

    def weight(self, body: object) -> int:
        weight = super().weight(body)
        self.weighed[str(body["type"]) if isinstance(body, dict) else ""] += weight
        return weight

    def extra_weight(self, body: Mapping[str, Any], answer: object) -> int:
        weight = super().extra_weight(body, answer)
        self.weighed[str(body["type"])] += weight
        return weight


@dataclass(frozen=True, slots=True)
class Spent:
    """Weight a minute by kind of question, and actions in all."""

    by_question: Mapping[str, float]
    actions: int

    @property
    def percent(self) -> float:
        """Of what the venue grants, without the questions about prices."""
        proving = {k: w for k, w in self.by_question.items() if k not in OF_PRICES}
        return 100 * sum(proving.values()) / WEIGHT_LIMIT


async def measure(folder: Path, mode: str) -> Spent:
    """What it takes with all positions open and protected."""
    async with acting(folder, coins=POSITIONS, abstraction=mode) as half:
        symbols = [Symbol(coin) for coin in half.exchange.coins]
        await half.hyperliquid.feed.watch(symbols, [])
        await half.play(10)
        for symbol in symbols:
            await half.enter(symbol, usd=100)
        await half.play(90)
        await half.in_order()
        assert len(half.books.positions) == POSITIONS, sorted(half.books.positions)
        return await _quiet_minutes(half)


async def _quiet_minutes(half: Acting) -> Spent:
    meter, venue = Meter(half.exchange._world), half.hyperliquid.venue
    meter.begin()
    half.exchange._info = meter
    transfers = Transfers(venue, half.books, half.rows, Facts())
    transfers.begin(half.clock.now())
    before, pause_s = venue.actions_sent, Pace().transfers_s
    for _ in range(int(MINUTES * 60 / pause_s)):
        assert await transfers.step()
        await half.play(pause_s)
    assert half.unprotected() == []
    a_minute = {kind: weight / MINUTES for kind, weight in sorted(meter.weighed.items())}
    return Spent(a_minute, venue.actions_sent - before)


def main(words: Sequence[str]) -> int:
    """Print the figures; 0 when they are within the limit."""
    del words
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    figures = []
    for mode in MODES:
        with tempfile.TemporaryDirectory() as folder:
            spent = asyncio.run(measure(Path(folder), mode))
        parts = ", ".join(f"{kind} {weight:.0f}" for kind, weight in spent.by_question.items())
        say(f"  {mode}: {POSITIONS} open positions, weight a minute of {WEIGHT_LIMIT}: {parts}")
        figures += [
            Figure(f"weight of proving the stops, {mode}", spent.percent, LIMIT_PERCENT, "%"),
            Figure("actions of the account's own budget", spent.actions, 0.0, ""),
        ]
    return tell(*figures)


if __name__ == "__main__":
    raise SystemExit(main(()))

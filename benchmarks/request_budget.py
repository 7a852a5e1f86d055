"""Weight of stop proof and reconciliation at the venue: python -m benchmarks budget

Owns the measurement: 20 open positions at the simulated exchange, ten minutes of market time
in which nothing else happens, weight counted by the venue's own rule. Limit: 10 % of 1,200 a
minute, and no action of the account's own budget.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog

from benchmarks.figures import Figure, say, tell
from bot.domain.types import Symbol
from bot.simulator.limits import WEIGHT_LIMIT, Limits
from tests.acting import Acting, acting

POSITIONS = 20
MINUTES = 10
LIMIT_PERCENT = 10.0  # of what the venue grants a minute


class Meter(Limits):
    """Lets everything pass and adds up what it weighed."""

    def __init__(self) -> None:
        super().__init__(False)
        self.weight = 0
        self.requests = 0

    def admits(self, source: str, now: int, weight: int) -> bool:
        self.weight += weight
        self.requests += 1
        return True

    def charge(self, source: str, now: int, weight: int) -> None:
        self.weight += weight


async def measure(folder: Path) -> tuple[float, int, int]:
    """(weight a minute, requests, actions) with all positions open and protected."""
    async with acting(folder, coins=POSITIONS) as half:
        symbols = [Symbol(coin) for coin in half.exchange.coins]
        await half.hyperliquid.feed.watch(symbols, [])
        await half.play(10)
        for symbol in symbols:
            await half.enter(symbol, usd=100)
        await half.play(90)
        await half.in_order()
        assert len(half.books.positions) == POSITIONS, sorted(half.books.positions)
        return await _quiet_minutes(half)


async def _quiet_minutes(half: Acting) -> tuple[float, int, int]:
    meter, actions = Meter(), half.hyperliquid.venue.actions_sent
    half.exchange._limits = meter
    await half.play(MINUTES * 60)
    sent = half.hyperliquid.venue.actions_sent - actions
    assert half.unprotected() == []
    return meter.weight / MINUTES, meter.requests, sent


def main(words: Sequence[str]) -> int:
    """Print the figures; 0 when they are within the limit."""
    del words
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        weight, requests, actions = asyncio.run(measure(Path(folder)))
    say(
        f"  {POSITIONS} open positions, {MINUTES} min: {requests} requests, weight {weight:.1f} a "
        f"minute of {WEIGHT_LIMIT}"
    )
    return tell(
        Figure("weight of proving the stops", 100 * weight / WEIGHT_LIMIT, LIMIT_PERCENT, "%"),
        Figure("actions of the account's own budget", actions, 0.0, ""),
    )


if __name__ == "__main__":
    raise SystemExit(main(()))

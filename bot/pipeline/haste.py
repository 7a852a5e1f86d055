"""Exits on their way out, for which a scan steps aside for a moment.

Owns who is waited for and how long at most; knows neither orders nor thoughts. One loop does
both: between a price and the request there are some fifteen turns of it, and a scan would
compute a symbol in each.
"""

from __future__ import annotations

import asyncio

from bot.domain.types import Symbol
from bot.ports import Clock

GIVE_WAY_S = 0.05  # machine time; what takes longer waits for somebody else


class Haste:
    """Symbols of which an exit was asked for and has not been sent.

    `limit_s`: how long one of them is waited for; 0 in lockstep, where machine time decides
    nothing.
    """

    def __init__(self, clock: Clock, limit_s: float = 0.0) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._since: dict[Symbol, float] = {}
        self._over = asyncio.Event()

    def begin(self, symbol: Symbol) -> None:
        """An exit of `symbol`, or a new price for its stop, was asked for."""
        if self._limit_s and symbol not in self._since:
            self._since[symbol] = self._clock.monotonic()
            self._over.clear()

    def end(self, symbol: Symbol) -> None:
        """It is with the venue, or over without."""
        self._since.pop(symbol, None)
        if not self._since:
            self._over.set()

    async def give_way(self) -> None:
        """Return when nothing is on its way, or when the youngest has been for too long."""
        if not self._since:
            return
        left = max(self._since.values()) + self._limit_s - self._clock.monotonic()
        if left > 0:
            await self._clock.wait(self._over, left)

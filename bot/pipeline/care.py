"""Care of open positions: one look at every price and at least once a second.

Owns when care looks; needs no model, no database and no scan, and sends nothing itself:
the desk's exit lane does.
"""

from __future__ import annotations

import asyncio

from bot.domain.protection import CloseNow, Hold, MoveStop, ProtectionPolicy, next_step
from bot.domain.types import ExitReason, Market, Ms, Symbol
from bot.pipeline.books import Books
from bot.pipeline.desk import Desk
from bot.pipeline.health import Health
from bot.ports import Clock, Feed


class Care:
    """Wakes on prices of held symbols; all of them are looked at every `every_s`."""

    def __init__(
        self,
        clock: Clock,
        feed: Feed,
        books: Books,
        desk: Desk,
        health: Health,
        policy: ProtectionPolicy,
        every_s: float = 1.0,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._books = books
        self._desk = desk
        self._health = health
        self._policy = policy
        self._every_s = every_s
        self._due = clock.monotonic()
        self._priced: dict[Symbol, None] = {}
        self._wake = asyncio.Event()
        feed.on_price(self.priced)

    def priced(self, market: Market) -> None:
        """Note a new price; called by the feed for every watched symbol."""
        if market.symbol in self._books.positions:
            self._priced[market.symbol] = None
            self._wake.set()

    async def run(self) -> None:
        """Service: look until cancelled."""
        while True:
            left = self._due - self._clock.monotonic()
            if left > 0:
                await self._clock.wait(self._wake, left)
            with self._clock.busy():
                self.look()
            await asyncio.sleep(0)

    def look(self) -> None:
        """Look at the symbols that were priced, or at all of them when the second is over."""
        symbols = tuple(self._priced)
        self._priced.clear()
        self._wake.clear()
        now = self._clock.monotonic()
        if now >= self._due:
            self._due = now + self._every_s
            symbols = tuple(self._books.positions)
            if self._books.priced:
                self._books.safety.equity(self._books.equity())
        for symbol in symbols:
            self.step(symbol)

    def step(self, symbol: Symbol) -> None:
        """Look at one position and ask the desk for what it needs."""
        guard, market = self._books.guards.get(symbol), self._feed.market(symbol)
        if guard is None or market is None or symbol not in self._books.positions:
            return
        if self._books.beyond_orders(symbol):
            return
        for order in self._books.resting_exits(symbol)[:1]:
            # Not done: the price it waits at may no longer be the best, or the market is usual.
            self._desk.close(symbol, ExitReason(order.reason or ExitReason.MANUAL), patient=True)
        plan = self._books.plans.get(symbol)
        guard, step = next_step(
            guard,
            market,
            plan.atr if plan is not None else 0.0,
            self._market_time(),
            self._clock.monotonic(),
            self._policy,
        )
        self._books.guard(guard)
        match step:
            case Hold():
                return
            case MoveStop(price=price):
                self._desk.move_stop(symbol, price)
            case CloseNow(reason=reason):
                self._desk.close(symbol, reason)

    def _market_time(self) -> Ms:
        """What a time stop goes by: the venue's clock, which stamped the fill that opened.

        Ours may be days off, and a start knows that only when the venue has answered.
        """
        told = self._health.venue_now()
        return told if told is not None else self._books.safety.market_time()

"""Closing by hand: one position or all of them, each tried, each told how it ended.

Owns how long a person's exit is followed, that it goes on beyond that, and what is said of it;
the desk's exit lane sends it. Asks neither the trading state nor a breaker nor the database: an
exit is never refused for them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import structlog

from bot.domain.types import (
    ExitReason,
    Leg,
    Order,
    OrderStatus,
    Position,
    Symbol,
    Trade,
)
from bot.pipeline.blocks import BlockKind
from bot.pipeline.books import Books
from bot.pipeline.desk import Desk
from bot.pipeline.execute import Execution
from bot.pipeline.wishes import ALL, ExitWish, ExitWishes
from bot.ports import Clock, Feed

log = structlog.get_logger(__name__)

# An entry that nobody answered is settled after 8 s of its own life and 5 s more (spec 05): within
# this limit its symbol is closed, or known to hold nothing.
FOLLOWED_S = 20.0
TRIES = 3  # each goes through the whole ladder of slippage bounds
LOOK_S = 0.5
CONFIRMED_S = 10.0  # for the venue to say once more that it holds nothing
NOT_COMPARED = (
    "books and venue were not compared since this start; if something of it is open, it is "
    "closed once they were"
)


class Closure(StrEnum):
    """How a wish to close ended."""

    CLOSED = "closed"
    NOTHING_OPEN = "nothing_open"
    STILL_OPEN = "still_open"
    UNKNOWN = "unknown"  # an entry that the venue has not told of, or nothing was compared yet

    @property
    def flat(self) -> bool:
        return self in (Closure.CLOSED, Closure.NOTHING_OPEN)


@dataclass(frozen=True, slots=True)
class Closed:
    """One symbol of a wish to close; `quantity` of what was open, `net_pnl` of what was closed."""

    symbol: Symbol
    state: Closure
    why: str = ""
    side: str = ""
    quantity: Decimal | None = None
    trace_id: str = ""
    net_pnl: Decimal | None = None


class Closing:
    """Asks the desk, again where an exit did not fill, and follows each symbol to its end."""

    def __init__(
        self,
        clock: Clock,
        feed: Feed,
        books: Books,
        desk: Desk,
        execution: Execution,
        wishes: ExitWishes,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._books = books
        self._desk = desk
        self._execution = execution
        self._wishes = wishes
        self._followed: Counter[Symbol] = Counter()  # by somebody who waits for the answer

    def recover(self, state: Mapping[str, object]) -> None:
        """Take up what an earlier life was asked to close and did not."""
        self._wishes.recover(state)

    def standing(self) -> tuple[ExitWish, ...]:
        """What a person wished closed and is still open, or not known to be closed."""
        return tuple(self._wishes.standing.values())

    @property
    def known(self) -> bool:
        """Whether it can be said that nothing is open: books and venue were compared."""
        return self._wishes.known

    async def run(self) -> None:
        """Service: go on with what was not done while somebody waited, or in an earlier life."""
        while True:
            await self._wishes.some.wait()
            with self._clock.busy():
                self.step()
            await self._clock.pause(LOOK_S)

    def step(self) -> None:
        """Try each that is open, when its next try is due; end what is done.

        Nothing is done before it is known what is open; what the books hold is tried all the
        same, for an exit can only reduce and the venue may answer no question for long.
        """
        if self.known:
            self._wishes.spread()
        for symbol, wish in tuple(self._wishes.standing.items()):
            if self._followed[symbol]:
                continue
            if symbol in self._books.symbols():
                self._desk.close(symbol, wish.reason, patient=True)
                continue
            if self.known:
                self._wishes.end((symbol,))
                _log(self._ended(wish))

    async def withdraw(self) -> tuple[Symbol, ...]:
        """Wish none of it any more; the symbols of which something is still open, or may be.

        An exit that is on its way ends as it does; one that waits in the book is cancelled.
        """
        self._wishes.spread()
        held, known = self._books.symbols(), self.known
        left = tuple(one for one in self._wishes.standing if one in held or not known)
        self._wishes.end(tuple(self._wishes.standing))
        try:
            async with asyncio.timeout(CONFIRMED_S):
                for order in [o for symbol in left for o in self._books.resting_exits(symbol)]:
                    await self._execution.cancel(order)
        except TimeoutError:
            log.warning("not_withdrawn", symbols=list(left), error="the venue did not answer")
        return left

    def concerned(self) -> tuple[Symbol, ...]:
        """Symbols that are held, or will be when an entry on its way fills."""
        return tuple(sorted(self._books.symbols()))

    async def close_all(self, reason: ExitReason, by: str = "") -> tuple[Closed, ...]:
        """Close whatever is held; before it is known what that is, also what turns up later."""
        if not self.known:
            self._wishes.put((ALL,), reason, by)
        return await self.close(self.concerned(), reason, by=by)

    async def close(
        self,
        symbols: Sequence[Symbol],
        reason: ExitReason,
        limit_s: float = FOLLOWED_S,
        by: str = "",
    ) -> tuple[Closed, ...]:
        """Close these; what became of each, in the same order. Asked twice, it is closed once.

        `limit_s`: machine time; what is open by then is tried on by `run`. Nothing is awaited
        that the venue or the database could hold up, but the venue's word on a position that is
        gone, for 10 s.
        """
        before = {symbol: self._books.positions.get(symbol) for symbol in symbols}
        self._wishes.put(symbols, reason, by)
        self._followed.update(symbols)
        try:
            await self._follow(symbols, reason, limit_s, before)
        finally:
            self._followed.subtract(symbols)
        found = tuple(self._told(symbol, before[symbol]) for symbol in symbols)
        if self.known:
            self._wishes.end(one.symbol for one in found if one.state.flat)
        for one in found:
            _log(one)
        return found

    async def _follow(
        self,
        symbols: Sequence[Symbol],
        reason: ExitReason,
        limit_s: float,
        before: dict[Symbol, Position | None],
    ) -> None:
        """Try until all is closed, or nothing more can come of it within the limit.

        `before` gets the position of an entry that fills meanwhile.
        """
        books = self._books
        if reason is ExitReason.MANUAL:
            await self._write_off([symbol for symbol in symbols if symbol in books.gone])
        tries = dict.fromkeys(symbols, 0)
        deadline = self._clock.monotonic() + limit_s
        while True:
            pending = [s for s in symbols if s in books.symbols() and s in self._wishes.standing]
            for symbol in pending:
                before[symbol] = before[symbol] or books.positions.get(symbol)
                tries[symbol] += self._try(symbol, reason, tries[symbol])
            left = deadline - self._clock.monotonic()
            if left <= 0 or not any(self._hopeful(symbol, tries[symbol]) for symbol in pending):
                break
            await self._until_fewer(len(pending), min(left, LOOK_S))

    async def _write_off(self, gone: Sequence[Symbol]) -> None:
        """Named by a person: what the venue confirms to hold nothing of leaves the books."""
        try:
            async with asyncio.timeout(CONFIRMED_S):
                for symbol in gone:
                    await self._execution.write_off(symbol)
        except TimeoutError:
            log.warning("not_written_off", symbols=list(gone), error="the venue did not answer")

    def _try(self, symbol: Symbol, reason: ExitReason, tries: int) -> bool:
        """Ask the desk for an exit that is not on its way; whether this was another try."""
        if symbol not in self._books.positions:
            self._execution.doubt.set()  # an entry on its way or unknown: ask the venue at once
            return False
        if tries >= TRIES or self._desk.leaves(symbol):
            return False
        self._desk.close(symbol, reason)
        return True

    async def _until_fewer(self, known: int, seconds: float) -> None:
        """Look again when a symbol is done, or after `seconds`."""
        books = self._books
        await books.pulse.until(lambda: len(books.symbols()) < known, seconds)

    def _hopeful(self, symbol: Symbol, tries: int) -> bool:
        """Whether it can still end within the limit: it is worked on, or may be tried again."""
        if self._books.beyond_orders(symbol):
            return False
        unknown = symbol not in self._books.positions
        return unknown or tries < TRIES or self._desk.leaves(symbol)

    def _told(self, symbol: Symbol, before: Position | None) -> Closed:
        books = self._books
        held = books.positions.get(symbol)
        if held is not None:
            side, size = held.side.value, held.quantity
            why = self._why_open(symbol, held)
            return Closed(symbol, Closure.STILL_OPEN, why, side, size, held.trace_id)
        if symbol in books.symbols():
            blocks = books.safety.blocks.of(symbol)
            known = "; ".join(one.why for one in blocks if one.kind is not BlockKind.LEAVING)
            why = known or "an entry is on its way, not answered yet"
            return Closed(symbol, Closure.UNKNOWN, why)
        if before is None and not self.known:
            return Closed(symbol, Closure.UNKNOWN, NOT_COMPARED)
        if before is None:
            return Closed(symbol, Closure.NOTHING_OPEN)
        trade = self._trade_of(before)
        net = trade.net_pnl if trade is not None else None
        side, size = before.side.value, before.quantity
        return Closed(symbol, Closure.CLOSED, "", side, size, before.trace_id, net)

    def _ended(self, wish: ExitWish) -> Closed:
        """What became of a wish that nobody waited for."""
        trades = (trade for trade in reversed(self._books.trades) if trade.symbol == wish.symbol)
        trade = next(trades, None)
        if trade is None or trade.closed_at < wish.asked_at:
            return Closed(wish.symbol, Closure.NOTHING_OPEN)
        side, net = trade.side.value, trade.net_pnl
        return Closed(wish.symbol, Closure.CLOSED, "", side, trade.quantity, trade.trace_id, net)

    def _trade_of(self, position: Position) -> Trade | None:
        trades = reversed(self._books.trades)
        return next((trade for trade in trades if trade.trace_id == position.trace_id), None)

    def _why_open(self, symbol: Symbol, held: Position) -> str:
        if symbol in self._books.gone:
            return (
                "the venue holds nothing of it and no fill says why: look at the venue; "
                f"`close {symbol}` books it at the mark once the venue confirms"
            )
        if symbol in self._books.dust:
            return "it is less than a lot, so the venue takes no order for it: close it there"
        if self._feed.market(symbol) is None:
            return "no price of it is known, so no order can be priced"
        last = self._last_exit(held)
        if last is None:
            return "the desk has not sent its exit yet"
        match last.status:
            case OrderStatus.REJECTED:
                words = self._execution.refusals.get(symbol, "without a word")
                return f"the venue rejected the exit: {words}"
            case OrderStatus.NEW | OrderStatus.SENT | OrderStatus.UNKNOWN:
                return "the venue has not answered the exit"
            case _:
                return f"the exit is {last.status.value}, {last.filled} of {last.quantity} filled"

    def _last_exit(self, held: Position) -> Order | None:
        """The newest exit order of this position."""
        for order in reversed(self._books.orders.values()):
            if order.trace_id == held.trace_id and order.leg is Leg.EXIT:
                return order
        return None


def _log(one: Closed) -> None:
    log.warning("closed_by_hand", symbol=one.symbol, state=one.state.value, why=one.why or None)

"""How a position is left: one reduce-only order after another, each to its proven end.

Owns sending what only reduces, asking after it, and the ladder of an exit; decides neither
whether nor why. Such an order may be sent again after asking, since it cannot grow a position
(spec 05, "The desk").
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog

from bot.domain import orders as life
from bot.domain.errors import AmbiguousOutcome, InvariantBroken, TransientError, VenueRejected
from bot.domain.instrument import Instrument
from bot.domain.risk import clear_exit
from bot.domain.sizing import EXIT_SLIPPAGE, reduce, rest
from bot.domain.types import (
    Cleared,
    ExitReason,
    Intent,
    Leg,
    Market,
    Order,
    OrderStatus,
    Position,
    Symbol,
    TradingState,
)
from bot.pipeline.books import Books
from bot.pipeline.dust import is_dust
from bot.pipeline.facts import Facts
from bot.pipeline.haste import Haste
from bot.ports import Clock, Feed, Venue

log = structlog.get_logger(__name__)

T = TypeVar("T")

UNSENT_TRIES = 3  # of one wish to leave; as many as rungs, then the desk's own back-off
NO_ANSWER = (TransientError, VenueRejected, AmbiguousOutcome)  # of a question: nothing is known

# Its words for rules that are no longer those we know: szDecimals or the tick have changed.
RULES = ("invalid size", "tick size", "invalid price")
# For the minutes after an upgrade, in which only orders that rest are taken (hyperliquid.md 9).
POST_ONLY = ("only post-only orders",)
# For a key that signs for nobody: revoked, expired, or of an account that is no more.
KEY = ("does not exist", "must deposit")


@dataclass(frozen=True, slots=True)
class Waits:
    """Machine seconds (spec 05, "The desk", "Protection on Hyperliquid")."""

    fill_seen_s: float = 2.0  # an answered fill that the stream has not told
    stop_seen_s: float = 2.0  # a stop that is not seen resting
    ask_after_s: float = 2.0  # an exit without an answer
    answer_s: float = 2.0  # a question on which the next try of an exit waits
    unsent_s: float = 1.0  # after an exit that was not executed; flat
    entry_life_ms: int = 8_000  # expiresAfter of an entry
    emergency_stop_frac: float = 0.02  # stop of a position of ours whose plan is lost


class Leaving:
    """Sends exits and whatever else only reduces."""

    def __init__(
        self,
        venue: Venue,
        books: Books,
        feed: Feed,
        clock: Clock,
        facts: Facts,
        instruments: MutableMapping[Symbol, Instrument],
        waits: Waits,
        haste: Haste | None = None,
    ) -> None:
        self._venue = venue
        self._books = books
        self._feed = feed
        self._clock = clock
        self._facts = facts
        self._instruments = instruments
        self.waits = waits
        self.haste = haste or Haste(clock)
        self.doubt = asyncio.Event()  # something must be asked at once
        self.refusals: dict[Symbol, str] = {}  # the venue's last words on an order that reduces

    async def fetch_fills(self) -> None:
        """Ask for fills since the last one known; without an answer soon there is doubt."""
        try:
            fills = await self._soon(self._venue.fills_since(self._books.fills_from))
        except NO_ANSWER as error:
            log.warning("fills_not_fetched", error=str(error))
            self.doubt.set()
            return
        for fill in fills:
            self._books.filled(fill)

    async def cancel(self, order: Order) -> None:
        """Cancel one order of ours; gone already counts as done."""
        try:
            gone = await self._venue.cancel(order.symbol, order.cloid)
        except NO_ANSWER as error:
            log.warning("cancel_failed", cloid=order.cloid, error=str(error))
            self._heed(str(error))
            self.doubt.set()
            return
        current = self._books.orders.get(order.cloid, order)
        if gone and not current.status.terminal:
            self._books.follow_up((life.cancelled(current, self._clock.now(), "cancelled by us"),))

    # --- exits --------------------------------------------------------------------------

    async def leave(
        self, symbol: Symbol, reason: ExitReason, answered: Position | None = None
    ) -> bool:
        """Close a position by the ladder of slippage bounds; whether it is flat.

        An exit that was not executed (429, no connection, no budget) says nothing of the price:
        the same bound goes again after a moment. `answered`: what an entry's answer says,
        while no fill has told of it. The next position of the coin is another one's to leave.
        """
        books = self._books
        left = books.positions.get(symbol) or answered
        rung = unsent = 0
        while rung < len(EXIT_SLIPPAGE):
            position = books.positions.get(symbol) or answered
            if left is None or position is None or position.trace_id != left.trace_id:
                return True
            instrument = await self._rules(symbol)
            if instrument is None or is_dust(books, symbol, instrument.lot):
                return False
            market = self._feed.market(symbol) or await self._price_asked(symbol)
            attempt = books.next_attempt(position.trace_id, Leg.EXIT)
            intent = reduce(position, market, instrument, reason, attempt, EXIT_SLIPPAGE[rung])
            self.refusals.pop(symbol, None)  # of an earlier order: this one may have no answer
            try:
                order = await self._send(intent, position)
            except TransientError:
                if (unsent := unsent + 1) == UNSENT_TRIES:
                    break
                await self._clock.pause(self.waits.unsent_s)
                continue
            rung += 1
            if order is not None:
                if order.filled >= position.quantity:
                    answered = None
                await self._fills_told(order)
                await self._withdraw(symbol)
            elif says(self.refusals.get(symbol, ""), RULES):
                await self._renew_rules()
            elif says(self.refusals.get(symbol, ""), KEY):
                break  # no price makes it better
            elif says(self.refusals.get(symbol, ""), POST_ONLY):
                await self._rest(position, market, reason)
                break
        return left is None or not self._holds(left)

    def _holds(self, position: Position) -> bool:
        """Whether this very position is open, and neither gone nor followed by the next one."""
        held = self._books.positions.get(position.symbol)
        return held is not None and held.trace_id == position.trace_id

    async def _rest(self, position: Position, market: Market | None, reason: ExitReason) -> None:
        """Let the exit wait in the book at the best price of its side; each try moves it there."""
        books, symbol = self._books, position.symbol
        if market is None:
            return
        attempt = books.next_attempt(position.trace_id, Leg.EXIT)
        intent = rest(position, market, self._instruments[symbol], reason, attempt)
        resting = books.resting_exits(symbol)
        if intent is None or any(order.limit == intent.limit for order in resting):
            return
        await self._withdraw(symbol)
        if self._holds(position) and not books.resting_exits(symbol):
            held = books.positions[symbol]
            await self._send_reducing(replace(intent, quantity=held.quantity), held)

    async def _withdraw(self, symbol: Symbol) -> None:
        """Cancel exits that wait in the book."""
        for order in self._books.resting_exits(symbol):
            await self.cancel(order)

    async def _price_asked(self, symbol: Symbol) -> Market | None:
        """A price that no stream has told; without any, the exit goes by the entry price."""
        try:
            market = (await self._soon(self._feed.markets())).get(symbol)
        except NO_ANSWER as error:
            log.warning("price_not_asked", symbol=symbol, error=str(error))
            market = None
        if market is None:
            log.error("exit_without_price", symbol=symbol, action="measured from the entry price")
        return market

    async def _rules(self, symbol: Symbol) -> Instrument | None:
        """Lot and tick of a coin; asked for where a start has not come so far."""
        if symbol not in self._instruments:
            await self._renew_rules()
        if symbol not in self._instruments:
            log.error("coin_without_rules", symbol=symbol, action="no order for it can be made yet")
        return self._instruments.get(symbol)

    async def _renew_rules(self) -> None:
        """Ask for lots and ticks anew: the venue refuses what the known ones allow."""
        try:
            self._instruments.update(await self._soon(self._feed.instruments()))
        except NO_ANSWER as error:
            log.warning("rules_not_renewed", error=str(error))

    async def write_off(self, symbol: Symbol) -> None:
        """Take off the books what the venue, asked once more, neither holds nor tells a fill of.

        A person's wish alone: its money is then what the mark says, and the balance tells how
        far that is from what the venue paid.
        """
        books = self._books
        try:
            fills = await self._venue.fills_since(books.fills_from)
            account = await self._venue.account()
        except (*NO_ANSWER, InvariantBroken) as error:
            log.warning("not_written_off", symbol=symbol, error=str(error))
            return
        for fill in fills:
            books.filled(fill)
        position = books.positions.get(symbol)
        if position is None or symbol in account.positions or account.at < books.last_fill_at:
            return
        books.write_off(position, account.at)
        self.doubt.set()

    def look_for_dust(self) -> None:
        """Park positions that are less than a lot, and take up those that no longer are."""
        for symbol in (*self._books.positions, *sorted(self._books.dust)):
            rules = self._instruments.get(symbol)
            if rules is not None:
                is_dust(self._books, symbol, rules.lot)

    def delisted(self) -> tuple[Symbol, ...]:
        """Symbols that the venue has taken off its list."""
        return tuple(sorted(s for s, rules in self._instruments.items() if rules.delisted))

    async def _fills_told(self, order: Order) -> None:
        """Wait for the fills of an exit that has traded; when the stream is late, ask."""
        books, cloid = self._books, order.cloid

        def told() -> bool:
            return order.symbol not in books.positions or life.counted(books.orders[cloid])

        if not await books.pulse.until(told, self.waits.fill_seen_s):
            await self.fetch_fills()

    async def _send_reducing(self, intent: Intent, position: Position) -> Order | None:
        """Send one reduce-only order; None when it provably does not stand."""
        try:
            return await self._send(intent, position)
        except TransientError:
            return None

    async def _send(self, intent: Intent, position: Position) -> Order | None:
        """The same; raises TransientError where the venue has judged nothing."""
        cleared = clear_exit(intent, position.signed)
        if not isinstance(cleared, Cleared):
            log.warning("exit_refused", symbol=intent.symbol, checks=str(cleared.failed))
            return None
        orders = self._fresh(cleared.intent)
        await self._books.write_soon(orders)
        cloid = cleared.intent.cloid
        now = self._clock.now()
        self.haste.end(intent.symbol)
        try:
            acks = await self._venue.submit(cleared)
        except (VenueRejected, TransientError) as error:
            self._exit_refused(intent, str(error))
            self._books.follow_up((life.rejected(self._books.orders[cloid], str(error), now),))
            if isinstance(error, TransientError):
                raise
            return None
        except AmbiguousOutcome as error:
            log.error("exit_unknown", leg=intent.leg.value, symbol=intent.symbol, error=str(error))
            doubtful = life.unknown(self._books.orders[cloid], now)
            self._books.follow_up((self._alive(doubtful),))  # it was signed before now
            await self._clock.pause(self.waits.ask_after_s)
            return await self._ask(self._books.orders[cloid])
        for ack in acks:
            self._books.follow_up((life.acked(self._books.orders[ack.cloid], ack, now),))
        order = self._books.orders[cloid]
        if order.status is OrderStatus.REJECTED:
            self._exit_refused(intent, ", ".join(ack.error for ack in acks))
            return None
        return order

    def _exit_refused(self, intent: Intent, why: str) -> None:
        log.warning("exit_rejected", leg=intent.leg.value, symbol=intent.symbol, why=why)
        self.refusals[intent.symbol] = why
        self._heed(why)

    def _heed(self, why: str) -> None:
        """Halt where the venue no longer knows our key: a person must give it a new one."""
        safety = self._books.safety
        if safety.state is TradingState.HALTED or not says(why, KEY):
            return
        log.error("key_refused", why=why, action="halted; approve a key at the venue, then resume")
        safety.tighten(TradingState.HALTED, f"the venue refuses our key: {why}")

    async def _ask(self, order: Order) -> Order | None:
        """Ask what became of a reduce-only order; None when the venue does not know or say it.

        The next try may go then: it cannot grow a position.
        """
        try:
            return await self._inquire(order)
        except TransientError:
            return None

    async def _inquire(self, order: Order) -> Order | None:
        """The same; without an answer there is doubt, and TransientError is raised."""
        try:
            told = await self._soon(self._venue.order_status(order.symbol, order.cloid))
        except NO_ANSWER as error:
            log.warning("order_not_asked", cloid=order.cloid, error=str(error))
            self.doubt.set()
            raise TransientError(f"order {order.cloid} not asked for: {error}") from None
        if told is None:
            return None
        self._books.told(told)
        return self._books.orders[order.cloid]

    async def _soon(self, question: Coroutine[Any, Any, T]) -> T:
        """The answer, where it comes soon. Raises TransientError when it does not.

        A venue that asks us to slow down, or hangs, must not keep the next try of an exit back.
        """
        asking, answered = asyncio.ensure_future(question), asyncio.Event()
        asking.add_done_callback(lambda _: answered.set())
        try:
            if not await self._clock.wait(answered, self.waits.answer_s):
                raise TransientError(f"no answer within {self.waits.answer_s} s")
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        return asking.result()

    def _fresh(self, intent: Intent) -> tuple[Order, ...]:
        return tuple(map(self._alive, life.new_orders(intent, self._clock.now())))

    def _alive(self, order: Order) -> Order:
        """It may be signed at this moment: both clocks on which its life runs are noted."""
        self._books.stamped[order.cloid] = self._clock.monotonic()
        return replace(order, expires_at=self._clock.wall() + self.waits.entry_life_ms)


def says(why: str, words: Iterable[str]) -> bool:
    """Whether the venue's answer holds one of these words, whatever their letters."""
    return any(each in why.lower() for each in words)

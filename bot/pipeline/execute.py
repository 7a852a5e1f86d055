"""How orders reach the venue: enter, protect, move a stop, leave; each to its proven end.

Owns the order of writing down, sending and looking; decides neither whether nor how much.
No entry is ever sent twice. A reduce-only order may be, after asking, since it cannot grow a
position (spec 05, "The desk").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from bot.domain import orders as life
from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.instrument import Instrument
from bot.domain.protection import guard_for, moved
from bot.domain.reasons import Reason
from bot.domain.risk import clear_exit
from bot.domain.sizing import EXIT_SLIPPAGE, exact, protect, reduce
from bot.domain.types import (
    Cleared,
    Cloid,
    ExitReason,
    Intent,
    Leg,
    Market,
    Ms,
    Order,
    OrderStatus,
    Position,
    Symbol,
)
from bot.pipeline.blocks import BlockKind
from bot.pipeline.books import Books
from bot.pipeline.facts import Facts
from bot.pipeline.plans import Plan
from bot.ports import Clock, Feed, Venue

log = structlog.get_logger(__name__)

NO_ANSWER = (TransientError, VenueRejected, AmbiguousOutcome)  # of a question: nothing is known

# The venue's words for a market in which nothing can be opened for a while (hyperliquid.md 2.3, 9).
SHUT = ("only post-only orders", "halted", "delisted", "open interest")
# Its words for rules that are no longer those we know: szDecimals or the tick have changed.
RULES = ("invalid size", "tick size", "invalid price")

_Change = Callable[[Order, Ms], Order]


@dataclass(frozen=True, slots=True)
class Waits:
    """Machine seconds (spec 05, "The desk", "Protection on Hyperliquid")."""

    fill_seen_s: float = 2.0  # an answered fill that the stream has not told
    stop_seen_s: float = 2.0  # a stop that is not seen resting
    ask_after_s: float = 2.0  # an exit without an answer
    entry_life_ms: int = 8_000  # expiresAfter of an entry
    emergency_stop_frac: float = 0.02  # stop of a position of ours whose plan is lost


class Execution:
    """The only caller of `submit`, `cancel` and `set_leverage`."""

    def __init__(
        self,
        venue: Venue,
        books: Books,
        feed: Feed,
        clock: Clock,
        facts: Facts,
        instruments: MutableMapping[Symbol, Instrument],
        waits: Waits,
    ) -> None:
        self._venue = venue
        self._books = books
        self._feed = feed
        self._clock = clock
        self._facts = facts
        self._instruments = instruments
        self.waits = waits
        self.doubt = asyncio.Event()  # something must be asked at once
        self.refusals: dict[Symbol, str] = {}  # the venue's last words on an order that reduces

    # --- entries ----------------------------------------------------------------------

    async def enter(self, cleared: Cleared, plan: Plan) -> Reason:
        """Send an entry with its stop and target, and see the position protected."""
        intent = cleared.intent
        reason = await self._send_entry(cleared, plan)
        if reason is not Reason.EXECUTED:
            return reason
        await self._see_fill(intent.symbol)
        entry = self._books.orders[intent.cloid]
        complete = entry.filled >= entry.quantity
        if not await self._stop_seen(intent.symbol, complete):
            log.warning("stop_not_seen", symbol=intent.symbol, trace_id=intent.trace_id)
            await self.defend(intent.symbol)
        self.doubt.set()  # look at once: the stop is proved, the liquidation price is learnt
        return Reason.EXECUTED

    async def _send_entry(self, cleared: Cleared, plan: Plan) -> Reason:
        intent = cleared.intent
        orders = self._fresh(intent)
        try:
            await self._books.write_ahead(orders, plan)
        except TransientError as error:
            log.warning("intent_not_durable", trace_id=intent.trace_id, error=str(error))
            self._books.release(intent.cloid, unfilled=True)
            return Reason.NOT_DURABLE
        try:
            await self._venue.set_leverage(intent.symbol, intent.leverage)
        except NO_ANSWER as error:
            return self._not_sent(intent, f"leverage not set: {error}")
        if shut := self._books.safety.shut(intent.symbol):
            return self._kept_back(intent, shut)
        self._stamp(intent, life.sent)
        try:
            acks = await self._venue.submit(cleared)
        except (VenueRejected, TransientError) as error:
            return self._not_sent(intent, str(error))
        except AmbiguousOutcome as error:
            return self._unknown_entry(intent, error)
        now = self._clock.now()
        self._books.follow_up(
            tuple(life.acked(self._books.orders[ack.cloid], ack, now) for ack in acks)
        )
        entry = self._books.orders[intent.cloid]
        if entry.status is OrderStatus.REJECTED:
            return self._not_sent(intent, entry.reason or "rejected")
        if entry.filled < entry.quantity:
            self._rest_gone(intent)
        return Reason.EXECUTED if entry.filled > 0 else Reason.NO_FILL

    def _unknown_entry(self, intent: Intent, error: AmbiguousOutcome) -> Reason:
        self._stamp(intent, life.unknown)
        why = f"unknown outcome of entry {intent.cloid}"
        self._books.safety.block(intent.symbol, why, BlockKind.UNKNOWN_ENTRY, intent.cloid)
        log.error("entry_unknown", trace_id=intent.trace_id, cloid=intent.cloid, error=str(error))
        self.doubt.set()
        return Reason.UNKNOWN_OUTCOME

    def _kept_back(self, intent: Intent, why: str) -> Reason:
        """Entries were closed while the row was written: the last door before the venue."""
        log.warning("entry_kept_back", trace_id=intent.trace_id, why=why)
        orders, now = tuple(self._books.orders[cloid] for cloid in _legs(intent)), self._clock.now()
        self._books.follow_up(tuple(life.rejected(order, why, now) for order in orders))
        return Reason.CLOSED_MEANWHILE

    def _not_sent(self, intent: Intent, why: str) -> Reason:
        log.warning("entry_rejected", trace_id=intent.trace_id, why=why)
        orders = tuple(self._books.orders[cloid] for cloid in _legs(intent))
        now = self._clock.now()
        self._books.follow_up(tuple(life.rejected(order, why, now) for order in orders))
        if any(words in why.lower() for words in SHUT):
            self._books.safety.block(intent.symbol, f"market shut: {why}", BlockKind.MARKET_SHUT)
        no_match = "could not immediately match" in why
        return Reason.NO_FILL if no_match else Reason.VENUE_REJECTED

    def _rest_gone(self, intent: Intent) -> None:
        """What an entry did not fill is gone, and its children with it (hyperliquid.md 0.11)."""
        now = self._clock.now()
        orders = (self._books.orders[cloid] for cloid in _legs(intent))
        self._books.follow_up(tuple(life.cancelled(o, now, "entry not filled") for o in orders))

    def _stamp(self, intent: Intent, change: _Change) -> None:
        now, expires = self._clock.now(), self._clock.wall() + self.waits.entry_life_ms
        orders = (self._books.orders[cloid] for cloid in _legs(intent))
        self._books.follow_up(tuple(replace(change(o, now), expires_at=expires) for o in orders))

    async def _see_fill(self, symbol: Symbol) -> None:
        """The stream tells fills; when it is late, ask."""
        books = self._books
        if await books.pulse.until(lambda: symbol in books.positions, self.waits.fill_seen_s):
            return
        await self.fetch_fills()
        if symbol not in books.positions:
            self.doubt.set()

    async def _stop_seen(self, symbol: Symbol, complete: bool) -> bool:
        books = self._books
        if not complete:
            return False  # children of a part-filled parent never come (hyperliquid.md 0.11)

        def safe() -> bool:
            return bool(books.resting_stops(symbol)) or symbol not in books.positions

        return await books.pulse.until(safe, self.waits.stop_seen_s)

    async def fetch_fills(self) -> None:
        """Ask for fills since the last one known; a failed question leaves doubt."""
        try:
            fills = await self._venue.fills_since(self._books.fills_from)
        except NO_ANSWER as error:
            log.warning("fills_not_fetched", error=str(error))
            self.doubt.set()
            return
        for fill in fills:
            self._books.filled(fill)

    # --- protection -------------------------------------------------------------------

    async def defend(self, symbol: Symbol) -> None:
        """Give a position its stop (and target); where that fails, close it."""
        if symbol not in self._books.positions:
            return
        if await self.protect(symbol):
            return
        log.error("position_unprotected", symbol=symbol, action="closing it")
        self._facts.tell("position_unprotected", self._clock.now(), symbol=symbol)
        await self.leave(symbol, ExitReason.UNPROTECTED)

    async def protect(self, symbol: Symbol) -> bool:
        """Place a position stop, and the target where none rests; whether the stop rests."""
        position = self._books.positions.get(symbol)
        if position is None:
            return True
        guard = self._books.guards.get(symbol)
        if guard is None:
            log.error("position_without_plan", symbol=symbol, action="emergency stop")
            guard = guard_for(position, self._emergency_stop(position), None)
            self._books.guard(guard)
        if not await self._place(position, Leg.STOP, exact(guard.stop)):
            return symbol not in self._books.positions
        open_orders = self._books.open_orders(symbol)
        if guard.target is not None and not any(o.leg is Leg.TARGET for o in open_orders):
            await self._place(position, Leg.TARGET, exact(guard.target))
        return True

    async def move_stop(self, symbol: Symbol, price: float) -> bool:
        """Place the new stop, see it resting, cancel the old ones."""
        position, guard = self._books.positions.get(symbol), self._books.guards.get(symbol)
        if position is None or guard is None:
            return False
        old = [o for o in self._books.open_orders(symbol) if o.leg is Leg.STOP]
        if not await self._place(position, Leg.STOP, exact(price)):
            return False
        guard = self._books.guards.get(symbol)
        if guard is None:
            return True
        self._books.guard(moved(guard, price))
        self._facts.tell("stop_moved", self._clock.now(), symbol=symbol, to=price)
        for order in old:
            await self.cancel(order)
        return True

    async def cancel(self, order: Order) -> None:
        """Cancel one order of ours; gone already counts as done."""
        try:
            gone = await self._venue.cancel(order.symbol, order.cloid)
        except NO_ANSWER as error:
            log.warning("cancel_failed", cloid=order.cloid, error=str(error))
            self.doubt.set()
            return
        current = self._books.orders.get(order.cloid, order)
        if gone and not current.status.terminal:
            self._books.follow_up((life.cancelled(current, self._clock.now(), "cancelled by us"),))

    async def _place(self, position: Position, leg: Leg, trigger: Decimal) -> bool:
        attempt = self._books.next_attempt(position.trace_id, leg)
        instrument = self._instruments[position.symbol]
        intent = protect(position, leg, trigger, instrument, attempt)
        order = await self._send_reducing(intent, position)
        if order is None:
            return False
        books, cloid = self._books, order.cloid

        def resting() -> bool:
            known = books.orders[cloid]
            return known.venue_id is not None and known.status is OrderStatus.OPEN

        def settled() -> bool:
            return resting() or books.orders[cloid].status.terminal

        if not await books.pulse.until(settled, self.waits.stop_seen_s):
            await self._ask(books.orders[cloid])
        return resting()

    def _emergency_stop(self, position: Position) -> Decimal:
        away = exact(self.waits.emergency_stop_frac) * position.side.sign
        return position.entry_price * (1 - away)

    # --- exits --------------------------------------------------------------------------

    async def leave(self, symbol: Symbol, reason: ExitReason) -> bool:
        """Close a position by the ladder of slippage bounds; whether it is flat."""
        books = self._books

        def flat() -> bool:
            return symbol not in books.positions

        for slippage in EXIT_SLIPPAGE:
            position = books.positions.get(symbol)
            if position is None:
                return True
            market = self._feed.market(symbol) or await self._price_asked(symbol)
            attempt = books.next_attempt(position.trace_id, Leg.EXIT)
            instrument = self._instruments[symbol]
            intent = reduce(position, market, instrument, reason, attempt, slippage)
            order = await self._send_reducing(intent, position)
            if order is not None:
                await self._fills_told(order)
            elif any(words in self.refusals.get(symbol, "").lower() for words in RULES):
                await self._renew_rules()
        return flat()

    async def _price_asked(self, symbol: Symbol) -> Market | None:
        """A price that no stream has told; without any, the exit goes by the entry price."""
        try:
            market = (await self._feed.markets()).get(symbol)
        except NO_ANSWER as error:
            log.warning("price_not_asked", symbol=symbol, error=str(error))
            market = None
        if market is None:
            log.error("exit_without_price", symbol=symbol, action="measured from the entry price")
        return market

    async def _renew_rules(self) -> None:
        """Ask for lots and ticks anew: the venue refuses what the known ones allow."""
        try:
            self._instruments.update(await self._feed.instruments())
        except NO_ANSWER as error:
            log.warning("rules_not_renewed", error=str(error))

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
        cleared = clear_exit(intent, position.signed)
        if not isinstance(cleared, Cleared):
            log.warning("exit_refused", symbol=intent.symbol, checks=str(cleared.failed))
            return None
        orders = self._fresh(cleared.intent)
        await self._books.write_soon(orders)
        cloid = cleared.intent.cloid
        now = self._clock.now()
        try:
            acks = await self._venue.submit(cleared)
        except (VenueRejected, TransientError) as error:
            self._exit_refused(intent, str(error))
            self._books.follow_up((life.rejected(self._books.orders[cloid], str(error), now),))
            return None
        except AmbiguousOutcome as error:
            log.error("exit_unknown", leg=intent.leg.value, symbol=intent.symbol, error=str(error))
            doubtful = life.unknown(self._books.orders[cloid], now)
            expires = self._clock.wall() + self.waits.entry_life_ms  # it was signed before now
            self._books.follow_up((replace(doubtful, expires_at=expires),))
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

    async def _ask(self, order: Order) -> Order | None:
        """Ask what became of a reduce-only order; None when the venue does not know it."""
        try:
            told = await self._venue.order_status(order.symbol, order.cloid)
        except NO_ANSWER as error:
            log.warning("order_not_asked", cloid=order.cloid, error=str(error))
            self.doubt.set()
            return None
        if told is None:
            return None
        self._books.told(told)
        return self._books.orders[order.cloid]

    def _fresh(self, intent: Intent) -> tuple[Order, ...]:
        expires = self._clock.wall() + self.waits.entry_life_ms
        made = life.new_orders(intent, self._clock.now())
        return tuple(replace(o, expires_at=expires) for o in made)


def _legs(intent: Intent) -> tuple[Cloid, ...]:
    legs = (intent.cloid, intent.stop_cloid, intent.target_cloid)
    return tuple(cloid for cloid in legs if cloid is not None)

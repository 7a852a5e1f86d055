"""How orders reach the venue: enter, protect, move a stop; each to its proven end.

Owns the order of writing down, sending and looking; decides neither whether nor how much.
No entry is ever sent twice (spec 05, "The desk"); how a position is left is in `leave`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

import structlog

from bot.domain import orders as life
from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.protection import guard_for, moved, rested
from bot.domain.reasons import Reason
from bot.domain.sizing import exact, protect
from bot.domain.types import (
    Cleared,
    Cloid,
    ExitReason,
    Intent,
    Leg,
    Ms,
    Order,
    OrderStatus,
    Position,
    Symbol,
)
from bot.pipeline.blocks import BlockKind
from bot.pipeline.leave import NO_ANSWER, POST_ONLY, Leaving, says
from bot.pipeline.plans import Plan

log = structlog.get_logger(__name__)

# The venue's words for a market in which nothing can be opened for a while (hyperliquid.md 2.3, 9).
SHUT = (*POST_ONLY, "halted", "delisted", "open interest")


class Placed(StrEnum):
    """What is known of a stop or target that was sent."""

    SEEN = "seen"  # it rests: the venue has named it
    TAKEN = "taken"  # answered with yes, and no question after it was answered
    NO = "no"


_Change = Callable[[Order, Ms], Order]


class Execution(Leaving):
    """With what it is built on, the only caller of `submit`, `cancel` and `set_leverage`."""

    # --- entries ----------------------------------------------------------------------

    async def enter(self, cleared: Cleared, plan: Plan, until: Ms | None = None) -> Reason:
        """Send an entry with its stop and target, and see the position protected.

        `until`: end of its signal's life; None: it came from no signal.
        """
        intent = cleared.intent
        reason = await self._send_entry(cleared, plan, until)
        if reason is not Reason.EXECUTED:
            return reason
        covered = await self._see_fill(plan)
        entry = self._books.orders[intent.cloid]
        complete = entry.filled >= entry.quantity
        if not covered and not await self._stop_seen(intent, complete):
            log.warning("stop_not_seen", symbol=intent.symbol, trace_id=intent.trace_id)
            await self.defend(intent.symbol)
        self.doubt.set()  # look at once: the stop is proved, the liquidation price is learnt
        return Reason.EXECUTED

    async def _send_entry(self, cleared: Cleared, plan: Plan, until: Ms | None) -> Reason:
        intent, began = cleared.intent, self._clock.now()
        orders = self._fresh(intent)
        try:
            await self._books.write_ahead(orders, plan)
        except TransientError as error:
            log.warning("intent_not_durable", trace_id=intent.trace_id, error=str(error))
            self._books.forget_stamps(orders)
            self._books.release(intent.cloid, unfilled=True)
            return Reason.NOT_DURABLE
        try:
            await self._venue.set_leverage(intent.symbol, intent.leverage)
        except NO_ANSWER as error:
            return self._not_sent(intent, f"leverage not set: {error}")
        if shut := self._books.safety.shut(intent.symbol) or self._slept(began):
            return self._kept_back(intent, shut)
        if over := self._outlived(until):
            return self._kept_back(intent, over, Reason.EXPIRED)
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
            # The stream may have come first, and has a code where the answer has words.
            words = next((ack.error for ack in acks if ack.cloid == entry.cloid), "")
            return self._not_sent(intent, words or entry.reason or "rejected")
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

    def _slept(self, began: Ms) -> str:
        """Why a decision is of another time: the machine was suspended, or its clock was set.

        Market time tells, as a suspended machine's own does not; an entry's life starts anew
        when it is signed.
        """
        late_s = (self._clock.now() - began) / 1000 / self._books.safety.speed
        if late_s * 1000 <= self.waits.entry_life_ms:
            return ""
        return f"{late_s:.0f} s passed on its way, allowed {self.waits.entry_life_ms / 1000:g}"

    def _outlived(self, until: Ms | None) -> str:
        """Why a signal is over: it lived when it was cleared, and no longer now.

        To write the row and to set the leverage may take longer than the rest of its life.
        """
        late_ms = self._clock.now() - until if until is not None else 0
        return f"the signal ended {late_ms / 1000:g} s ago" if late_ms > 0 else ""

    def _kept_back(
        self, intent: Intent, why: str, reason: Reason = Reason.CLOSED_MEANWHILE
    ) -> Reason:
        """Entries were closed while the row was written: the last door before the venue."""
        log.warning("entry_kept_back", trace_id=intent.trace_id, why=why)
        orders, now = tuple(self._books.orders[cloid] for cloid in _legs(intent)), self._clock.now()
        self._books.follow_up(tuple(life.rejected(order, why, now) for order in orders))
        return reason

    def _not_sent(self, intent: Intent, why: str) -> Reason:
        log.warning("entry_rejected", trace_id=intent.trace_id, why=why)
        orders = tuple(self._books.orders[cloid] for cloid in _legs(intent))
        now = self._clock.now()
        self._books.follow_up(tuple(life.rejected(order, why, now) for order in orders))
        self._heed(why)
        if says(why, SHUT):
            self._books.safety.block(intent.symbol, f"market shut: {why}", BlockKind.MARKET_SHUT)
        no_match = "could not immediately match" in why
        return Reason.NO_FILL if no_match else Reason.VENUE_REJECTED

    def _rest_gone(self, intent: Intent) -> None:
        """What an entry did not fill is gone, and its children with it (hyperliquid.md 0.11)."""
        now = self._clock.now()
        orders = (self._books.orders[cloid] for cloid in _legs(intent))
        self._books.follow_up(tuple(life.cancelled(o, now, "entry not filled") for o in orders))

    def _stamp(self, intent: Intent, change: _Change) -> None:
        now = self._clock.now()
        orders = (self._books.orders[cloid] for cloid in _legs(intent))
        self._books.follow_up(tuple(self._alive(change(order, now)) for order in orders))

    async def _see_fill(self, plan: Plan) -> bool:
        """The stream tells fills; when it is late, the answer is taken at its word, then ask.

        Whether a stop was seen resting that covers what was answered.
        """
        books, symbol = self._books, plan.symbol

        def told() -> bool:
            """A stop that fires at once takes the position away before anybody looks."""
            return symbol in books.positions or life.counted(books.orders[plan.entry_cloid])

        if await books.pulse.until(told, self.waits.fill_seen_s):
            return False
        answered = _position(plan, books.orders[plan.entry_cloid], self._clock.now())
        covered = await self._cover(answered, plan.stop, plan.target)
        if not covered and symbol not in books.positions:
            log.error("position_unprotected", symbol=symbol, action="closing what was answered")
            await self.leave(symbol, ExitReason.UNPROTECTED, answered)
        await self.fetch_fills()
        if symbol not in books.positions:
            self.doubt.set()
        return covered

    async def _stop_seen(self, intent: Intent, complete: bool) -> bool:
        books, symbol, trace_id = self._books, intent.symbol, intent.trace_id
        if not complete:
            return False  # children of a part-filled parent never come (hyperliquid.md 0.11)

        def safe() -> bool:
            stops = books.resting_stops(symbol, trace_id)
            return bool(stops) or symbol not in books.positions

        return await books.pulse.until(safe, self.waits.stop_seen_s)

    # --- protection -------------------------------------------------------------------

    async def defend(self, symbol: Symbol) -> None:
        """Give a position its stop (and target); where that fails, close it."""
        if symbol not in self._books.positions or self._books.beyond_orders(symbol):
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
        target = exact(guard.target) if guard.target is not None else None
        covered = await self._cover(position, exact(guard.stop), target)
        return covered or not self._holds(position)

    async def _cover(self, position: Position, stop: Decimal, target: Decimal | None) -> bool:
        """Place a stop, and the target where none is known; whether the stop stands.

        The venue's word that it took it is enough where nobody can be asked: the stop proof
        looks as soon as that is possible.
        """
        placed, at = await self._place(position, Leg.STOP, stop)
        if placed is Placed.NO:
            return False
        guard = self._books.guards.get(position.symbol)
        if guard is not None:
            self._books.guard(rested(guard, stop, at))
        of_trade = (Leg.TARGET, position.trace_id)
        open_orders = self._books.open_orders(position.symbol)
        if target is not None and of_trade not in ((o.leg, o.trace_id) for o in open_orders):
            await self._place(position, Leg.TARGET, target)
        return True

    async def move_stop(self, symbol: Symbol, price: float) -> bool:
        """Place the new stop, see it resting, cancel the old ones."""
        position, guard = self._books.positions.get(symbol), self._books.guards.get(symbol)
        if position is None or guard is None:
            return False
        old = [o for o in self._books.open_orders(symbol) if o.leg is Leg.STOP]
        placed, at = await self._place(position, Leg.STOP, exact(price))
        if placed is not Placed.SEEN:
            return False
        guard = self._books.guards.get(symbol)
        if guard is None or not self._holds(position):
            self.doubt.set()  # it may rest on the next position, which has its own
            return True
        self._books.guard(moved(guard, float(at)))
        self._facts.tell("stop_moved", self._clock.now(), symbol=symbol, to=str(at))
        for order in old:
            await self.cancel(order)
        return True

    async def _place(
        self, position: Position, leg: Leg, trigger: Decimal
    ) -> tuple[Placed, Decimal]:
        """Send a stop or target; what is known of it, and the price at which it then rests."""
        attempt = self._books.next_attempt(position.trace_id, leg)
        instrument = await self._rules(position.symbol)
        if instrument is None:
            return Placed.NO, trigger
        fixed = self._books.safety.blocks.shared(position.symbol)
        intent = protect(position, leg, trigger, instrument, attempt, fixed)
        order = await self._send_reducing(intent, position)
        at = intent.reference  # rounded to the tick
        if order is None:
            return Placed.NO, at
        books, cloid = self._books, order.cloid

        def resting() -> bool:
            known = books.orders[cloid]
            return known.venue_id is not None and known.status is OrderStatus.OPEN

        def settled() -> bool:
            return resting() or books.orders[cloid].status.terminal

        if not await books.pulse.until(settled, self.waits.stop_seen_s):
            try:
                await self._inquire(books.orders[cloid])
            except TransientError:
                taken = books.orders[cloid].status is OrderStatus.OPEN
                return (Placed.TAKEN if taken else Placed.NO), at
        return (Placed.SEEN if resting() else Placed.NO), at

    def _emergency_stop(self, position: Position) -> Decimal:
        away = exact(self.waits.emergency_stop_frac) * position.side.sign
        return position.entry_price * (1 - away)


def _position(plan: Plan, entry: Order, at: Ms) -> Position:
    """What an entry's answer says that we hold, before any fill has told it."""
    return Position(
        symbol=plan.symbol,
        side=entry.side,
        quantity=entry.filled,
        entry_price=entry.average_price or entry.limit,
        opened_at=at,
        trace_id=plan.trace_id,
        strategy=plan.strategy,
    )


def _legs(intent: Intent) -> tuple[Cloid, ...]:
    legs = (intent.cloid, intent.stop_cloid, intent.target_cloid)
    return tuple(cloid for cloid in legs if cloid is not None)

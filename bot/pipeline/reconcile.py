"""Making the books agree with the venue: at start, after each gap, on doubt, every 30 s.

Owns the comparison; repairs through the desk, or closes the symbol to
entries and says so. A question that fails is no answer: nothing is concluded from it.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import structlog

from bot.domain import orders as life
from bot.domain.errors import InvariantBroken
from bot.domain.types import (
    Account,
    Cloid,
    Fill,
    Funding,
    Leg,
    Ms,
    Order,
    OrderStatus,
    OrderUpdate,
    Reconnected,
    Symbol,
    TradingState,
    VenueOrder,
)
from bot.pipeline.absence import Absence
from bot.pipeline.blocks import BlockKind
from bot.pipeline.books import Books
from bot.pipeline.compare import Comparison
from bot.pipeline.desk import Desk
from bot.pipeline.execute import Execution
from bot.pipeline.facts import Facts
from bot.pipeline.health import Health
from bot.pipeline.leave import NO_ANSWER
from bot.pipeline.payments import Payments
from bot.pipeline.recover import IN_DOUBT, fill_overlap
from bot.pipeline.stop_proof import Prover
from bot.ports import Clock, Venue

log = structlog.get_logger(__name__)

HOUR_MS = 3_600_000
FUNDING_LATE_MS = 60_000  # recorded up to 1.4 s after the hour (hyperliquid.md 1.2)
# How the venue ends a stop whose position ends (hyperliquid.md 2.3): no news by itself.
WITH_ITS_POSITION = ("siblingFilledCanceled", "reduceOnlyCanceled")
SHUT_S = 60.0  # how long a market is left alone that the venue closed to an order


@dataclass(frozen=True, slots=True)
class Cadence:
    """Machine seconds; in lockstep deadlines of market time."""

    every_s: float = 30.0
    doubt_s: float = 1.0
    clock_s: float = 5.0  # while the venue's clock is not known
    naked_s: float = 10.0
    late_s: float = 120.0  # without a comparison: the books are no ground to open anything on


class Reconcile:
    """Compares orders, fills, funding and positions of one moment with the books."""

    def __init__(
        self,
        *,
        venue: Venue,
        books: Books,
        desk: Desk,
        execution: Execution,
        health: Health,
        clock: Clock,
        facts: Facts,
        cadence: Cadence,
    ) -> None:
        self._venue = venue
        self._books = books
        self._desk = desk
        self._execution = execution
        self._health = health
        self._clock = clock
        self._facts = facts
        self._cadence = cadence
        self.comparison = Comparison(books, desk, clock, facts)
        self._absence = Absence(clock, health, books, execution.waits.entry_life_ms)
        self._payments = Payments(books, clock)
        self.prover = Prover(books, desk, execution, clock, cadence.naked_s)
        self._funding_hour: int | None = None  # asked for up to it; None: to be asked
        self._stood_still_at: float | None = None  # monotonic s
        self.last_at: float | None = None  # monotonic s of the last complete comparison
        self.account: Account | None = None
        self.foreign_orders = 0

    @property
    def in_step(self) -> bool:
        """Whether the books were compared with the venue not long ago."""
        return self._health.in_step

    # --- services ----------------------------------------------------------------------

    async def listen(self) -> None:
        """Service: fold the account's stream into the books."""
        async for event in self._venue.events():
            with self._clock.busy():
                match event:
                    case Fill():
                        self._books.filled(event)
                        self._ask_if_in_doubt()
                        self._sweep_when_flat(event.symbol)
                    case Funding():
                        self._hear_funding(event)
                    case OrderUpdate(order=told):
                        self._books.told(told)
                        self._ask_if_bare(told)
                    case Reconnected():
                        log.warning("stream_back", away_s=round(event.gap_s, 1))
                        self._funding_hour = None
                        self._execution.doubt.set()

    def _hear_funding(self, funding: Funding) -> None:
        """Book it; one that nobody seems to owe waits for the fill that was not told."""
        if self._books.owes(funding):
            self._books.funded(funding)
        else:
            self._funding_hour = None
            self._execution.doubt.set()

    def _ask_if_in_doubt(self) -> None:
        if self._books.in_doubt:
            self._books.in_doubt = False
            self._execution.doubt.set()

    def _ask_if_bare(self, told: VenueOrder) -> None:
        """The venue, or a person there, took a stop away: the stop proof looks at once.

        Not when its position goes as well: stop and target end with it, in any order of frames.
        """
        order, held = self._books.order_by(told.cloid, told.venue_id), None
        if order is not None and order.leg is Leg.STOP:
            held = self._books.positions.get(order.symbol)
        if order is None or held is None or held.trace_id != order.trace_id:
            return
        gone = order.status is OrderStatus.CANCELLED and told.raw_status not in WITH_ITS_POSITION
        bare = not self._books.resting_stops(order.symbol, held.trace_id)
        if gone and bare and not self._desk.works_on(order.symbol):
            log.error("stop_taken_away", symbol=order.symbol, status=told.raw_status)
            now = self._clock.now()
            self._facts.tell("stop_taken_away", now, symbol=order.symbol, status=told.raw_status)
            self._execution.doubt.set()

    def _sweep_when_flat(self, symbol: Symbol) -> None:
        """Stop and target go with their position as a rule: look whether they did."""
        if symbol not in self._books.positions and self._books.open_orders(symbol):
            self._execution.doubt.set()

    async def run(self) -> None:
        """Service: compare every `every_s`, and `doubt_s` after something came into doubt."""
        wait_s = self._cadence.every_s
        while True:
            if await self._clock.wait(self._execution.doubt, wait_s):
                await self._clock.pause(self._cadence.doubt_s)
            self._execution.doubt.clear()
            with self._clock.busy():
                done = await self.step()
            wait_s = self._next_look() if done else self._cadence.doubt_s

    def _next_look(self) -> float:
        """Machine seconds: sooner when an order in doubt can be settled, or a clock be known."""
        cadence = self._cadence
        soonest = cadence.every_s if self._health.clock_known else cadence.clock_s
        for order in self._books.open_orders():
            if order.status in IN_DOUBT and order.expires_at is not None:
                soonest = min(soonest, self._absence.left_s(order) + cadence.doubt_s)
        return soonest

    def stood_still(self, seconds: float) -> None:
        """The process stood still: nothing is opened before books and venue were compared."""
        log.error("loop_stood_still", seconds=round(seconds, 1), action="no entries until compared")
        self._believe_nothing()

    def clock_set(self, by_s: float) -> None:
        """The wall clock was set, or the machine slept: the same as standing still."""
        log.warning("clock_set", by_s=round(by_s, 1), action="no entries until compared")
        self._believe_nothing()

    def _believe_nothing(self) -> None:
        self._stood_still_at = self._clock.monotonic()
        self._health.in_step = False
        self._execution.doubt.set()

    async def start(self) -> None:
        """Compare until it worked once; nothing may be opened before."""
        while not await self.step():
            await self._clock.pause(self._cadence.doubt_s)

    async def step(self) -> bool:
        """One comparison; False when the venue could not be asked."""
        standing, began = self._books.safety.blocks.all(), self._clock.monotonic()
        try:
            await self._fetch_fills()
            busy = self.prover.worked_on()
            account = await self._venue.account()
        except NO_ANSWER as error:
            return self._failed(str(error))
        except InvariantBroken as error:
            self._books.safety.tighten(TradingState.HALTED, str(error))
            return self._failed(str(error))
        if account.at < self._books.last_fill_at:
            # Its parts are not in step: what it says of positions is of before that fill.
            return self._failed(f"the account is of {account.at}, a fill of later is known")
        self.account = account
        for told in account.orders:
            self._books.told(told)
        # At once, while this is of now: no question that hangs may hold up a missing stop.
        self._execution.look_for_dust()
        self.prover.prove(account, busy)
        try:
            await self._fetch_funding()
        except NO_ANSWER as error:
            return self._failed(str(error))
        await self._health.measure()
        self._health.judge_clock(self._cadence.late_s)
        self._look_back_from_now()
        await self._settle_absent({order.venue_id for order in account.orders}, began)
        self._unblock_settled()
        self._unblock_markets()
        if self.comparison.positions(account, standing):
            self._execution.doubt.set()
        self.comparison.balance(account)
        await self._keep_apart(account)
        await self._cancel_strays(account)
        self.last_at = self._clock.monotonic()
        # A comparison that began before the process stood still is of before that.
        self._health.in_step = self._stood_still_at is None or began > self._stood_still_at
        return True

    def _failed(self, why: str) -> bool:
        """Nothing is concluded; where it goes on for long, nothing is opened either."""
        log.warning("not_reconciled", error=why)
        if self.last_at is not None:
            self._health.judge_clock(self._cadence.late_s)
        at = self.last_at
        if at is not None and self._clock.monotonic() - at > self._cadence.late_s:
            if self._health.in_step:
                log.error("reconciliation_late", error=why, action="no entries until it works")
            self._health.in_step = False
        return False

    # --- orders --------------------------------------------------------------------------

    async def _fetch_fills(self) -> None:
        books = self._books
        fills = await self._venue.fills_since(books.fills_from)
        for fill in fills:
            books.filled(fill)
        newest = max((fill.at for fill in fills), default=books.fills_from)
        books.fills_from = Ms(max(books.fills_from, newest - fill_overlap(books)))

    def _look_back_from_now(self) -> None:
        """Before the first fill ever it is asked from the start on, by our clock: where that
        was ahead, nothing would be told until the venue's is there.
        """
        books, told = self._books, self._health.venue_now()
        any_fill = books.last_fill_at or books.closed_trades or books.positions
        if told is None or any_fill or books.fills_from <= told:
            return
        log.warning("look_back_mended", by_s=round((books.fills_from - told) / 1000, 1))
        books.fills_from = Ms(told - fill_overlap(books))
        books.paid.since = min(books.paid.since, told)

    async def _fetch_funding(self) -> None:
        """Paid by the hour: the stream tells it, and one question after each hour makes sure."""
        hour = (self._clock.now() - FUNDING_LATE_MS) // HOUR_MS
        if hour == self._funding_hour:
            return
        told = await self._venue.funding_since(self._books.paid.since)
        self._funding_hour = hour if self._payments.fold(told) else None

    async def _settle_absent(self, resting: Set[int], began: float) -> None:
        """Ask for each order that we think lives and the venue does not show."""
        for order in self._books.open_orders():
            if order.venue_id in resting or self._desk.works_on(order.symbol):
                continue
            try:
                told = await self._venue.order_status(order.symbol, order.cloid)
            except NO_ANSWER as error:
                log.warning("order_not_asked", cloid=order.cloid, error=str(error))
                self._execution.doubt.set()
                continue
            if told is not None:
                self._books.told(told)
            elif self._absence.proved(order, began):
                current = self._books.orders.get(order.cloid, order)
                self._books.follow_up((_ended(current, self._clock.now()),))

    def _unblock_settled(self) -> None:
        """Lift the blocks of unknown entries that are known now, whoever told us of them."""
        blocks, orders = self._books.safety.blocks, self._books.orders
        for symbol, standing in blocks.all().items():
            for block in standing:
                order = orders.get(Cloid(block.key))
                if block.kind is not BlockKind.UNKNOWN_ENTRY or order is None:
                    continue
                if order.status is not OrderStatus.UNKNOWN:
                    now, status = self._clock.now(), order.status.value
                    self._facts.tell("unknown_settled", now, cloid=order.cloid, status=status)
                    blocks.lift(symbol, block)

    def _unblock_markets(self) -> None:
        """A market that was shut is tried again after a while; a delisted one once it is listed."""
        blocks, delisted = self._books.safety.blocks, self._execution.delisted()
        for symbol in delisted:
            blocks.put(symbol, BlockKind.DELISTED, "delisted at the venue")
        now = self._clock.monotonic()
        for symbol, standing in blocks.all().items():
            for block in standing:
                over = block.kind is BlockKind.MARKET_SHUT and now - block.since >= SHUT_S
                listed = block.kind is BlockKind.DELISTED and symbol not in delisted
                if over or listed:
                    blocks.lift(symbol, block)

    async def _cancel_strays(self, account: Account) -> None:
        """Orders of ours that guard nothing go; orders of others are counted, never touched.

        Beside a position of ours those go that we know to be of an earlier trade.
        """
        self.foreign_orders = sum(not life.is_ours(order.cloid) for order in account.orders)
        for told in account.orders:
            if told.cloid is None or not life.is_ours(told.cloid):
                continue
            if self._desk.works_on(told.symbol) or not self._strays(
                told.symbol, told.cloid, account
            ):
                continue
            order = self._books.orders.get(told.cloid)
            log.info("stray_cancelled", symbol=told.symbol, cloid=told.cloid)
            await self._cancel(told.symbol, told.cloid, order)

    def _strays(self, symbol: Symbol, cloid: Cloid, account: Account) -> bool:
        held = self._books.positions.get(symbol)
        if held is None:
            return symbol not in account.positions
        return self._books.of_another(cloid, held.trace_id)

    async def _cancel(self, symbol: Symbol, cloid: Cloid, order: Order | None) -> None:
        if order is not None:
            await self._execution.cancel(order)
            return
        try:
            await self._venue.cancel(symbol, cloid)
        except NO_ANSWER as error:
            log.warning("cancel_failed", cloid=cloid, error=str(error))
            self._execution.doubt.set()

    async def _keep_apart(self, account: Account) -> None:
        """Where somebody else holds some of it, what follows the position would take theirs too.

        The stop is laid anew with our size; a target goes, and care judges it.
        """
        for told in account.orders:
            guard, cloid = self._books.guards.get(told.symbol), told.cloid
            ours = told.whole_position and cloid is not None and life.is_ours(cloid)
            if not ours or guard is None or self._desk.works_on(told.symbol):
                continue
            if not self._books.safety.blocks.shared(told.symbol):
                continue
            if told.is_stop:
                self._desk.move_stop(told.symbol, guard.stop)
            elif cloid is not None:
                await self._cancel(told.symbol, cloid, self._books.orders.get(cloid))


def _ended(order: Order, at: Ms) -> Order:
    """What an order that the venue does not know came to: gone when it was seen, else never."""
    if order.status is OrderStatus.OPEN:
        return life.cancelled(order, at, "unknown to the venue")
    return life.expired(order, at)

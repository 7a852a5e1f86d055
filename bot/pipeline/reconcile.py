"""Making the books agree with the venue: at start, after each gap, on doubt, every 30 s.

Owns the comparison and the stop proof; repairs through the desk, or closes the symbol to
entries and says so. A question that fails is no answer: nothing is concluded from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from bot.domain import orders as life
from bot.domain.protection import protected
from bot.domain.types import (
    ZERO,
    Account,
    Cloid,
    ExitReason,
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
from bot.pipeline.books import Books
from bot.pipeline.desk import Desk
from bot.pipeline.execute import NO_ANSWER, Execution
from bot.pipeline.facts import Facts
from bot.pipeline.health import Health
from bot.pipeline.recover import FILL_OVERLAP_MS
from bot.ports import Clock, Venue

log = structlog.get_logger(__name__)

ABSENCE_MARGIN_MS = 5_000  # spec 05: absence is proved 5 s after expiresAfter
FOREIGN, DRIFT = "foreign", "position drift"  # how such a block begins
DRIFT_LOOKS = 3  # a fill may be on its way; only the third look is a verdict


@dataclass(frozen=True, slots=True)
class Cadence:
    """Machine seconds; in lockstep deadlines of market time."""

    every_s: float = 30.0
    doubt_s: float = 1.0
    naked_s: float = 10.0


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
        self._drift: dict[Symbol, int] = {}
        self._naked: dict[Symbol, float] = {}
        self.last_at: float | None = None  # monotonic s of the last complete comparison
        self.account: Account | None = None
        self.foreign_orders = 0

    # --- services ----------------------------------------------------------------------

    async def listen(self) -> None:
        """Service: fold the account's stream into the books."""
        async for event in self._venue.events():
            with self._clock.busy():
                match event:
                    case Fill():
                        self._books.filled(event)
                        self._ask_if_in_doubt()
                    case Funding():
                        self._books.funded(event)
                    case OrderUpdate(order=order):
                        self._books.told(order)
                    case Reconnected():
                        log.warning("stream_back", away_s=round(event.gap_s, 1))
                        self._execution.doubt.set()

    def _ask_if_in_doubt(self) -> None:
        if self._books.in_doubt:
            self._books.in_doubt = False
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
            wait_s = self._cadence.every_s if done else self._cadence.doubt_s

    async def start(self) -> None:
        """Compare until it worked once; nothing may be opened before."""
        while not await self.step():
            await self._clock.pause(self._cadence.doubt_s)

    async def step(self) -> bool:
        """One comparison; False when the venue could not be asked."""
        blocked = dict(self._books.safety.blocked)
        try:
            await self._fetch()
            account = await self._venue.account()
        except NO_ANSWER as error:
            log.warning("not_reconciled", error=str(error))
            return False
        await self._health.measure()
        self.account = account
        resting = {order.venue_id: order for order in account.orders}
        for told in account.orders:
            self._books.told(told)
        await self._settle_absent(resting)
        self._unblock_settled()
        self._compare_positions(account, blocked)
        self._prove_stops(account)
        await self._cancel_strays(account)
        self.last_at = self._clock.monotonic()
        return True

    # --- orders --------------------------------------------------------------------------

    async def _fetch(self) -> None:
        books = self._books
        fills = await self._venue.fills_since(books.fills_from)
        for fill in fills:
            books.filled(fill)
        newest = max((fill.at for fill in fills), default=books.fills_from)
        books.fills_from = Ms(max(books.fills_from, newest - FILL_OVERLAP_MS))
        for funding in await self._venue.funding_since(books.funding_from):
            books.funded(funding)
            books.funding_from = max(books.funding_from, funding.at)

    async def _settle_absent(self, resting: dict[int, VenueOrder]) -> None:
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
            elif self._proves_absence(order):
                current = self._books.orders.get(order.cloid, order)
                self._books.follow_up((_ended(current, self._clock.now()),))

    def _proves_absence(self, order: Order) -> bool:
        """Whether "unknown" means "never placed": only once it can no longer arrive."""
        expires = order.expires_at or 0
        return self._clock.wall() > expires + ABSENCE_MARGIN_MS

    def _unblock_settled(self) -> None:
        """Open symbols again whose unknown entry is known now, whoever told us of it."""
        safety = self._books.safety
        for symbol, why in tuple(safety.blocked.items()):
            for order in reversed(self._books.orders.values()):
                if order.leg is not Leg.ENTRY or not why.endswith(order.cloid):
                    continue
                if order.status is not OrderStatus.UNKNOWN:
                    now, status = self._clock.now(), order.status.value
                    self._facts.tell("unknown_settled", now, cloid=order.cloid, status=status)
                    safety.unblock(symbol)
                break

    async def _cancel_strays(self, account: Account) -> None:
        """Orders of ours that guard nothing go; orders of others are counted, never touched."""
        self.foreign_orders = sum(not life.is_ours(order.cloid) for order in account.orders)
        for told in account.orders:
            if told.cloid is None or told.symbol in self._books.positions:
                continue
            if not life.is_ours(told.cloid) or self._desk.works_on(told.symbol):
                continue
            if told.symbol in account.positions:
                continue
            order = self._books.orders.get(told.cloid)
            log.info("stray_cancelled", symbol=told.symbol, cloid=told.cloid)
            await self._cancel(told.symbol, told.cloid, order)

    async def _cancel(self, symbol: Symbol, cloid: Cloid, order: Order | None) -> None:
        if order is not None:
            await self._execution.cancel(order)
            return
        try:
            await self._venue.cancel(symbol, cloid)
        except NO_ANSWER as error:
            log.warning("cancel_failed", cloid=cloid, error=str(error))
            self._execution.doubt.set()

    # --- positions -------------------------------------------------------------------------

    def _compare_positions(self, account: Account, blocked: Mapping[Symbol, str]) -> None:
        """`blocked`: as it was before the account was asked; what came since is not judged."""
        held, drift = self._books.positions, self._drift
        for symbol in sorted({*account.positions, *held, *drift, *blocked}):
            position, there = held.get(symbol), account.positions.get(symbol)
            ours = position.signed if position is not None else ZERO
            theirs = there.signed_size if there is not None else ZERO
            if ours == theirs:
                self._agreed(symbol, blocked.get(symbol, ""))
            elif not self._desk.works_on(symbol):
                self._drifted(symbol, str(ours), str(theirs), foreign=position is None)
                if there is None and self._drift[symbol] >= DRIFT_LOOKS:
                    self._give_up(symbol, str(ours))

    def _agreed(self, symbol: Symbol, why: str) -> None:
        """Open a symbol again that was closed because of what is not ours."""
        self._drift.pop(symbol, None)
        self._books.gone.discard(symbol)
        ended = why.startswith((FOREIGN, DRIFT)) and self._books.safety.blocked.get(symbol) == why
        if ended:
            self._books.safety.unblock(symbol)

    def _drifted(self, symbol: Symbol, ours: str, theirs: str, foreign: bool) -> None:
        """A difference may be a fill on its way; a position that is not ours blocks at once."""
        looks = self._drift.get(symbol, 0) + 1
        self._drift[symbol] = looks
        kind = f"{FOREIGN} position" if foreign else DRIFT
        why = f"{kind}: we hold {ours}, the venue says {theirs}"
        if looks == DRIFT_LOOKS:
            self._facts.tell("position_drift", self._clock.now(), symbol=symbol, why=why)
        if looks < DRIFT_LOOKS:
            self._execution.doubt.set()
        if looks >= DRIFT_LOOKS or (foreign and symbol not in self._books.safety.blocked):
            self._books.safety.block(symbol, why)

    def _give_up(self, symbol: Symbol, ours: str) -> None:
        """The venue holds nothing of what we hold, and no fill says why: a person must look.

        Stops and exits for it could only be refused, each at the cost of a request.
        """
        if symbol in self._books.gone:
            return
        self._books.gone.add(symbol)
        why = f"{symbol}: we hold {ours}, the venue nothing, and no fill explains it"
        log.error("position_gone", symbol=symbol, held=ours, action="halted; look at the venue")
        self._books.safety.set_state(TradingState.HALTED, why)

    # --- the stop proof -------------------------------------------------------------------

    def _prove_stops(self, account: Account) -> None:
        """Every position of ours has a resting stop at the venue, or gets one, or is closed."""
        for symbol, position in self._books.positions.items():
            if symbol in self._books.gone:
                continue
            there = account.positions.get(symbol)
            liquidation = there.liquidation_price if there is not None else None
            orders = [order for order in account.orders if order.symbol == symbol]
            proof = protected(position, orders, liquidation)
            if proof.ok:
                self._naked.pop(symbol, None)
            elif not self._desk.works_on(symbol):
                self._repair(symbol, proof.verdict.value)
        for symbol in [s for s in self._naked if s not in self._books.positions]:
            del self._naked[symbol]

    def _repair(self, symbol: Symbol, verdict: str) -> None:
        now = self._clock.monotonic()
        since = self._naked.setdefault(symbol, now)
        self._execution.doubt.set()
        if now - since <= self._cadence.naked_s:
            log.error("stop_missing", symbol=symbol, verdict=verdict, action="placing it")
            self._desk.defend(symbol)
            return
        why = f"{symbol}: no stop rests at the venue after {now - since:.0f} s ({verdict})"
        self._books.safety.set_state(TradingState.HALTED, why)
        self._desk.close(symbol, ExitReason.UNPROTECTED)


def _ended(order: Order, at: Ms) -> Order:
    """What an order that the venue does not know came to: gone when it was seen, else never."""
    if order.status is OrderStatus.OPEN:
        return life.cancelled(order, at, "unknown to the venue")
    return life.expired(order, at)

"""The desk: one task, two lanes, the only place from which orders leave.

Owns the order of entries and exits, and the exposure set aside for entries on their way;
knows neither how an order is sent (`execute`) nor why a signal was approved.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from bot.domain.instrument import Instrument
from bot.domain.portfolio import Reservation
from bot.domain.reasons import Reason, Stage
from bot.domain.types import Cleared, ExitReason, Intent, Symbol
from bot.pipeline.account_view import account_view
from bot.pipeline.books import Books
from bot.pipeline.correlate import Correlations
from bot.pipeline.decide import Look, Verdict, settle
from bot.pipeline.entry_lane import EntryLane, Offer
from bot.pipeline.execute import Execution
from bot.pipeline.health import Health
from bot.pipeline.patience import Patience
from bot.pipeline.plans import Plan
from bot.pipeline.policies import Policies
from bot.pipeline.trace import TraceBook, Trail
from bot.ports import Clock

log = structlog.get_logger(__name__)

BY_HAND = (ExitReason.MANUAL, ExitReason.FLATTEN)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One order's work, the symbol it is about, and what is over when it has landed."""

    symbol: Symbol
    work: Coroutine[None, None, None]
    over: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class DeskOptions:
    """`orders_at_once`: entries and exits in flight; 1 in lockstep, for a fixed order.

    Entries take half of it at most, so that those that hang never hold up an exit.
    """

    orders_at_once: int = 16
    drain_s: float = 5.0

    @property
    def entries_at_once(self) -> int:
        return max(1, self.orders_at_once // 2)


class Desk:
    """Takes offers and exit wishes; sends each in a task of its own and goes on."""

    def __init__(
        self,
        *,
        clock: Clock,
        books: Books,
        execution: Execution,
        health: Health,
        correlations: Correlations,
        instruments: Mapping[Symbol, Instrument],
        policies: Policies,
        traces: TraceBook,
        options: DeskOptions,
    ) -> None:
        self._clock = clock
        self._books = books
        self._execution = execution
        self._health = health
        self._correlations = correlations
        self._instruments = instruments
        self._policies = policies
        self._traces = traces
        self._options = options
        self._entries = EntryLane()
        self._exits: dict[Symbol, ExitReason] = {}
        self._moves: dict[Symbol, float] = {}
        self._defences: dict[Symbol, None] = {}
        self._symbols: Counter[Symbol] = Counter()  # orders in flight by symbol
        self._entering = 0
        self._leaving: set[Symbol] = set()
        self._moving: set[Symbol] = set()
        self._patience = Patience(clock)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed_to_entries = ""  # why no entry is taken any more, when it is so

    # --- what others ask for -----------------------------------------------------------

    def offer(self, offer: Offer) -> None:
        """Queue an entry; a newer one of its symbol replaces it, a full lane drops the least."""
        if self.closed_to_entries:
            self._drop(offer, Reason.STOPPING)
            return
        for gone, reason in self._entries.put(offer):
            self._drop(gone, reason)
        self._wake()

    def close(self, symbol: Symbol, reason: ExitReason, patient: bool = False) -> None:
        """Queue the exit of a position; asked twice, it is sent once.

        `patient`: not before the time for another try, also where a person wished it.
        """
        held = self._books.positions.get(symbol)
        if held is None or symbol in self._leaving or self._books.beyond_orders(symbol):
            return
        patient = patient or reason not in BY_HAND
        if patient and self._patience.asks(held):
            return
        self._exits.setdefault(symbol, reason)
        self._hurry(symbol)

    def move_stop(self, symbol: Symbol, price: float) -> None:
        """Queue a new price for a position's stop; the newest wins."""
        held = symbol in self._books.positions and not self._books.beyond_orders(symbol)
        if not held or symbol in self._moving:
            return
        self._moves[symbol] = price
        self._hurry(symbol)

    def defend(self, symbol: Symbol) -> None:
        """Queue the repair of a missing stop."""
        if not self.works_on(symbol) and symbol in self._books.positions:
            self._defences[symbol] = None
            self._hurry(symbol)

    def works_on(self, symbol: Symbol) -> bool:
        """Whether an order of this symbol is queued or in flight, so that a look is too early."""
        return symbol in self._exits or symbol in self._moves or self._symbols[symbol] > 0

    def leaves(self, symbol: Symbol) -> bool:
        """Whether an exit of this symbol is queued or in flight."""
        return symbol in self._exits or symbol in self._leaving

    def flatten(self, reason: ExitReason) -> tuple[Symbol, ...]:
        """Queue the exit of every position."""
        symbols = tuple(sorted(self._books.positions))
        for symbol in symbols:
            self.close(symbol, reason)
        return symbols

    def stop_entries(self, why: str) -> None:
        """Take no entry any more, and drop those that wait."""
        self.closed_to_entries = why
        for offer in self._entries.empty():
            self._drop(offer, Reason.STOPPING)

    async def drained(self) -> bool:
        """Wait until nothing is queued or in flight, within the limit; whether it was so."""
        try:
            async with asyncio.timeout(self._options.drain_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("desk_not_drained", in_flight=len(self._in_flight))
            return False
        return True

    @property
    def waiting(self) -> tuple[int, int]:
        """Lengths of the two lanes: entries, exits."""
        exits = len(self._exits) + len(self._moves) + len(self._defences)
        return len(self._entries), exits

    # --- the loop ------------------------------------------------------------------------

    async def run(self) -> None:
        """Service: serve the lanes until cancelled; an order in flight lives to its own limit."""
        async with asyncio.TaskGroup() as orders:
            while True:
                await self._work.wait()
                self._work.clear()
                with self._clock.busy():
                    await self._serve(orders)

    async def _serve(self, orders: asyncio.TaskGroup) -> None:
        """Start all that may; each entry in a turn of its own, for it takes 2 ms."""
        more = self.step(orders)
        while more:
            await asyncio.sleep(0)
            more = self.step(orders)

    def step(self, orders: asyncio.TaskGroup) -> bool:
        """Start what may start: exits first, then stop moves, then the best entry.

        Whether another entry may be looked at.
        """
        while self._has_room:
            job = self._next_exit() or self._next_defence() or self._next_move()
            if job is None:
                break
            self._begin(job, orders)
        if self._may_enter:
            entry = self._consider(self._entries.best())
            if entry is not None:
                self._begin(entry, orders)
        self._rest()
        return self._may_enter

    @property
    def _has_room(self) -> bool:
        return len(self._in_flight) < self._options.orders_at_once

    @property
    def _may_enter(self) -> bool:
        wanted = bool(self._entries) and self._entering < self._options.entries_at_once
        return wanted and self._has_room

    def _begin(self, job: Job, orders: asyncio.TaskGroup) -> None:
        self._symbols[job.symbol] += 1
        task = orders.create_task(self._held(job))
        self._in_flight.add(task)
        task.add_done_callback(partial(self._landed, job))

    def _next_exit(self) -> Job | None:
        if not self._exits:
            return None
        symbol = next(iter(self._exits))
        reason = self._exits.pop(symbol)
        self._leaving.add(symbol)
        return Job(symbol, self._leave(symbol, reason), partial(self._leaving.discard, symbol))

    def _next_defence(self) -> Job | None:
        while self._defences and self.leaves(next(iter(self._defences))):
            del self._defences[next(iter(self._defences))]
        if not self._defences:
            return None
        symbol = next(iter(self._defences))
        del self._defences[symbol]
        return Job(symbol, self._execution.defend(symbol))

    def _next_move(self) -> Job | None:
        # A stop is not moved while its exit is on its way: it may be gone when the new one comes.
        while self._moves and self.leaves(next(iter(self._moves))):
            del self._moves[next(iter(self._moves))]
        if not self._moves:
            return None
        symbol = next(iter(self._moves))
        price = self._moves.pop(symbol)
        self._moving.add(symbol)
        return Job(symbol, self._move(symbol, price), partial(self._moving.discard, symbol))

    async def _held(self, job: Job) -> None:
        with self._clock.busy():
            await job.work

    def _landed(self, job: Job, task: asyncio.Task[None]) -> None:
        """Count it out here: a task that is cancelled before its first step runs nothing."""
        self._in_flight.discard(task)
        self._symbols[job.symbol] -= 1
        self._execution.haste.end(job.symbol)
        job.work.close()
        job.over()
        self._wake()
        self._rest()

    def _hurry(self, symbol: Symbol) -> None:
        self._execution.haste.begin(symbol)
        self._wake()

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()

    def _rest(self) -> None:
        if not (self._in_flight or any(self.waiting)):
            self._idle.set()

    # --- one order -----------------------------------------------------------------------

    def _consider(self, offer: Offer) -> Job | None:
        """Look again, size, clear, reserve; the job that sends it, or None when refused."""
        symbol, trail = offer.symbol, offer.trail
        look = self._look(offer)
        if look is None:
            self._drop(offer, Reason.STALE_DATA)
            return None
        instrument = self._instruments[symbol]
        with trail.at(Stage.CLEAR):
            verdict = settle(offer.wish, look, instrument, self._policies, trail.id)
        trail.note("desk", {"look": look, "instrument": instrument, "verdict": verdict})
        if verdict.intent is None or verdict.cleared is None:
            log.info(
                "entry_refused",
                trace_id=trail.id,
                reason=verdict.reason.value,
                failed=[check.code.value for check in verdict.checks if not check.ok],
            )
            self._close(trail, verdict.reason, _refused_at(verdict))
            return None
        intent = verdict.intent
        self._books.reserve(intent.cloid, _reservation(intent), offer.snapshot.as_of)
        self._entering += 1
        over = partial(self._entered, intent, trail)
        return Job(symbol, self._enter(offer, verdict.cleared), over)

    def _look(self, offer: Offer) -> Look | None:
        newest = offer.bar_close or offer.snapshot.as_of
        facts = self._health.facts(offer.symbol, newest)
        books = self._books
        if facts is None or not books.priced:
            return None  # size and gate go by equity
        others = {*books.positions, *(taken.symbol for taken in books.reservations.values())}
        alike = self._correlations.with_held(offer.symbol, others)
        view = account_view(books, facts.now, alike)
        return Look(facts, view, offer.expires_at, offer.decided_price)

    async def _enter(self, offer: Offer, cleared: Cleared) -> None:
        trail, intent = offer.trail, cleared.intent
        plan = Plan.of(intent, offer.wish.signal.strategy, offer.wish.atr)
        self._on_its_way(trail)
        with trail.at(Stage.EXECUTE):
            reason = await self._execution.enter(cleared, plan, offer.expires_at)
        if reason is Reason.EXECUTED:
            log.info(
                "entered",
                trace_id=trail.id,
                side=intent.side.value,
                quantity=str(intent.quantity),
                stop=str(intent.stop),
                target=str(intent.target),
            )
        trail.note("orders", {"entry": intent.cloid, "stop": intent.stop_cloid})
        stage = Stage.PROTECT if reason is Reason.EXECUTED else Stage.EXECUTE
        self._close(trail, reason, stage)

    def _on_its_way(self, trail: Trail) -> None:
        """Should the process die now, the trace says so; written in the order's own task."""
        self._close(trail, Reason.UNKNOWN_OUTCOME, Stage.EXECUTE)

    def _entered(self, intent: Intent, trail: Trail) -> None:
        self._entering -= 1
        if trail.stage is Stage.CLEAR:  # cut off before its first step
            self._on_its_way(trail)
        if intent.cloid not in self._books.orders:  # cut off before it was written: never sent
            self._books.release(intent.cloid, unfilled=True)

    async def _leave(self, symbol: Symbol, reason: ExitReason) -> None:
        flat = await self._execution.leave(symbol, reason)
        held = self._books.positions.get(symbol)
        if flat or held is None:
            self._patience.over(symbol)
            return
        wait_s = self._patience.failed(held)
        log.error("exit_not_complete", symbol=symbol, reason=reason.value, again_in_s=wait_s)
        self._execution.doubt.set()

    async def _move(self, symbol: Symbol, price: float) -> None:
        await self._execution.move_stop(symbol, price)

    def _drop(self, offer: Offer, reason: Reason) -> None:
        log.info("offer_dropped", trace_id=offer.trail.id, reason=reason.value)
        self._close(offer.trail, reason, Stage.SIZE)

    def _close(self, trail: Trail, reason: Reason, stage: Stage) -> None:
        trail.end(reason, stage)
        self._traces.close(trail)


def _refused_at(verdict: Verdict) -> Stage:
    return Stage.CLEAR if verdict.reason is Reason.REFUSED else Stage.SIZE


def _reservation(intent: Intent) -> Reservation:
    stop = intent.stop if intent.stop is not None else intent.reference
    return Reservation(
        symbol=intent.symbol,
        side=intent.side,
        notional=intent.notional,
        risk_usd=abs(intent.reference - stop) * intent.quantity,
        margin=intent.notional / intent.leverage,
    )

"""The money of asking: reserved before a call, settled after it, durable in between.

Owns the totals of decision and day and the order of writing; knows neither prices nor models.
A call may leave only when its reserve is in the database, so a killed process has booked at
least what it may have spent. What stands without an answer stands at its reserve.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol

import structlog

from bot.domain.errors import TransientError
from bot.domain.prices import SpendingLimits, day_of, refusal
from bot.domain.types import ANSWERED, ASKED, ZERO, AbstentionKind, Attempt, TraceId
from bot.ports import Clock
from bot.runtime.calls import CallMeter

log = structlog.get_logger(__name__)

DECISIONS_KEPT = 4096  # whose totals are remembered; far more than are asked about at once
RETRY_S = 5.0
DAY_MS = 86_400_000

Key = tuple[TraceId, str, int]


class AttemptStore(Protocol):
    """Every request to a model, written before it leaves and again when it ended."""

    async def put(self, attempts: Sequence[Attempt]) -> None:
        """Write rows in one transaction, each in the place of the same attempt's earlier one.

        Raises TransientError when they are not in the database.
        """
        ...

    async def since(self, wall_ms: int) -> tuple[Attempt, ...]:
        """Attempts that were asked from then on, without their texts. Raises TransientError."""
        ...


class Purse:
    """One budget for all seats. `reserve` and `settle` never disagree about what stands."""

    def __init__(self, store: AttemptStore, clock: Clock, limits: SpendingLimits) -> None:
        self._store = store
        self._clock = clock
        self.limits = limits
        self._day: date = day_of(clock.wall())
        self._cost: defaultdict[str, Decimal] = defaultdict(Decimal)  # of the day, by seat
        self._reserved: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._ends: Counter[tuple[str, str]] = Counter()  # (seat, kind) of the day
        self.calls: defaultdict[str, CallMeter] = defaultdict(CallMeter)  # by seat
        self._decisions: OrderedDict[TraceId, Decimal] = OrderedDict()
        self._unwritten: dict[Key, Attempt] = {}
        self._writing = asyncio.Lock()
        self._work = asyncio.Event()

    async def open(self) -> None:
        """Take up what was spent today before this start. Raises TransientError."""
        today = self._clock.wall()
        self._turn_page()
        for attempt in await self._store.since(today - today % DAY_MS):
            self._cost[attempt.seat] += attempt.cost
            self._reserved[attempt.seat] += attempt.reserved
            self._ends[(attempt.seat, attempt.kind)] += 1

    async def reserve(self, attempt: Attempt) -> str | None:
        """Set `attempt.reserved` aside and make that durable; why not, in words, else None.

        The look and the booking are one step: however many ask at once, no limit is passed.
        """
        self._turn_page()
        standing = self._decisions.get(attempt.trace_id, ZERO)
        why = refusal(self.limits, attempt.reserved, standing, self.spent + self.reserved)
        if why is not None:
            return why
        self._book(attempt, 1)
        self._unwritten[_key(attempt)] = attempt
        try:
            await self._write()
        except TransientError as error:
            self._book(attempt, -1)
            self._unwritten.pop(_key(attempt), None)
            return f"what asking costs cannot be booked: {error}"
        except BaseException:
            self.settle(attempt, attempt)  # cancelled while it was written: it stands
            raise
        return None

    def settle(self, reserved: Attempt, done: Attempt) -> None:
        """Put what came of it in the place of the reserve; the row follows."""
        self._book(reserved, -1)
        self._book(done, 1)
        self.note(done)

    def note(self, attempt: Attempt) -> None:
        """Keep the row of an attempt whose money is booked, or that cost nothing."""
        self._turn_page()
        if attempt.kind != ASKED:
            self._ends[(attempt.seat, attempt.kind)] += 1
            self._measure(attempt)
        self._unwritten[_key(attempt)] = attempt
        self._work.set()

    async def run(self) -> None:
        """Service: write what was settled, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._write()
            except TransientError as error:
                log.warning("attempts_not_stored", rows=len(self._unwritten), error=str(error))
                self._work.set()
                await self._clock.pause(RETRY_S)

    async def flush(self) -> None:
        """Write what waits. Raises TransientError."""
        await self._write()

    # --- figures -------------------------------------------------------------------------

    @property
    def spent(self) -> Decimal:
        """USD of today's answers."""
        return sum(self._cost.values(), ZERO)

    @property
    def reserved(self) -> Decimal:
        """USD that stand for calls without an answer, today."""
        return sum(self._reserved.values(), ZERO)

    @property
    def backlog(self) -> int:
        return len(self._unwritten)

    def of_decision(self, trace_id: TraceId) -> Decimal:
        """USD that stand for one decision."""
        return self._decisions.get(trace_id, ZERO)

    def figures(self) -> Mapping[str, object]:
        """Today's money and ends, for /status and /metrics."""
        self._turn_page()
        ends = sorted(self._ends.items())
        return {
            "day": self._day.isoformat(),
            "cost_usd": self.spent,
            "reserved_usd": self.reserved,
            "budget_usd": self.limits.per_day,
            "left_usd": max(self.limits.per_day - self.spent - self.reserved, ZERO),
            "answers": sum(count for (_, kind), count in ends if kind == ANSWERED),
            "abstentions": sum(count for (_, kind), count in ends if kind not in (ANSWERED, ASKED)),
            "seats": {
                seat: self._of_seat(seat) for seat in sorted({seat for (seat, _), _ in ends})
            },
        }

    def _of_seat(self, seat: str) -> Mapping[str, object]:
        ends = {kind: count for (who, kind), count in sorted(self._ends.items()) if who == seat}
        return {
            "cost_usd": self._cost[seat],
            "reserved_usd": self._reserved[seat],
            "attempts": {kind: count for kind, count in ends.items() if kind != ASKED},
        }

    def _measure(self, attempt: Attempt) -> None:
        if attempt.kind == AbstentionKind.BUDGET.value:
            return  # it was never sent
        answered = attempt.kind == ANSWERED
        self.calls[attempt.seat].note(attempt.latency_ms if answered else None)

    # --- parts ---------------------------------------------------------------------------

    def _book(self, attempt: Attempt, sign: int) -> None:
        if day_of(attempt.asked_at) == self._day:  # yesterday's call is settled on its own day
            self._cost[attempt.seat] += sign * attempt.cost
            self._reserved[attempt.seat] += sign * attempt.reserved
        standing = self._decisions.pop(attempt.trace_id, ZERO)
        self._decisions[attempt.trace_id] = standing + sign * attempt.stands_at
        while len(self._decisions) > DECISIONS_KEPT:
            self._decisions.popitem(last=False)

    def _turn_page(self) -> None:
        today = day_of(self._clock.wall())
        if today != self._day:
            self._day = today
            self._cost.clear()
            self._reserved.clear()
            self._ends.clear()

    async def _write(self) -> None:
        """Write everything that waits in one transaction; who comes meanwhile joins the next."""
        async with self._writing:
            rows, self._unwritten = self._unwritten, {}
            if not rows:
                return
            try:
                await self._store.put(tuple(rows.values()))
            except BaseException:
                self._unwritten = {**rows, **self._unwritten}
                raise


def _key(attempt: Attempt) -> Key:
    return attempt.trace_id, attempt.seat, attempt.number

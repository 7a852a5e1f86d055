"""The venue's request weight, spent in order of importance and never beyond its limit.

Owns who may send now; knows no socket and no content of a request.
"""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random

import structlog

from bot.domain.errors import TransientError
from bot.domain.types import Ms
from bot.ports import Clock

log = structlog.get_logger(__name__)

WINDOW_MS = 61_000  # the venue's minute, and a second for requests that bunch up on the way
PENALTY_FIRST_MS = 5_000  # docs name no Retry-After; facts: start at 5 to 10 s
PENALTY_MAX_MS = 60_000
EXIT_PENALTY_MS = 500  # exits only step aside for a moment
_TURN_S = 60.0  # how long one waits for its turn before it looks again


class Priority(IntEnum):
    """Who goes first. The value is the place in the queue."""

    EXIT = 0  # exits and cancels
    ENTRY = 1
    ACCOUNT = 2
    POLLING = 3


# The part of the weight that each may fill: what lies above is kept for those before it.
_SHARE = {
    Priority.EXIT: 1.0,
    Priority.ENTRY: 0.95,
    Priority.ACCOUNT: 0.9,
    Priority.POLLING: 0.7,
}


class Shed(TransientError):
    """The request was not sent: too many wait, or the venue asked us to slow down."""


@dataclass(order=True, slots=True)
class _Ticket:
    priority: Priority
    number: int
    weight: int = field(compare=False)
    turn: asyncio.Event = field(compare=False)
    shed: bool = field(compare=False, default=False)


class WeightLimiter:
    """At most `per_minute` weight in any minute of market time.

    A sliding log, so that no window of the venue can be overrun whatever its phase. Waiting
    goes through the clock: a caller that holds it lets go while it waits.
    """

    def __init__(
        self, clock: Clock, per_minute: int, jitter: Random, *, max_waiting: int = 2_000
    ) -> None:
        self._clock = clock
        self._limit = per_minute
        self._jitter = jitter
        self._max_waiting = max_waiting
        self._spent: deque[tuple[Ms, int]] = deque()
        self._total = 0
        self._waiting: list[_Ticket] = []
        self._numbers = 0
        self._penalties = 0
        self._penalty_from = Ms(0)
        self._penalty_until = Ms(0)
        self.shed_count = 0

    @property
    def used(self) -> int:
        """Weight spent within the last minute."""
        self._forget()
        return self._total

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self, weight: int, priority: Priority) -> None:
        """Return when `weight` may be spent, and count it as spent. Raises Shed."""
        self._forget()
        if priority is Priority.POLLING and self._clock.now() < self._penalty_until:
            raise self._shed("the venue asked us to slow down", priority)
        ticket = self._enqueue(weight, priority)
        try:
            await self._my_turn(ticket)
            self.charge(weight)
        finally:
            self._waiting.remove(ticket)
            self._call_next()

    def charge(self, weight: int) -> None:
        """Count weight that is known only now (the venue weighs some answers by length)."""
        if weight > 0:
            self._forget()  # the clock may have been set back while the answer was on its way
            self._spent.append((self._clock.now(), weight))
            self._total += weight

    def penalise(self) -> None:
        """The venue said 429: everything waits, polling is shed, exits barely wait."""
        self._forget()
        now = self._clock.now()
        if now < self._penalty_until:
            return  # answers of one burst are one penalty
        length = min(PENALTY_FIRST_MS * 2**self._penalties, PENALTY_MAX_MS)
        length = int(length * (1 + self._jitter.random()))
        self._penalties += 1
        self._penalty_from, self._penalty_until = now, Ms(now + length)
        log.warning("venue_rate_limited", pause_ms=length, spent=self.used)
        for ticket in self._waiting:
            if ticket.priority is Priority.POLLING:
                ticket.shed = True
                ticket.turn.set()

    def answered(self) -> None:
        """A request went through: the next penalty starts small again."""
        if self._clock.now() >= self._penalty_until:
            self._penalties = 0

    def _enqueue(self, weight: int, priority: Priority) -> _Ticket:
        if len(self._waiting) >= self._max_waiting and priority is not Priority.EXIT:
            raise self._shed(f"{len(self._waiting)} requests wait already", priority)
        self._numbers += 1
        ticket = _Ticket(priority, self._numbers, weight, asyncio.Event())
        bisect.insort(self._waiting, ticket)
        return ticket

    async def _my_turn(self, ticket: _Ticket) -> None:
        while True:
            if ticket.shed:
                raise self._shed("the venue asked us to slow down", ticket.priority)
            if self._waiting[0] is not ticket:
                await self._clock.wait(ticket.turn, _TURN_S)
                ticket.turn.clear()
                continue
            free_at = self._free_at(ticket)
            if free_at <= self._clock.now():
                return
            await self._clock.sleep_until(free_at)

    def _call_next(self) -> None:
        if self._waiting:
            self._waiting[0].turn.set()

    def _free_at(self, ticket: _Ticket) -> Ms:
        """The market time at which this ticket fits, if nothing else is spent."""
        self._forget()
        start = self._penalty_until
        if ticket.priority is Priority.EXIT:
            start = min(start, Ms(self._penalty_from + EXIT_PENALTY_MS))
        start = max(start, self._clock.now())
        excess = self._total + ticket.weight - int(self._limit * _SHARE[ticket.priority])
        for at, weight in self._spent:
            if excess <= 0:
                break
            start = max(start, Ms(at + WINDOW_MS))
            excess -= weight
        return start

    def _forget(self) -> None:
        """Let go of what is older than the window, or lies ahead: the clock was set back.

        Time that has not come yet would bind the weight, and a pause, until it comes.
        """
        now = self._clock.now()
        if self._spent and self._spent[-1][0] > now:
            log.warning("clock_set_back", by_ms=self._spent[-1][0] - now)
            # At worst they were spent just now; never more than the venue has counted.
            self._spent = deque((min(at, now), weight) for at, weight in self._spent)
        if self._penalty_from > now:
            length = self._penalty_until - self._penalty_from
            self._penalty_from, self._penalty_until = now, Ms(now + length)
        horizon = now - WINDOW_MS
        while self._spent and self._spent[0][0] <= horizon:
            self._total -= self._spent.popleft()[1]

    def _shed(self, why: str, priority: Priority) -> Shed:
        self.shed_count += 1
        left_ms = max(0, self._penalty_until - self._clock.now())
        return Shed(
            f"hyperliquid request not sent ({priority.name.lower()}): {why}",
            retry_after_s=left_ms / 1000 or None,
        )


def info_weight(kind: str) -> int:
    """Weight of an /info request before its answer is known (docs, "Rate limits")."""
    return _INFO_WEIGHT.get(kind, 20)


def answer_weight(kind: str, answer: object) -> int:
    """Extra weight by the number of items that came back (docs, "Rate limits")."""
    per = _ITEMS_PER_WEIGHT.get(kind)
    return len(answer) // per if per is not None and isinstance(answer, list) else 0


def action_weight(batch: int) -> int:
    """Weight of an /exchange request with `batch` orders or cancels."""
    return 1 + batch // 40


_INFO_WEIGHT = {
    "l2Book": 2,
    "allMids": 2,
    "clearinghouseState": 2,
    "orderStatus": 2,
    "spotClearinghouseState": 2,
    "exchangeStatus": 2,
    "userRole": 60,
}
_ITEMS_PER_WEIGHT = {
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "candleSnapshot": 60,
}

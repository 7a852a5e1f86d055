"""Offers that wait for a person: asked once, answered once, forgotten by a restart.

Owns the wait between the approval gate and the desk; reserves nothing, sends nothing, and knows
no channel by which a person is reached. A yes only hands the offer on: the desk looks again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast

import structlog

from bot.domain.answer import (
    DENIALS,
    NOBODY,
    REASONS,
    Answer,
    Card,
    Denial,
    Denied,
    Said,
    confirmed,
)
from bot.domain.reasons import Stage
from bot.domain.types import Ms, Symbol, TraceId
from bot.pipeline.asking import Asking, card_of, ident_of
from bot.pipeline.decide import moved_r
from bot.pipeline.entry_lane import Offer
from bot.pipeline.facts import Facts
from bot.pipeline.policies import Policies
from bot.pipeline.trace import TraceBook
from bot.ports import Clock, Feed

log = structlog.get_logger(__name__)

PLACES = 8  # as many as the desk's entry lane: more than a person can judge in two minutes
REMEMBERED = 500  # answered ids, so that a second tap is told what became of the first


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    ident: str
    offer: Offer
    asking: Asking
    asked_at: Ms
    since: float  # machine time
    deadline: float


class Approvals:
    """Stands between road and desk; implements `bot.ports.Approver`."""

    def __init__(
        self,
        *,
        clock: Clock,
        feed: Feed,
        traces: TraceBook,
        facts: Facts,
        policies: Policies,
        expiry_s: float,
        enter: Callable[[Offer], None],
        spent: Callable[[TraceId], Decimal],
    ) -> None:
        """`enter` takes what needs nobody, or has its yes: the desk. `expiry_s`: machine time.

        `spent`: USD that stand in the books for asking the models about a decision.
        """
        self._clock = clock
        self._feed = feed
        self._traces = traces
        self._facts = facts
        self._policies = policies
        self._expiry_s = expiry_s
        self._enter = enter
        self._spent = spent
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._answered: OrderedDict[str, Answer] = OrderedDict()
        self._newest: dict[Symbol, Ms] = {}  # bar closes of symbols that wait
        self._asked = asyncio.Event()
        self.closed = ""  # why nothing may wait any more, when it is so

    # --- from the road -------------------------------------------------------------------

    def offer(self, offer: Offer) -> None:
        """Ask a person, or hand on; a newer signal of a symbol ends the wait of the older one."""
        for known in [p for p in self._pending.values() if p.offer.symbol == offer.symbol]:
            self._end(known, Said.REPLACED)
        if offer.asking is None:
            self._enter(offer)
            return
        self._ask(offer, offer.asking)

    def saw(self, symbol: Symbol, bar_close: Ms) -> None:
        """Know the newest closed bar: what waited is not judged by the age of its own."""
        if any(pending.offer.symbol == symbol for pending in self._pending.values()):
            self._newest[symbol] = bar_close

    # --- from a person -------------------------------------------------------------------

    def waiting(self) -> tuple[Card, ...]:
        """The cards of what may be decided now, oldest first."""
        now = self._clock.monotonic()
        return tuple(
            self._card(p, p.deadline - now) for p in self._pending.values() if p.deadline > now
        )

    def _card(self, pending: _Pending, left_s: float) -> Card:
        trace = pending.offer.trail.id
        spent = self._spent(trace)
        return card_of(pending.asking, trace, pending.ident, pending.asked_at, left_s, spent)

    def approve(self, ident: str, by: str) -> Answer | Denied:
        """Take a yes, once; refused when it is too late or the price has moved too far."""
        pending = self._open(ident)
        if isinstance(pending, Denied):
            return self._denied(pending, "approve", ident, by)
        moved = self._moved(pending)
        if moved is not None and moved > self._policies.max_move_r:
            answer = self._end(pending, Said.PRICE_MOVED, by, moved)
            return self._denied(_denial(answer), "approve", ident, by)
        answer = self._end(pending, Said.APPROVED, by, moved)
        offer, now = pending.offer, self._clock.now()
        # It lived for its answer; from here on it lives as one that nobody was asked about.
        life = Ms(max(offer.expires_at, now + self._policies.timeframe.ms))
        newest = self._newest.pop(offer.symbol, None) or offer.bar_close
        self._enter(replace(offer, expires_at=life, bar_close=newest))
        return answer

    def reject(self, ident: str, by: str) -> Answer | Denied:
        """Take a no, once."""
        pending = self._open(ident)
        if isinstance(pending, Denied):
            return self._denied(pending, "reject", ident, by)
        return self._end(pending, Said.REJECTED, by, self._moved(pending))

    # --- the wait ------------------------------------------------------------------------

    async def run(self) -> None:
        """Service: end each wait when its time is over."""
        while True:
            left = self._left()
            if left is None:
                await self._asked.wait()
            elif left > 0:
                await self._clock.wait(self._asked, left)
            self._asked.clear()
            with self._clock.busy():
                self.expire()

    def expire(self) -> None:
        """Nobody answered in time: that is a no."""
        now = self._clock.monotonic()
        for pending in [p for p in self._pending.values() if p.deadline <= now]:
            self._end(pending, Said.TIMEOUT)

    def stop(self, why: str) -> None:
        """Let nothing wait any more, and end what waits."""
        self.closed = why
        for pending in tuple(self._pending.values()):
            self._end(pending, Said.STOPPING)

    def _left(self) -> float | None:
        """Machine seconds to the next end of a wait; None: nothing waits."""
        if not self._pending:
            return None
        return min(p.deadline for p in self._pending.values()) - self._clock.monotonic()

    def _ask(self, offer: Offer, asking: Asking) -> None:
        now, at = self._clock.monotonic(), self._clock.now()
        ident = ident_of(asking, offer.trail.id)
        pending = _Pending(ident, offer, asking, at, now, now + self._expiry_s)
        if self.closed:
            self._end(pending, Said.STOPPING)
            return
        self._pending[ident] = pending
        # Should the process die now, the trace says that nobody answered.
        self._note(pending, Answer(ident, Said.UNANSWERED, NOBODY, at))
        log.warning(
            "approval_asked",
            id=ident,
            trace_id=offer.trail.id,
            symbol=offer.symbol,
            side=asking.preview.side.value,
            expires_s=self._expiry_s,
        )
        self._facts.tell("approval_asked", at, id=ident, trace_id=offer.trail.id)
        if len(self._pending) > PLACES:
            # min() gives the first of equals: the older one goes.
            self._end(min(self._pending.values(), key=lambda p: p.offer.score), Said.CROWDED_OUT)
        self._asked.set()

    def _open(self, ident: str) -> _Pending | Denied:
        """What may still be answered under this id."""
        self.expire()
        pending = self._pending.get(ident)
        if pending is not None:
            return pending
        answer = self._answered.get(ident)
        if answer is not None:
            return _denial(answer)
        return Denied(
            Denial.UNKNOWN,
            "nothing of this id waits: it was never asked, or Keel has started since",
        )

    def _moved(self, pending: _Pending) -> float | None:
        """How far the price is from the one that was shown; None without a price."""
        offer = pending.offer
        market = self._feed.market(offer.symbol)
        if market is None:
            return None
        return round(moved_r(offer.wish, offer.decided_price, market.mark), 4)

    def _end(
        self, pending: _Pending, said: Said, by: str = NOBODY, moved: float | None = None
    ) -> Answer:
        """Take it out of the wait, first of all; then write down what it came to."""
        self._pending.pop(pending.ident, None)
        if said is not Said.APPROVED:
            self._newest.pop(pending.offer.symbol, None)
        now = self._clock.now()
        answer = Answer(
            pending.ident,
            said,
            by,
            pending.asked_at,
            now,
            self._clock.wall() if by != NOBODY else None,
            round(self._clock.monotonic() - pending.since, 3),
            moved,
        )
        self._answered[pending.ident] = answer
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        self._note(pending, answer)
        trail = pending.offer.trail
        log.warning(
            "approval_answered",
            id=pending.ident,
            trace_id=trail.id,
            symbol=pending.offer.symbol,
            said=said.value,
            by=by,
            waited_s=answer.waited_s,
        )
        self._facts.tell(
            "approval_answered", now, id=pending.ident, trace_id=trail.id, said=said.value, by=by
        )
        return answer

    def _note(self, pending: _Pending, answer: Answer) -> None:
        """Write the answer into the trace's approval, and how the road stands."""
        trail = pending.offer.trail
        verdict = confirmed(pending.asking.approved, answer)
        approval = cast(Mapping[str, object], trail.body.get("approval", {}))
        trail.note("approval", {**approval, "answer": answer, "verdict": verdict})
        # A yes is written before the desk has it, which says it again when it ended: should the
        # process die between the two, the trace does not deny that somebody said yes.
        trail.end(REASONS[answer.said], Stage.APPROVE)
        self._traces.close(trail)

    def _denied(self, denied: Denied, asked: str, ident: str, by: str) -> Denied:
        log.warning("approval_denied", asked=asked, id=ident, by=by, why=denied.code.value)
        return denied


def _denial(answer: Answer) -> Denied:
    """Why an id that was used cannot be used again."""
    code = DENIALS[answer.said]
    match code:
        case Denial.ALREADY_ANSWERED:
            message = f"already {answer.said.value} by {answer.by}: an id is used once"
        case Denial.EXPIRED:
            message = f"not answered within {answer.waited_s:.0f} s: that counts as a no"
        case Denial.PRICE_MOVED:
            message = f"the price is {answer.moved_r:.2f} R from the one that was shown: no trade"
        case Denial.NEWER_SIGNAL:
            message = "a newer signal of the symbol took its place"
        case Denial.CROWDED_OUT:
            message = f"better signals took the {PLACES} places"
        case _:
            message = "Keel takes no entry any more"
    return Denied(code, message)

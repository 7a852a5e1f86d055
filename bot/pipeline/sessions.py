"""Signals before the council: one a symbol, beside the cycles, offered best first.

Owns the wait and the order of what comes out of it; a cycle never waits for a session, and a
symbol without one is never delayed by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from bot.domain.reasons import Reason, Stage
from bot.domain.types import Symbol
from bot.pipeline.chamber import Chamber
from bot.pipeline.entry_lane import Offer
from bot.pipeline.trace import TraceBook, Trail

log = structlog.get_logger(__name__)

Hearing = Coroutine[None, None, Offer | None]


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One signal that is worth asking about; `hearing` makes it an offer, or ends its road."""

    symbol: Symbol
    trail: Trail
    hearing: Callable[[], Hearing]


class Sessions:
    """Hears the sessions of a cycle at once; the newer one of a symbol takes its place."""

    def __init__(
        self,
        chamber: Chamber,
        traces: TraceBook,
        offer: Callable[[Offer], None],
        gather_s: float,
    ) -> None:
        """`gather_s`: machine seconds in which answers wait for better ones of their cycle."""
        self._chamber = chamber
        self._traces = traces
        self._offer = offer
        self._gather_s = gather_s
        self._waiting: dict[Symbol, asyncio.Task[Offer | None]] = {}
        self._replaced: dict[asyncio.Task[Offer | None], None] = {}

    @property
    def waiting(self) -> tuple[Symbol, ...]:
        """Symbols before the council now."""
        return tuple(self._waiting)

    def open(self, sessions: Sequence[Session]) -> None:
        """Put the signals of one cycle before the council, and go on at once."""
        tasks = [self._begin(session) for session in sessions]
        if tasks:
            self._chamber.spawn(self._offer_best_first(tasks), holds=False)

    def _begin(self, session: Session) -> asyncio.Task[Offer | None]:
        known = self._waiting.get(session.symbol)
        if known is not None:  # one a symbol: nobody is asked twice, the newer signal counts
            self._replaced[known] = None
            known.cancel()
        task = self._chamber.spawn(self._hear(session))
        self._waiting[session.symbol] = task
        task.add_done_callback(partial(self._ended, session))
        return task

    async def _hear(self, session: Session) -> Offer | None:
        offer = await session.hearing()
        if offer is None:
            self._traces.close(session.trail)
        return offer

    def _ended(self, session: Session, task: asyncio.Task[Offer | None]) -> None:
        """Let go of the place; one that was cut short says by what, even before it began."""
        if self._waiting.get(session.symbol) is task:
            del self._waiting[session.symbol]
        replaced = task in self._replaced
        self._replaced.pop(task, None)
        if task.cancelled():
            self._end(session.trail, Reason.REPLACED if replaced else Reason.STOPPING)

    async def _offer_best_first(self, tasks: Sequence[asyncio.Task[Offer | None]]) -> None:
        """All that answered, best score first, once all have or 5 s after the first one."""
        left = set(tasks)
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if left:
                await self._chamber.together(left, self._gather_s)
                done |= {task for task in left if task.done()}
                left -= done
            came = [task.result() for task in done if not task.cancelled()]
            offers = [offer for offer in came if offer is not None]
            for offer in sorted(offers, key=lambda one: (-one.score, one.symbol)):
                self._offer(offer)

    def _end(self, trail: Trail, reason: Reason) -> None:
        log.info("session_ended", trace_id=trail.id, reason=reason.value)
        trail.end(reason, Stage.DELIBERATE)
        self._traces.close(trail)

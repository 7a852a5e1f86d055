"""Signed actions: sign, send once, and read whether the venue took them.

Owns the nonce of each action and the action's own verdict; knows no meaning of a leg.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog

from bot.adapters.venues.hyperliquid.limiter import Priority
from bot.adapters.venues.hyperliquid.shapes import Row, UnreadableAnswer
from bot.adapters.venues.hyperliquid.signing import Signer
from bot.adapters.venues.hyperliquid.transport import Transport
from bot.adapters.venues.hyperliquid.wire import Action
from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected

log = structlog.get_logger(__name__)

_LOW = "nonce too low"  # facts 2.3: provably not executed
_HIGH = "nonce too high"  # the same: our clock is, or was, more than a day ahead
# Our nonces are unique, so "duplicate" means that the request came twice (a gateway passed it on
# once more): the first one may have been carried out.
_TWICE = "duplicate nonce"
_ORDER = "order"  # what else is sent (cancels, leverage) does no more when done twice
_EXPIRED = "already expired"  # facts 2.3
_TOO_LOW = re.compile(r"nonce too low \d+ < (\d+)")
_TOO_HIGH = re.compile(r"nonce too high \d+ > (\d+)")
_ADDRESS_BUDGET = "Too many cumulative requests"  # facts 5: refused free, one pass each 10 s
_ADDRESS_PAUSE_S = 10.0


class Actions:
    """Sends signed actions of one signer.

    At most `in_flight` entries and as many exits at a time, in lanes of their own. With 1
    both share one lane, so that the order of everything sent is deterministic.
    """

    def __init__(
        self, transport: Transport, signer: Signer, wall: Callable[[], int], in_flight: int
    ) -> None:
        self._transport = transport
        self._wall = wall
        self._signer = signer
        self._entries = asyncio.Semaphore(in_flight)
        self._exits = self._entries if in_flight == 1 else asyncio.Semaphore(in_flight)
        self.sent = 0  # against the address budget: each order or cancel of a batch counts

    async def perform(
        self,
        action: Action,
        *,
        batch: int = 1,
        priority: Priority = Priority.EXIT,
        expires_after: int | None = None,
    ) -> Row:
        """Send `action` and return the `response` object of the answer.

        `expires_after` (wall clock, ms) is looked at once more before signing: an expired
        action costs five times the address budget (facts 2.4).
        Raises VenueRejected (the whole action was refused; nothing exists), TransientError
        (not executed, may be sent again), AmbiguousOutcome (nobody knows).
        """
        # First the weight, then the lane: nobody waits for market time inside a lane.
        await self._transport.admit_action(batch, priority)
        async with self._lane(priority):
            if expires_after is not None and self._wall() >= expires_after:
                raise TransientError("hyperliquid: the action expired while it waited; not sent")
            return await self._with_a_fresh_nonce(action, batch, priority, expires_after)

    async def perform_always(self, action: Action, life_ms: int) -> Row:
        """Send what only reduces: it lives `life_ms` from its signing, for ever when it must.

        The venue's answer that it came too late proves that nothing was done, and that the
        clocks differ: then it goes once more without an end. Errors as in `perform`.
        """
        await self._transport.admit_action(1, Priority.EXIT)
        async with self._lane(Priority.EXIT):
            expires_after = self._wall() + life_ms
            try:
                return await self._with_a_fresh_nonce(action, 1, Priority.EXIT, expires_after)
            except VenueRejected as refusal:
                if _EXPIRED not in refusal.raw:
                    raise
                log.warning("exit_expired_at_once", advice="this machine's clock is behind")
            return await self._with_a_fresh_nonce(action, 1, Priority.EXIT, None)

    def _lane(self, priority: Priority) -> AbstractAsyncContextManager[None]:
        return self._exits if priority is Priority.EXIT else self._entries

    async def _with_a_fresh_nonce(
        self, action: Action, batch: int, priority: Priority, expires_after: int | None
    ) -> Row:
        try:
            return await self._once(action, batch, priority, expires_after)
        except VenueRejected as refusal:
            if not any(text in refusal.raw for text in (_LOW, _HIGH, _TWICE)):
                raise
            self._heed(refusal.raw)
            if _HIGH in refusal.raw and priority is not Priority.EXIT:
                raise  # what opens something is not tried again by such a clock
        # Nothing was executed, or once more does no harm.
        return await self._once(action, batch, priority, expires_after)

    async def _once(
        self, action: Action, batch: int, priority: Priority, expires_after: int | None
    ) -> Row:
        self.sent += batch
        body = self._signer.envelope(action, expires_after)
        answer = await self._transport.exchange(body, priority)
        try:
            return _verdict(answer)
        except UnreadableAnswer as error:
            raise AmbiguousOutcome(f"{error}: ask before sending again") from None
        except VenueRejected as refusal:
            if _TWICE in refusal.raw and action["type"] == _ORDER:
                raise AmbiguousOutcome(
                    f"{refusal.raw}: it came twice, the first one may stand: ask"
                ) from None
            raise

    def _heed(self, raw: str) -> None:
        if (low := _TOO_LOW.search(raw)) is not None:
            self._signer.nonces.advance(int(low.group(1)))
        if (high := _TOO_HIGH.search(raw)) is not None:
            self._signer.nonces.retreat(int(high.group(1)))
        log.warning("nonce_refused", answer=raw, advice="one process a key; check the clock")


def _verdict(answer: object) -> Row:
    row = Row.of("/exchange", answer)
    match row.text("status"):
        case "ok":
            return row.row("response")
        case "err":
            raw = row.text("response")
            if _ADDRESS_BUDGET in raw:
                raise TransientError(raw, retry_after_s=_ADDRESS_PAUSE_S)
            raise VenueRejected(raw)
        case other:
            raise UnreadableAnswer(f"hyperliquid /exchange: status {other!r}")

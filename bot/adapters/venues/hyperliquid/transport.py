"""HTTP to the venue: who may send, how long to wait, and what each failure means.

Owns connections, time limits and the translation of failures; knows no field of an answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import TypeVar

import aiohttp
import structlog

from bot.adapters.venues.hyperliquid.limiter import (
    Priority,
    Shed,
    WeightLimiter,
    action_weight,
    answer_weight,
    info_weight,
)
from bot.adapters.venues.hyperliquid.options import HyperliquidOptions
from bot.adapters.venues.hyperliquid.shapes import UnreadableAnswer
from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.ports import Clock
from bot.runtime.calls import CallMeter
from bot.runtime.tls import trust

log = structlog.get_logger(__name__)

INFO_ATTEMPTS = 3
_RETRY_FIRST_S = 0.5
_SHOWN = 200  # characters of a body that an error may show
_POOL = 5  # connections for questions; actions have pools of their own, see `_pools`
# The venue drops idle connections after about 3 minutes (SDK issues 138, 293); a reset on
# an order is ambiguous, so ours are dropped well before.
_KEEP_ALIVE_S = 30.0

_E = TypeVar("_E", bound=Exception)


@dataclass(slots=True)
class Condition:
    """How requests have been going; `failing` counts failures since the last answer.

    `on_failure` is called at each failed attempt.
    """

    failing: int = 0
    requests: int = 0
    retries: int = 0
    on_failure: Callable[[], None] | None = None


class Transport:
    """POST /info and /exchange with limits. One instance a venue and process.

    Entries, exits and questions have connections of their own: an entry that hangs never
    stands in the way of an exit.
    """

    def __init__(self, options: HyperliquidOptions, clock: Clock, limiter: WeightLimiter) -> None:
        self._options = options
        self._clock = clock
        self._limiter = limiter
        self._jitter = Random(options.jitter_seed)
        self._pools: dict[Priority, aiohttp.ClientSession] = {}
        self.condition = Condition()
        self.calls = {"/info": CallMeter(), "/exchange": CallMeter()}

    async def info(self, request: Mapping[str, object], priority: Priority) -> object:
        """Ask a question, at most three times. Returns the JSON of the answer.

        Numbers with a fraction come as Decimal. Raises TransientError (429, 5xx, time-out,
        reset, unreadable) and VenueRejected (the venue cannot serve this request).
        """
        # By hand: each object of tenacity's is a ring of twenty, which waits for a collection
        # where it was in use for long (a start asks for 600 windows, most of which wait).
        for attempt in range(1, INFO_ATTEMPTS):
            try:
                return await self._info_once(request, priority)
            except Shed:
                raise
            except TransientError:
                self.condition.retries += 1
            await self._clock.pause(self._backoff(attempt))
        return await self._info_once(request, priority)

    async def exchange(self, body: Mapping[str, object], priority: Priority) -> object:
        """Send one signed action, once. Returns the JSON of the answer.

        Raises TransientError (it never left, or 429), VenueRejected (4xx), AmbiguousOutcome
        (no answer, or one that does not tell).
        """
        kind = Priority.EXIT if priority is Priority.EXIT else Priority.ENTRY
        self.condition.requests += 1
        try:
            async with asyncio.timeout(self._options.exchange_limit_s):
                with self._clock.busy():
                    status, text = await self._post(kind, "/exchange", body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._failed(
                TransientError(
                    f"hyperliquid /exchange: no connection, nothing sent: {_name(error)}"
                )
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._failed(
                AmbiguousOutcome(
                    f"hyperliquid /exchange: no answer ({_name(error)}): ask before sending again"
                )
            ) from None
        return self._exchange_answer(status, text)

    async def admit_action(self, batch: int, priority: Priority) -> None:
        """Wait until an action with `batch` orders or cancels may be sent. Raises Shed."""
        await self._limiter.acquire(action_weight(batch), priority)

    async def close(self) -> None:
        """Close every connection."""
        for session in self._pools.values():
            await session.close()
        self._pools.clear()

    async def _info_once(self, request: Mapping[str, object], priority: Priority) -> object:
        kind = str(request["type"])
        await self._limiter.acquire(info_weight(kind), priority)
        self.condition.requests += 1
        try:
            async with asyncio.timeout(self._options.info_limit_s):
                with self._clock.busy():
                    status, text = await self._post(Priority.POLLING, "/info", request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._failed(
                TransientError(f"hyperliquid {kind}: no answer ({_name(error)})")
            ) from None
        answer = self._info_answer(kind, status, text)
        self._limiter.charge(answer_weight(kind, answer))
        return answer

    def _info_answer(self, kind: str, status: int, text: str) -> object:
        if status == 429:
            self._limiter.penalise()
            raise self._vain("/info", TransientError(f"hyperliquid {kind}: rate limited (429)"))
        if status >= 500 or 300 <= status < 400:
            raise self._vain("/info", TransientError(f"hyperliquid {kind}: HTTP {status}"))
        if status != 200:
            raise VenueRejected(f"hyperliquid {kind}: HTTP {status}: {text[:_SHOWN]}")
        try:
            answer = _parse(text)
        except ValueError:
            raise self._vain(
                "/info", UnreadableAnswer(f"hyperliquid {kind}: not JSON: {text[:_SHOWN]!r}")
            ) from None
        self._went_well()
        return answer

    def _exchange_answer(self, status: int, text: str) -> object:
        if status == 429:
            self._limiter.penalise()
            raise self._vain(
                "/exchange",
                TransientError("hyperliquid /exchange: rate limited (429), not executed"),
            )
        if 400 <= status < 500:
            raise VenueRejected(f"HTTP {status}: {text[:_SHOWN]}")
        if status != 200:
            # A gateway that gave up may have passed the order on (facts 9).
            raise self._vain("/exchange", AmbiguousOutcome(f"hyperliquid /exchange: HTTP {status}"))
        try:
            answer = _parse(text)
        except ValueError:
            raise self._vain(
                "/exchange", AmbiguousOutcome(f"hyperliquid /exchange: not JSON: {text[:_SHOWN]!r}")
            ) from None
        self._went_well()
        return answer

    async def _post(self, pool: Priority, path: str, body: Mapping[str, object]) -> tuple[int, str]:
        url = self._options.base_url + path
        with self.calls[path].timed(self._clock.monotonic):
            async with self._session(pool).post(url, json=body, allow_redirects=False) as reply:
                return reply.status, await reply.text(errors="replace")

    def _session(self, pool: Priority) -> aiohttp.ClientSession:
        if pool not in self._pools:
            limit = self._options.max_actions_in_flight if pool is Priority.ENTRY else _POOL
            self._pools[pool] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=limit, keepalive_timeout=_KEEP_ALIVE_S, ssl=trust(self._options.base_url)
                ),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._options.connect_limit_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._pools[pool]

    def _backoff(self, attempt: int) -> float:
        base = _RETRY_FIRST_S * 2.0 ** (attempt - 1)
        return base * (0.5 + self._jitter.random())

    def _failed(self, error: _E) -> _E:
        self.condition.failing += 1
        if self.condition.on_failure is not None:
            self.condition.on_failure()
        return error

    def _vain(self, path: str, error: _E) -> _E:
        """A failure that came as an answer: timed as one, and an error of that peer's calls."""
        self.calls[path].vain()
        return self._failed(error)

    def _went_well(self) -> None:
        if self.condition.failing:
            log.info("venue_answers_again", failures=self.condition.failing)
        self.condition.failing = 0
        self._limiter.answered()


def _parse(text: str) -> object:
    answer: object = json.loads(text, parse_float=Decimal)
    return answer


def _name(error: BaseException) -> str:
    """The class of a failure: its text may hold addresses, bodies or headers."""
    return type(error).__name__

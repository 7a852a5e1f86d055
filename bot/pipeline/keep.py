"""Keeping every closed bar that a decision saw, so that the decision can be replayed.

Owns which bars are already stored; knows nothing of decisions.
"""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np
import structlog

from bot.domain.errors import TransientError
from bot.domain.types import Bars, Symbol, Timeframe
from bot.ports import CandleStore, Clock

log = structlog.get_logger(__name__)

RETRY_S = 5.0
MAX_QUEUED = 5_000  # windows; beyond it the oldest go, and replay says they are gone


class CandleKeeper:
    """Queues new bars of each window; one service writes them behind the decision."""

    def __init__(self, store: CandleStore, source: str, clock: Clock) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._last: dict[tuple[Symbol, Timeframe], int] = {}
        self._queue: deque[tuple[Symbol, Timeframe, Bars]] = deque()
        self._work = asyncio.Event()
        self._writing = asyncio.Lock()  # the stop flushes beside the service
        self.dropped = 0

    def saw(self, symbol: Symbol, timeframe: Timeframe, bars: Bars) -> None:
        """Take a window; only bars newer than the last one seen are queued."""
        if not len(bars):
            return
        key = (symbol, timeframe)
        last = self._last.get(key)
        fresh = bars if last is None else bars[int(np.searchsorted(bars.ts, last, "right")) :]
        if not len(fresh):
            return
        self._last[key] = int(bars.ts[-1])
        self._queue.append((symbol, timeframe, fresh))
        if len(self._queue) > MAX_QUEUED:
            self._queue.popleft()
            self.dropped += 1
        self._work.set()

    async def run(self) -> None:
        """Service: write until cancelled."""
        while True:
            await self._work.wait()
            try:
                with self._clock.busy():
                    await self.flush()
            except TransientError as error:
                log.warning("candles_not_stored", error=str(error), queued=len(self._queue))
                await self._clock.pause(RETRY_S)

    async def flush(self) -> None:
        """Write what is queued. Raises TransientError; what was not written stays queued."""
        async with self._writing:
            while self._queue:
                symbol, timeframe, bars = self._queue[0]
                await self._store.put(self._source, symbol, timeframe, bars)
                self._queue.popleft()
            self._work.clear()

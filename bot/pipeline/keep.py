"""Keeping every closed bar that a decision saw, so that the decision can be replayed.

Owns which bars are already stored; knows nothing of decisions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice

import numpy as np
import structlog

from bot.domain.errors import TransientError
from bot.domain.types import Bars, Symbol, Timeframe
from bot.ports import CandleStore, Clock

_Seen = tuple[Symbol, Timeframe, Bars]

log = structlog.get_logger(__name__)

RETRY_S = 5.0
MAX_QUEUED = 5_000  # windows; beyond it the oldest go, and replay says they are gone
AT_ONCE = 50  # windows a write: after a candle's close there is one of every symbol


class CandleKeeper:
    """Queues what is new or different in each window; one service writes it behind the decision.

    The venue corrects bars that were decided on already: the store has each as it was last
    said, which is how the next decision sees it.
    """

    def __init__(self, store: CandleStore, source: str, clock: Clock) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._last: dict[tuple[Symbol, Timeframe], Bars] = {}
        self.corrected = 0  # bars that were stored and then said otherwise
        self._queue: deque[_Seen] = deque()
        self._work = asyncio.Event()
        self._writing = asyncio.Lock()  # the stop flushes beside the service
        self.dropped = 0

    def saw(self, symbol: Symbol, timeframe: Timeframe, bars: Bars) -> None:
        """Take a window; bars that the last one had, as it had them, are not queued again."""
        if not len(bars):
            return
        key = (symbol, timeframe)
        last = self._last.get(key)
        fresh = bars if last is None else self._fresh(bars, last)
        self._last[key] = bars
        if not len(fresh):
            return
        self._queue.append((symbol, timeframe, fresh))
        if len(self._queue) > MAX_QUEUED:
            self._queue.popleft()
            self.dropped += 1
        self._work.set()

    @property
    def waiting(self) -> Sequence[_Seen]:
        """What is not written yet, oldest first."""
        return self._queue

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
                some = list(islice(self._queue, AT_ONCE))
                await self._store.put(self._source, *some)
                self._written(some)
            self._work.clear()

    def _written(self, some: Sequence[_Seen]) -> None:
        """Take these off the queue, unless they were dropped from it meanwhile."""
        for one in some:
            if self._queue and self._queue[0] is one:
                self._queue.popleft()

    def _fresh(self, bars: Bars, last: Bars) -> Bars:
        """From the first bar on that is newer than the last window or differs from it.

        In arrays of their own: a slice would keep its whole window for as long as it waits.
        """
        newer = int(np.searchsorted(bars.ts, last.ts[-1], "right"))
        at = np.searchsorted(last.ts, bars.ts[:newer])  # both ascend, and end with last.ts at most
        known = last.ts[at] == bars.ts[:newer]
        before = at[known]
        same = np.ones(int(known.sum()), dtype=bool)
        for name in ("open", "high", "low", "close", "volume"):
            same &= getattr(bars, name)[:newer][known] == getattr(last, name)[before]
        changed = np.flatnonzero(known)[~same]
        if not len(changed):
            return _copied(bars[newer:])
        self.corrected += len(changed)
        log.info("bars_corrected", bars=len(changed), first=int(bars.ts[changed[0]]))
        return _copied(bars[int(changed[0]) :])


def _copied(bars: Bars) -> Bars:
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars(bars.ts.copy(), *(column.copy() for column in columns))

"""Closed bars of all watched symbols: from frames, from our own store, from REST.

Owns when the venue must be asked for candles; knows no socket and no price.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot.adapters.venues.hyperliquid.candles import (
    CAPACITY,
    Series,
    fold,
    rows_of_bars,
    unbroken_tail,
)
from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.domain.errors import TransientError
from bot.domain.types import Bars, Ms, Symbol, Timeframe
from bot.ports import Clock

Warm = Callable[[Symbol, Timeframe, Ms, Ms], Awaitable[Bars]]  # our store: [first, last] opens
Ask = Callable[[str, Timeframe, Ms, Ms], Awaitable[list[Candle]]]

_TURN_S = 30.0
_SET_BACK_MS = 1_000  # by less no bar was called over too early: it settles for longer

log = structlog.get_logger(__name__)


class History:
    """Bars by symbol and timeframe; each gap is asked for once, by whoever needs it first."""

    def __init__(self, clock: Clock, ask: Ask, settle_ms: int, warm: Warm | None) -> None:
        self._clock = clock
        self._ask = ask
        self._settle_ms = settle_ms
        self._warm = warm
        self._series: dict[tuple[Symbol, Timeframe], Series] = {}
        self._asking: dict[tuple[Symbol, Timeframe], asyncio.Event] = {}
        self._finest: Timeframe | None = None
        self._latest = Ms(0)  # the newest reading of the clock by which a bar was called over
        self.asked = 0  # questions by REST

    @property
    def corrections(self) -> int:
        """How often the venue said something else of a bar that was already decided."""
        return sum(series.corrections for series in self._series.values())

    def follow(self, symbols: Sequence[Symbol], finest: Timeframe | None) -> None:
        """Frames of `finest` will come for `symbols`; forget what is no longer followed."""
        self._finest = finest
        keep = set(symbols)
        for key in [key for key in self._series if key[0] not in keep]:
            del self._series[key]

    def frame(self, symbol: Symbol, timeframe: Timeframe, row: Candle) -> None:
        """Take a candle frame of the stream."""
        self._of(symbol, timeframe).frame(row)

    def disconnected(self) -> None:
        for series in self._series.values():
            series.disconnected()

    async def bars(self, symbol: Symbol, timeframe: Timeframe, limit: int) -> Bars:
        """The last `limit` (at most 1,000) closed bars. Raises TransientError."""
        limit = min(limit, CAPACITY)
        until = Ms(self._now() - self._settle_ms)
        await self._complete(symbol, timeframe, until, limit)
        return self._of(symbol, timeframe).bars(until, limit)

    async def catch_up(self, symbols: Sequence[Symbol]) -> None:
        """Ask for what a gap of the stream left open, for symbols that have a history."""
        if self._finest is None:
            return
        for symbol in symbols:
            until = Ms(self._now() - self._settle_ms)
            if self._of(symbol, self._finest).covered_from is not None:
                await self._complete(symbol, self._finest, until, 1)

    def _now(self) -> Ms:
        """Read the clock. One that was set back had called bars over that were open, or yet to
        come: all are asked for again, and of the venue, since our store has them as they were.
        """
        now = self._clock.now()
        if now < self._latest - _SET_BACK_MS:
            log.warning("candles_asked_again", clock_set_back_s=(self._latest - now) / 1000)
            self._series.clear()
            self._warm = None
            self._latest = now
        self._latest = max(self._latest, now)
        return now

    def _of(self, symbol: Symbol, timeframe: Timeframe) -> Series:
        key = (symbol, timeframe)
        if key not in self._series:
            self._series[key] = Series(timeframe)
        return self._series[key]

    async def _complete(self, symbol: Symbol, timeframe: Timeframe, until: Ms, limit: int) -> None:
        """Make every bar of the window known, one asker at a time."""
        key = (symbol, timeframe)
        while self._missing(symbol, timeframe, until, limit) is not None:
            asking = self._asking.get(key)
            if asking is not None:
                await self._clock.wait(asking, _TURN_S)
                continue
            self._asking[key] = asyncio.Event()
            try:
                await self._fetch(symbol, timeframe, until, limit)
            finally:
                self._asking.pop(key).set()

    def _missing(self, symbol: Symbol, timeframe: Timeframe, until: Ms, limit: int) -> Ms | None:
        series = self._of(symbol, timeframe)
        history_from = Ms(max(0, series.due(until) - limit * timeframe.ms))
        return series.missing_from(until, history_from)

    async def _fetch(self, symbol: Symbol, timeframe: Timeframe, until: Ms, limit: int) -> None:
        series = self._of(symbol, timeframe)
        first = self._missing(symbol, timeframe, until, limit)
        if first is None:
            return
        if series.covered_from is None and self._warm is not None:
            await self._warm_up(symbol, series, first, until)
            first = self._missing(symbol, timeframe, until, limit)
        elif series.covered_from is not None and await self._folded(symbol, series, until):
            return
        if first is not None:
            await self._rest(symbol, series, first)

    async def _warm_up(self, symbol: Symbol, series: Series, first: Ms, until: Ms) -> None:
        """Start from our own store, as far as it has no hole."""
        assert self._warm is not None
        kept = await self._warm(symbol, series.timeframe, first, until)
        length = series.timeframe.ms
        rows = [row for row in rows_of_bars(kept) if row[0] + length <= until]
        rows = unbroken_tail(rows, series.timeframe)
        if rows:
            series.settle(rows, Ms(rows[0][0]), Ms(rows[-1][0] + length))

    async def _folded(self, symbol: Symbol, series: Series, until: Ms) -> bool:
        """Extend a coarser series from the followed one; whether that was possible."""
        finest = self._finest
        if finest is None or finest is series.timeframe or series.timeframe.ms % finest.ms:
            return False
        first, end = series.settled_to, series.due(until)
        fine = self._of(symbol, finest)
        if fine.covered_from is None or first < fine.covered_from or end <= first:
            return False
        await self._complete(symbol, finest, until, 1)
        if not fine.covers(first, end):
            return False
        series.settle(fold(fine.between(first, end), series.timeframe), first, end)
        return True

    async def _rest(self, symbol: Symbol, series: Series, first: Ms) -> None:
        asked_at = self._now()
        self.asked += 1
        with self._clock.busy():  # a long answer is read in several turns of the loop
            rows = await self._ask(symbol, series.timeframe, first, asked_at)
        before = series.settled_to
        series.settle([row for row in rows if row[0] >= first], first, asked_at)
        if series.covered_from is None or (before == series.settled_to and first >= before):
            raise TransientError(f"hyperliquid {symbol} {series.timeframe}: no closed bar yet")

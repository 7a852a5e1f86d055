"""Market data of Hyperliquid behind `bot.ports.Feed`: prices by stream, bars by both.

Owns what is subscribed for the market; knows no account and no order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from bot.adapters.venues.hyperliquid import parse_market
from bot.adapters.venues.hyperliquid.history import History, Warm
from bot.adapters.venues.hyperliquid.parse_market import Context
from bot.adapters.venues.hyperliquid.queries import Queries
from bot.adapters.venues.hyperliquid.shapes import Row
from bot.adapters.venues.hyperliquid.stream import MAX_SUBSCRIPTIONS, Stream, Subscription
from bot.adapters.venues.hyperliquid.universe import Universe
from bot.domain.errors import ConfigError, TransientError, VenueRejected
from bot.domain.instrument import Instrument
from bot.domain.types import Bars, Market, Ms, Symbol, Timeframe
from bot.ports import Clock

log = structlog.get_logger(__name__)

_ACK_LIMIT_S = 10.0  # machine time that `watch` and `focus` wait for acknowledgements
_RETRY_S = 5.0
_QUIET_S = 10.0  # spec 05: a mark older than 10 s is stale
_FRAME_LATE_S = 2.0
_SELDOM = 6  # looks between two questions about a market that stands still
_SAME_PRICE = 1e-4  # of the mark


class HyperliquidFeed:
    """Implements `bot.ports.Feed`."""

    def __init__(
        self,
        queries: Queries,
        stream: Stream,
        universe: Universe,
        clock: Clock,
        *,
        settle_ms: int,
        warm: Warm | None = None,
    ) -> None:
        self._queries = queries
        self._stream = stream
        self._universe = universe
        self._clock = clock
        self._history = History(clock, queries.candles, settle_ms, warm)
        self._listeners: list[Callable[[Market], None]] = []
        self._symbols: tuple[Symbol, ...] = ()
        self._finest: Timeframe | None = None
        self._focused: tuple[Symbol, ...] = ()
        self._contexts: dict[Symbol, Context] = {}
        self._books: dict[Symbol, tuple[float, float]] = {}
        self._markets: dict[Symbol, Market] = {}
        self._agreed = 0  # looks in a row at which some coin was quiet
        self._told_at: dict[Symbol, float] = {}  # monotonic s of the last price frame
        self._compared_at: float | None = None  # monotonic s; with requests, the last time
        self._not_compared = False  # the last try had no answer
        stream.handle("candle", self._on_candle)
        stream.handle("activeAssetCtx", self._on_context)
        stream.handle("bbo", self._on_bbo)
        stream.on_down(self._disconnected)
        stream.on_up(self._after_connect)
        stream.proved_by(self._lost_frames)

    @property
    def corrections(self) -> int:
        """How often the venue said something else of a bar that was already decided."""
        return self._history.corrections

    async def instruments(self) -> Mapping[Symbol, Instrument]:
        return self._universe.update(await self._queries.meta())

    async def markets(self) -> Mapping[Symbol, Market]:
        answer = await self._queries.contexts()
        self._universe.update(parse_market.universe_of(answer))
        return await _in_turns(answer, self._clock.now())

    async def watch(self, symbols: Sequence[Symbol], timeframes: Sequence[Timeframe]) -> None:
        """Subscribe prices and the finest timeframe; coarser ones are folded from it.

        Raises ConfigError for timeframes that the finest does not divide, or too many.
        """
        finest = _finest(timeframes)
        if 3 * len(symbols) + 10 > MAX_SUBSCRIPTIONS:
            raise ConfigError(
                f"hyperliquid: {len(symbols)} symbols need up to {3 * len(symbols) + 10} "
                f"subscriptions, the venue allows {MAX_SUBSCRIPTIONS}"
            )
        wanted = tuple(dict.fromkeys(symbols))
        self._replace(
            [*_price_subs(self._symbols), *_candle_subs(self._symbols, self._finest)],
            [*_price_subs(wanted), *_candle_subs(wanted, finest)],
        )
        self._symbols, self._finest = wanted, finest
        self._history.follow(wanted, finest)
        for symbol in [symbol for symbol in self._markets if symbol not in wanted]:
            del self._markets[symbol]
            self._told_at.pop(symbol, None)
            self._contexts.pop(symbol, None)
        await self.focus([symbol for symbol in self._focused if symbol in wanted])

    async def focus(self, symbols: Sequence[Symbol]) -> None:
        """Follow the top of the book of these; elsewhere impact prices stand for it.

        For open positions and candidates. A symbol that is not watched is left out.
        """
        wanted = tuple(dict.fromkeys(s for s in symbols if s in self._symbols))
        self._replace(_book_subs(self._focused), _book_subs(wanted))
        self._focused = wanted
        for symbol in [symbol for symbol in self._books if symbol not in wanted]:
            del self._books[symbol]
        if not await self._stream.settled(_ACK_LIMIT_S):
            log.warning("subscriptions_wait", symbols=len(self._symbols), focused=len(wanted))

    async def bars(self, symbol: Symbol, timeframe: Timeframe, limit: int) -> Bars:
        return await self._history.bars(symbol, timeframe, limit)

    def market(self, symbol: Symbol) -> Market | None:
        return self._markets.get(symbol)

    def confirmed_age_s(self, symbol: Symbol) -> float:
        """See the port; infinite for a symbol of which no price ever came."""
        if symbol not in self._markets:
            return float("inf")
        age_s = self._stream.confirmed_age_s(_price_sub(symbol))
        if not (self._not_compared and self._is_quiet(symbol)):
            return age_s
        # Heartbeats alone prove nothing of a coin of which nobody has told for a while.
        seen = self._told_at[symbol]
        seen = seen if self._compared_at is None else max(seen, self._compared_at)
        return max(age_s, self._clock.monotonic() - seen)

    def on_price(self, listener: Callable[[Market], None]) -> None:
        self._listeners.append(listener)

    def _replace(self, old: Sequence[Subscription], new: Sequence[Subscription]) -> None:
        kept = {tuple(subscription.items()) for subscription in new}
        for subscription in old:
            if tuple(subscription.items()) not in kept:
                self._stream.unsubscribe(subscription)
        had = {tuple(subscription.items()) for subscription in old}
        for subscription in new:
            if tuple(subscription.items()) not in had:
                self._stream.subscribe(subscription)

    def _on_candle(self, data: object) -> None:
        # The docs say a list, the venue sends one object (facts 6): take both.
        for item in data if isinstance(data, list) else [data]:
            row = Row.of("candle", item)
            symbol = Symbol(row.text("s"))
            if symbol in self._symbols and row.text("i") == self._finest:
                self._history.frame(symbol, self._finest, parse_market.candle(row))

    def _on_context(self, data: object) -> None:
        row = Row.of("activeAssetCtx", data)
        symbol = Symbol(row.text("coin"))
        if symbol in self._symbols:
            self._contexts[symbol] = parse_market.context(row.row("ctx"))
            self._tell(symbol)

    def _on_bbo(self, data: object) -> None:
        row = Row.of("bbo", data)
        symbol = Symbol(row.text("coin"))
        if symbol not in self._focused:
            return
        book = parse_market.top_of_book(row)
        if book is None:
            self._books.pop(symbol, None)
        else:
            self._books[symbol] = book
        self._tell(symbol)

    def _tell(self, symbol: Symbol) -> None:
        context = self._contexts.get(symbol)
        if context is None:
            return
        market = context.market(symbol, self._clock.now(), self._books.get(symbol))
        self._markets[symbol] = market
        self._told_at[symbol] = self._clock.monotonic()
        for listener in self._listeners:
            listener(market)

    async def _lost_frames(self) -> str:
        """Compare coins of which no frame came for a while with their price by request.

        Frames may be lost while heartbeats are answered (facts 9); a coin that is quiet
        because nothing happens costs one request for all of them.
        """
        quiet = self._quiet()
        if not quiet:
            self._agreed, self._not_compared = 0, False
            return ""
        self._agreed += 1
        if self._agreed & (self._agreed - 1) and self._agreed % _SELDOM:
            return ""  # after 1, 2, 4 looks, then each minute: a still market costs little
        try:
            told = await _in_turns(await self._queries.contexts(), self._clock.now())
        except (TransientError, VenueRejected) as error:
            log.info("prices_not_compared", error=str(error))
            self._agreed, self._not_compared = 0, True  # at the next look again
            return ""
        self._compared_at, self._not_compared = self._clock.monotonic(), False
        moved = [s for s in quiet if s in told and self._differs(s, told[s])]
        if not moved:
            return ""
        await self._clock.pause(_FRAME_LATE_S)  # it may have moved just now
        lost = [symbol for symbol in moved if symbol in self._quiet()]
        return f"frames lost: {lost[0]} has moved and no frame told it" if lost else ""

    def _quiet(self) -> list[Symbol]:
        return [symbol for symbol in self._symbols if self._is_quiet(symbol)]

    def _is_quiet(self, symbol: Symbol) -> bool:
        now = self._clock.monotonic()
        return now - self._told_at.get(symbol, now) > _QUIET_S

    def _differs(self, symbol: Symbol, told: Market) -> bool:
        ours = self._markets.get(symbol)
        return ours is not None and abs(told.mark - ours.mark) > ours.mark * _SAME_PRICE

    def _disconnected(self) -> None:
        self._history.disconnected()
        self._books.clear()  # a book that is not followed is not a book

    async def _after_connect(self, gap: bool, gap_s: float) -> None:
        while gap:
            try:
                await self._history.catch_up(self._symbols)
                return
            except TransientError as error:
                log.warning("candles_not_caught_up", error=str(error), retry_s=_RETRY_S)
                await self._clock.pause(_RETRY_S)


async def _in_turns(answer: object, at: Ms) -> dict[Symbol, Market]:
    """All coins of `metaAndAssetCtxs`, some of them in each turn of the loop."""
    found: dict[Symbol, Market] = {}
    for part in parse_market.market_parts(answer):
        await asyncio.sleep(0)
        found |= parse_market.markets(part, at)
    return found


def _finest(timeframes: Sequence[Timeframe]) -> Timeframe | None:
    if not timeframes:
        return None
    finest = min(timeframes, key=lambda timeframe: timeframe.ms)
    odd = [timeframe.value for timeframe in timeframes if timeframe.ms % finest.ms]
    if odd:
        raise ConfigError(f"timeframes {odd} are not multiples of the finest, {finest.value}")
    return finest


def _price_sub(symbol: Symbol) -> Subscription:
    return {"type": "activeAssetCtx", "coin": symbol}


def _price_subs(symbols: Sequence[Symbol]) -> list[Subscription]:
    return [_price_sub(symbol) for symbol in symbols]


def _candle_subs(symbols: Sequence[Symbol], timeframe: Timeframe | None) -> list[Subscription]:
    if timeframe is None:
        return []
    return [{"type": "candle", "coin": s, "interval": timeframe.value} for s in symbols]


def _book_subs(symbols: Sequence[Symbol]) -> list[Subscription]:
    return [{"type": "bbo", "coin": symbol} for symbol in symbols]

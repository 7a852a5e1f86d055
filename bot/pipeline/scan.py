"""Which symbols are looked at, and when the next look is due.

Owns the universe and the cadence of cycles; knows nothing of bars or strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from bot.domain.errors import TransientError, VenueRejected
from bot.domain.instrument import Instrument
from bot.domain.types import Market, Ms, Symbol, Timeframe
from bot.ports import Clock, Feed

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UniversePolicy:
    """An explicit list, or the `top_n` by 24 h volume (USD) over `min_volume_usd`."""

    symbols: tuple[Symbol, ...] = ()
    exclude: tuple[Symbol, ...] = ()
    top_n: int = 20
    min_volume_usd: float = 10_000_000.0
    refresh_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Universe:
    """The chosen symbols in the order they are scanned, and why others were left out."""

    symbols: tuple[Symbol, ...] = ()
    skipped: Mapping[Symbol, str] = field(default_factory=dict)


def choose(
    policy: UniversePolicy,
    instruments: Mapping[Symbol, Instrument],
    markets: Mapping[Symbol, Market],
) -> Universe:
    """Pick the universe; a symbol asked for by name that cannot be had is said in `skipped`."""
    skipped: dict[Symbol, str] = {}
    named = {symbol.upper(): symbol for symbol in sorted(instruments)}
    wished = tuple(named.get(symbol.upper(), symbol) for symbol in policy.symbols)
    asked = tuple(dict.fromkeys(wished)) or tuple(sorted(instruments))
    able: list[Symbol] = []
    for symbol in asked:
        why = _unfit(symbol, policy, instruments, markets)
        if why:
            skipped[symbol] = why
        else:
            able.append(symbol)
    if not policy.symbols:
        able.sort(key=lambda symbol: (-markets[symbol].volume_24h_usd, symbol))
        for symbol in able[policy.top_n :]:
            skipped[symbol] = f"not among the top {policy.top_n} by volume"
        able = able[: policy.top_n]
    return Universe(tuple(able), skipped)


def _unfit(
    symbol: Symbol,
    policy: UniversePolicy,
    instruments: Mapping[Symbol, Instrument],
    markets: Mapping[Symbol, Market],
) -> str:
    if symbol.upper() in {name.upper() for name in policy.exclude}:
        return "excluded by EXCLUDE_SYMBOLS"
    instrument, market = instruments.get(symbol), markets.get(symbol)
    if instrument is None or market is None:
        return "unknown at the venue"
    if instrument.delisted:
        return "delisted"
    if market.mark <= 0:
        return "no price"
    if not policy.symbols and market.volume_24h_usd < policy.min_volume_usd:
        return f"24 h volume {market.volume_24h_usd:.0f} USD under {policy.min_volume_usd:.0f}"
    return ""


class Scan:
    """Keeps the universe fresh and says when the next cycle is due."""

    def __init__(
        self,
        feed: Feed,
        clock: Clock,
        policy: UniversePolicy,
        timeframes: tuple[Timeframe, ...],
        interval_ms: int,
        settle_ms: int,
        instruments: dict[Symbol, Instrument],
        held: Callable[[], Sequence[Symbol]],
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._policy = policy
        self._timeframes = timeframes  # decision first
        self.interval_ms = interval_ms
        self._settle_ms = settle_ms
        self._instruments = instruments  # kept up to date for everyone who shares it
        self._held = held
        self._refresh_at = 0
        self.universe = Universe()
        self.next_at = clock.now()

    def after(self, now: Ms) -> Ms:
        """The next cycle: when a decision bar has just closed, or the interval is over."""
        length = self._timeframes[0].ms
        since_close = (now - self._settle_ms) % length
        next_close = now + (length - since_close)
        return Ms(min(now + self.interval_ms, next_close))

    async def due(self) -> tuple[Symbol, ...]:
        """Sleep until the next cycle is due, then give its symbols."""
        await self._clock.sleep_until(self.next_at)
        now = self._clock.now()
        with self._clock.busy():
            if now >= self._refresh_at:
                await self._try_refresh(now)
        self.next_at = self.after(now)
        return self.universe.symbols

    async def _try_refresh(self, now: Ms) -> None:
        """A venue that does not answer leaves the universe as it is until the next cycle."""
        try:
            await self._refresh(now)
        except (TransientError, VenueRejected) as error:
            log.warning("universe_not_refreshed", error=str(error))

    async def _refresh(self, now: Ms) -> None:
        self._instruments.update(await self._feed.instruments())
        markets = await self._feed.markets()
        before, self.universe = self.universe, choose(self._policy, self._instruments, markets)
        if self.universe != before:
            skipped = dict(self.universe.skipped)
            log.info("universe", symbols=self.universe.symbols, skipped=skipped)
        await self.watch()
        self._refresh_at = now + self._policy.refresh_ms

    async def watch(self) -> None:
        """Subscribe the universe and, whatever became of it, every symbol that is held."""
        watched = dict.fromkeys((*self.universe.symbols, *self._held()))
        await self._feed.watch(tuple(watched), self._timeframes)

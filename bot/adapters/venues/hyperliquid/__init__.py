"""Hyperliquid: market data and orders of one account, over HTTP and one WebSocket.

Owns the wiring of this folder; knows no settings and no road.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import structlog

from bot.adapters.venues.hyperliquid.account_stream import AccountStream
from bot.adapters.venues.hyperliquid.actions import Actions
from bot.adapters.venues.hyperliquid.feed import HyperliquidFeed
from bot.adapters.venues.hyperliquid.history import Warm
from bot.adapters.venues.hyperliquid.limiter import WeightLimiter
from bot.adapters.venues.hyperliquid.options import (
    MAINNET_URL,
    TESTNET_URL,
    HyperliquidOptions,
    StreamTiming,
)
from bot.adapters.venues.hyperliquid.queries import Queries
from bot.adapters.venues.hyperliquid.signing import (
    NonceSource,
    Signer,
    demo_key,
    demo_key_for,
    signing_backend,
)
from bot.adapters.venues.hyperliquid.stream import Stream
from bot.adapters.venues.hyperliquid.transport import Transport
from bot.adapters.venues.hyperliquid.universe import Universe
from bot.adapters.venues.hyperliquid.venue import HyperliquidVenue
from bot.ports import Clock
from bot.runtime.calls import Calls

__all__ = [
    "MAINNET_URL",
    "TESTNET_URL",
    "Hyperliquid",
    "HyperliquidFeed",
    "HyperliquidOptions",
    "HyperliquidVenue",
    "StreamTiming",
    "connect",
    "demo_key",
    "demo_key_for",
    "signing_backend",
]

log = structlog.get_logger(__name__)


class Hyperliquid:
    """Feed and venue of one account on one connection. Life: start, run beside, close."""

    def __init__(
        self,
        options: HyperliquidOptions,
        clock: Clock,
        *,
        warm: Warm | None = None,
        nonce_high_water: int = 0,
        persist_nonce: Callable[[int], None] | None = None,
    ) -> None:
        self.nonces = nonces = NonceSource(clock.wall, nonce_high_water, persist_nonce)
        signer = Signer(
            options.private_key, options.base_url, is_mainnet=options.is_mainnet, nonces=nonces
        )
        self.signer_address = signer.address
        self.account = (options.account or signer.address).lower()
        jitter = Random(options.jitter_seed)
        self.limiter = WeightLimiter(clock, options.rest_weight_per_minute, jitter)
        self.transport = Transport(options, clock, self.limiter)
        self.stream = Stream(options.stream_url, clock, options.stream, jitter)
        queries = Queries(self.transport, self.account)
        universe = Universe()
        self.feed = HyperliquidFeed(
            queries, self.stream, universe, clock, settle_ms=options.settle_ms, warm=warm
        )
        self.venue = HyperliquidVenue(
            queries,
            Actions(self.transport, signer, clock.wall, options.max_actions_in_flight),
            self.stream,
            AccountStream(self.stream, clock, self.account, options.event_queue),
            universe,
            clock,
            self.transport.condition,
            entry_life_s=options.entry_life_s,
        )

    def on_failure(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each request that failed, also one that is tried again."""
        self.transport.condition.on_failure = listener

    def calls(self) -> dict[str, Calls]:
        """How the venue answered questions and actions; each try is a call."""
        info, exchange = (self.transport.calls[path].view() for path in ("/info", "/exchange"))
        return {"venue_questions": info, "venue_actions": exchange}

    async def start(self) -> None:
        """Read the universe and the account mode. Raises ConfigError, TransientError."""
        instruments = await self.feed.instruments()
        await self.venue.start()
        log.info(
            "hyperliquid_ready",
            account=self.account,
            signer=self.signer_address,
            coins=len(instruments),
            signing=signing_backend(),
        )

    async def run(self) -> None:
        """The stream, until cancelled."""
        await self.stream.run()

    async def close(self) -> None:
        """Close the connections for questions and actions."""
        await self.transport.close()


def connect(
    options: HyperliquidOptions,
    clock: Clock,
    *,
    warm: Warm | None = None,
    nonce_high_water: int = 0,
    persist_nonce: Callable[[int], None] | None = None,
) -> Hyperliquid:
    """Build the adapter; nothing is sent before `start`. Raises ConfigError.

    `warm` reads our own closed candles, [first, last] by open time; `nonce_high_water` is
    the last nonce of an earlier process on this key, `persist_nonce` gets each new one.
    """
    return Hyperliquid(
        options,
        clock,
        warm=warm,
        nonce_high_water=nonce_high_water,
        persist_nonce=persist_nonce,
    )

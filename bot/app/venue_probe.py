"""What a pre-flight tries of the venue: the simulator layer by layer, clock, account, reach.

Owns the trials against a venue; the embedded one is opened in a folder of its own, with a
ledger of its own, so that the daemon's is never touched.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bot.adapters.venues.hyperliquid import Hyperliquid, connect
from bot.app.policies import policies_of, universe_of
from bot.app.probes import Line, Outcome, failure
from bot.app.world import World, open_world, options_of
from bot.domain.errors import AmbiguousOutcome, ConfigError, TransientError
from bot.domain.instrument import Instrument
from bot.domain.reachability import Reach, reachable
from bot.domain.types import Market, Refused, Symbol
from bot.pipeline.policies import Policies, fingerprint
from bot.pipeline.scan import choose
from bot.plugins import LoadedStrategy
from config.settings import Settings

CONNECT_S = 3.0
PROBE_SPEED = 1.0  # of the simulator opened for the look: no trade is waited for
_PORTS = {"http": 80, "https": 443}


async def try_venue(settings: Settings, rules: tuple[LoadedStrategy, ...]) -> list[Line]:
    """Every line about the venue; the first layer that fails ends the descent."""
    return [line async for line in _descend(settings, rules)]


async def _descend(settings: Settings, rules: tuple[LoadedStrategy, ...]) -> AsyncIterator[Line]:
    url = settings.venue.hyperliquid_base_url
    if url is not None:
        lines = await _layers(url)
        for line in lines:
            yield line
        if lines[-1].outcome is Outcome.FAIL:
            return
    async with AsyncExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="keel-check-"))
        tried = f"HTTP: {url}" if url is not None else _what_is_played(settings)
        try:
            world = await _open(settings, rules, Path(folder), opened)
            hyperliquid = connect(options_of(settings, world), world.clock)
            opened.push_async_callback(hyperliquid.close)
            instruments = await hyperliquid.feed.instruments()
            markets = await hyperliquid.feed.markets()
        except (ConfigError, TransientError) as error:
            yield failure("simulator", tried, error, "mend DEMO_CANDLES or DEMO_SEED")
            return
        yield Line("simulator", tried, Outcome.OK, f"answers with {len(markets)} coins")
        yield await _account(hyperliquid)
        yield await _skew(hyperliquid, world, settings.risk.max_clock_skew_seconds)
        if rules:
            policies = policies_of(settings, rules, world.interval)
            mark = (
                f"fingerprint {fingerprint(policies)}, decides on {policies.timeframe.value} bars"
            )
            yield Line("policies", "gather what decides", Outcome.OK, mark)
            for line in _reach(settings, policies, instruments, markets):
                yield line


async def _open(
    settings: Settings, rules: tuple[LoadedStrategy, ...], folder: Path, opened: AsyncExitStack
) -> World:
    """The world of the settings with its files elsewhere, on a clock that runs by itself."""
    elsewhere = settings.model_copy(
        update={
            "general": settings.general.model_copy(update={"data_dir": folder}),
            "demo": settings.demo.model_copy(update={"demo_speed": PROBE_SPEED}),
        }
    )
    world = await open_world(elsewhere, max((rule.warm_up for rule in rules), default=0))
    if world.exchange is not None:
        opened.push_async_callback(world.exchange.close)
    return world


# --- a simulator of its own process, layer by layer -----------------------------------


async def _layers(url: str) -> list[Line]:
    """DNS and TCP; HTTP is the first question of the world that is opened after them."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        why = getattr(error, "strerror", None) or f"no answer within {CONNECT_S:g} s"
        remedy = "mend the name in HYPERLIQUID_BASE_URL, or the resolver"
        return [Line("simulator", f"DNS: {host}", Outcome.FAIL, str(why), remedy)]
    place = found[0][4][0]
    lines = [Line("simulator", f"DNS: {host}", Outcome.OK, str(place))]
    return [*lines, await _tcp(host, port)]


async def _tcp(host: str, port: int) -> Line:
    tried = f"TCP: {host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        why = os.strerror(error.errno) if error.errno else f"no answer within {CONNECT_S:g} s"
        remedy = f"start one: python -m bot.simulator --port {port}; or take the setting out"
        return Line("simulator", tried, Outcome.FAIL, str(why), remedy)
    writer.close()
    return Line("simulator", tried, Outcome.OK, "connected")


# --- what the venue says --------------------------------------------------------------


async def _account(hyperliquid: Hyperliquid) -> Line:
    tried = f"account {hyperliquid.account}"
    try:
        await hyperliquid.venue.start()
        account = await hyperliquid.venue.account()
    except (ConfigError, TransientError, AmbiguousOutcome) as error:
        return failure("account", tried, error, "in demo the account is that of DEMO_SEED")
    found = f"equity {account.equity} USD, {len(account.positions)} positions"
    if account.equity <= 0:
        return Line("account", tried, Outcome.FAIL, found, "deposit, or mend INITIAL_CAPITAL")
    return Line("account", tried, Outcome.OK, found)


async def _skew(hyperliquid: Hyperliquid, world: World, limit_s: float) -> Line:
    tried, limit = "venue's clock against ours", limit_s * 1000
    try:
        skew = round(await hyperliquid.venue.clock_skew_ms() / world.speed)
    except (TransientError, AmbiguousOutcome) as error:
        return failure("clock", tried, error, "try again; see the network")
    found = f"{skew:+} ms from ours, {limit:.0f} allowed"
    if abs(skew) > limit:
        remedy = "set this machine's clock by NTP; entries are refused meanwhile"
        return Line("clock", tried, Outcome.FAIL, found, remedy)
    return Line("clock", tried, Outcome.OK, found)


# --- whether anything can pass ----------------------------------------------------------


def _reach(
    settings: Settings,
    policies: Policies,
    instruments: Mapping[Symbol, Instrument],
    markets: Mapping[Symbol, Market],
) -> Iterator[Line]:
    universe = choose(universe_of(settings), instruments, markets)
    yield _universe_line(settings, universe.symbols, universe.skipped)
    if not universe.symbols:
        return
    nearest: tuple[Symbol, Reach] | None = None
    refused: Refused | None = None
    for symbol in universe.symbols:
        found = reachable(
            policies.sizing,
            policies.limits,
            instruments[symbol],
            settings.risk.initial_capital,
            markets[symbol].mark,
        )
        if isinstance(found, Refused):
            refused = found
        elif nearest is None or found.move_frac < nearest[1].move_frac:
            nearest = symbol, found
    yield _reach_line(settings, nearest, refused)


def _universe_line(
    settings: Settings, symbols: Sequence[Symbol], skipped: Mapping[Symbol, str]
) -> Line:
    tried = "coins that may be traded"
    left_out = "; ".join(f"{symbol}: {why}" for symbol, why in sorted(skipped.items()))
    if not symbols:
        remedy = "mend SYMBOLS, EXCLUDE_SYMBOLS or MIN_VOLUME_24H_USD"
        return Line("universe", tried, Outcome.FAIL, f"none ({left_out})", remedy)
    found = f"{len(symbols)}: {', '.join(symbols[:12])}{' …' if len(symbols) > 12 else ''}"
    asked = [symbol for symbol in settings.signals.symbols if symbol in skipped]
    if asked:
        return Line("universe", tried, Outcome.WARN, f"{found}; {left_out}", "mend SYMBOLS")
    return Line("universe", tried, Outcome.OK, found)


def _reach_line(
    settings: Settings, nearest: tuple[Symbol, Reach] | None, refused: Refused | None
) -> Line:
    tried = f"smallest trade that passes in profile {settings.general.profile}"
    if nearest is not None:
        symbol, reach = nearest
        found = (
            f"{symbol}: a move of {reach.move_frac:.2%} to the target, stop {reach.stop_frac:.2%}, "
            f"size {reach.quantity} ({reach.notional:.2f} USD, margin {reach.margin:.2f} USD, "
            f"{reach.leverage}x)"
        )
        return Line("reachability", tried, Outcome.OK, found)
    rules = ", ".join(
        f"{check.code.value} ({check.value} against {check.limit} {check.unit})".replace(" )", ")")
        for check in (refused.failed if refused is not None else ())
    )
    remedy = "change INITIAL_CAPITAL, the stop bounds, MIN_PROFIT_USD or the limits named"
    return Line("reachability", tried, Outcome.FAIL, f"no trade can pass: {rules}", remedy)


def _what_is_played(settings: Settings) -> str:
    files = settings.demo.demo_candles
    if not files:
        return f"open the embedded one, seed {settings.demo.demo_seed}"
    return f"open the embedded one, {', '.join(path.name for path in files)}"

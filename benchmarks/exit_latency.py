"""From a price to an exit order while 200 symbols are scanned: python -m benchmarks exit_latency

Owns one position on a coin that climbs with every tick, so that each price moves its trailing
stop, and the joining of what left the exchange with what came back. The daemon is the real one
(adapter, care, desk, journal); the exchange runs in its own process and keeps the times.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import rig
from benchmarks.figures import Figure, say, tell
from benchmarks.lag import Histogram, Probe
from benchmarks.loop_stretch import NO_ENTRIES
from benchmarks.venue import RISING
from bot.adapters.venues.hyperliquid.limiter import Priority
from bot.app.parts import Parts
from bot.domain.sizing import Wish, exact
from bot.domain.types import (
    Intent,
    Market,
    Ms,
    Order,
    Position,
    Regime,
    Side,
    Signal,
    Symbol,
    TraceId,
)
from bot.pipeline.account_view import account_view
from bot.pipeline.decide import Look, settle
from bot.pipeline.health import Health
from bot.pipeline.plans import Plan
from bot.pipeline.policies import Policies
from tests.daemon import wait_for

SAMPLES, LEAST_SAMPLES = 120, 60  # fewer say nothing of a p95
LIMIT_S = 300.0
P95_MS, AIM_MS = 50.0, 20.0
COIN = Symbol(RISING)
STOP_FRAC, FAR_R = 0.01, 400.0  # R = 1 USD of 100; a target that is never reached


def main(arguments: Sequence[str] | None = None) -> int:
    """Print p50, p95 and the worst, and the loop's lag beside it; 0 when the p95 is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks exit_latency")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--speed", default="30", help="at 30 a candle closes every two seconds")
    chosen = parser.parse_args(arguments)
    probe, caused = Probe(), dict[str, Cause]()

    async def during(parts: Parts, probe: Probe) -> None:
        _trail_with_every_price(parts, caused)
        entries = 1
        await _enter(parts, entries)
        before, began = parts.road.cycles, time.monotonic()
        with probe.watched():
            while len(caused) < chosen.samples and time.monotonic() - began < LIMIT_S:
                await asyncio.sleep(0.5)
                if COIN not in parts.books.positions:  # it has reached its target
                    entries += 1
                    await _enter(parts, entries)
        took = time.monotonic() - began
        say(f"  {len(caused)} stops moved in {took:.0f} s, {parts.road.cycles - before} cycles")

    with tempfile.TemporaryDirectory(prefix="keel-") as name:
        folder = Path(name)
        with rig.Venue(folder / "venue", chosen.symbols, float(chosen.speed)) as venue:
            wait_for(lambda: venue.log.exists(), 60.0, "the exchange serves")
            flags = {
                "HYPERLIQUID_BASE_URL": venue.url,
                "UNIVERSE_TOP_N": str(chosen.symbols),
                "MIN_VOLUME_24H_USD": "0",
                **NO_ENTRIES,
            }
            code = rig.run(probe, folder / "data", flags, during)
            found = joined(venue.log.read_text().splitlines(), caused)
    return max(_told(found, probe, chosen.symbols), code)


@dataclass(slots=True)
class Cause:
    """The price that moved a stop, and when the bot did what with it; monotonic s."""

    mark: str
    told_at: float
    asked_at: float  # care asked the desk
    sent_at: float = 0.0  # the desk's task began
    posted_at: float = 0.0  # its row was written or waited for, the action signed


LEGS = (
    *("frame out to feed", "feed to care", "care to desk's task"),
    *("task to row and signed", "posted to request in"),
)


def joined(lines: Sequence[str], caused: Mapping[str, Cause]) -> list[tuple[float, ...]]:
    """The moments of each latency, monotonic s; `caused` is by the client id of the new stop."""
    left: dict[str, float] = {}
    found: list[tuple[float, ...]] = []
    for line in lines:
        kind, at, what, *_ = line.split(" ")
        if kind == "out":
            left.setdefault(_plain(what), float(at))
        elif what in caused and caused[what].mark in left:
            cause = caused[what]
            ours = (cause.told_at, cause.asked_at, cause.sent_at, cause.posted_at)
            found.append((left[cause.mark], *ours, float(at)))
    return found


def _plain(price: str) -> str:
    """A price without trailing zeros."""
    return price.rstrip("0").rstrip(".") if "." in price else price


def _trail_with_every_price(parts: Parts, caused: dict[str, Cause]) -> None:
    """No spacing between steps, a trail of a fifth of R; note which mark caused which stop.

    Only prices that come while a cycle is under way are noted.
    """
    care, desk, execution, road = parts.care, parts.desk, parts.execution, parts.road
    care._policy = replace(
        care._policy,
        time_stop_ms=10**12,
        break_even_r=0.1,
        trail_from_r=0.2,
        trail_atr=1.0,
        trail_step_r=0.25,
        trail_spacing_s=0.0,
    )
    told: dict[str, float] = {}
    causes: dict[Symbol, Cause] = {}
    scanning = [0]
    move, place, cycle = desk.move_stop, execution._send_reducing, road.cycle
    transport = parts.hyperliquid.transport
    post = transport.exchange

    def priced(market: Market) -> None:
        if market.symbol == COIN:
            told.setdefault(_plain(f"{exact(market.mark):f}"), time.monotonic())

    def move_stop(symbol: Symbol, price: float) -> None:
        market = parts.hyperliquid.feed.market(symbol)
        if market is not None and not desk.works_on(symbol) and scanning[0]:
            mark = _plain(f"{exact(market.mark):f}")
            causes[symbol] = Cause(mark, told[mark], time.monotonic())
        move(symbol, price)

    async def send(intent: Intent, position: Position) -> Order | None:
        cause = causes.pop(intent.symbol, None)
        if cause is not None:
            cause.sent_at = time.monotonic()
            caused[str(intent.cloid)] = cause
        return await place(intent, position)

    async def exchange(body: Mapping[str, Any], priority: Priority) -> object:
        for order in body["action"].get("orders", ()):
            if order["c"] in caused:
                caused[order["c"]].posted_at = time.monotonic()
        return await post(body, priority)

    async def watched_cycle(symbols: Sequence[Symbol]) -> None:
        scanning[0] += 1
        await cycle(symbols)
        scanning[0] -= 1

    parts.hyperliquid.feed.on_price(priced)
    desk.move_stop = move_stop  # type: ignore[method-assign]
    execution._send_reducing = send  # type: ignore[method-assign]
    road.cycle = watched_cycle  # type: ignore[method-assign]
    transport.exchange = exchange  # type: ignore[method-assign]


async def _enter(parts: Parts, number: int) -> None:
    """A LONG of the rising coin through the gates and the execution of the real road."""
    clock, feed = parts.world.clock, parts.hyperliquid.feed
    health = Health(
        feed, parts.hyperliquid.venue, clock, parts.policies.timeframe, lambda: 0, speed=None
    )
    facts = health.facts(COIN, Ms(clock.now() - 1_000))
    market = feed.market(COIN)
    assert facts is not None and market is not None
    wish = Wish(_signal(), confidence=0.9, regime=Regime.TRENDING_UP, atr=0.2)
    look = Look(facts, account_view(parts.books, clock.now()), Ms(clock.now() + 10**9), market.mark)
    ident = TraceId(f"{COIN}-20260101T0000-{number}")
    instrument = parts.instruments[COIN]
    verdict = settle(wish, look, instrument, _roomy(parts.policies), ident)
    failed = [check for check in verdict.checks if not check.ok]
    assert verdict.cleared is not None, f"the entry was refused: {failed}"
    plan = Plan.of(verdict.cleared.intent, "scalper.standard", wish.atr)
    reason = await parts.execution.enter(verdict.cleared, plan)
    assert COIN in parts.books.positions, f"the entry ended as {reason}"
    await feed.focus([COIN])


def _roomy(policies: Policies) -> Policies:
    """The price runs while the entry is on its way: let it be filled all the same."""
    limits = replace(policies.limits, profit_cost_multiple=0.0)
    sizing = replace(policies.sizing, entry_slippage_frac=0.05)
    return replace(policies, limits=limits, sizing=sizing, max_move_r=10.0)


def _signal() -> Signal:
    return Signal(
        symbol=COIN,
        side=Side.LONG,
        strength=1.0,
        stop_frac=STOP_FRAC,
        target_r=FAR_R,
        strategy="scalper.standard",
        scanner="technical",
        weight=1.0,
        why="benchmark",
    )


def _told(found: Sequence[tuple[float, ...]], probe: Probe, symbols: int) -> int:
    if len(found) < LEAST_SAMPLES:
        say(f"MISS  no figure: {len(found)} stops moved during a scan, {LEAST_SAMPLES} needed")
        return 1
    whole = Histogram([1000 * (moments[-1] - moments[0]) for moments in found])
    ours = Histogram([probe.cpu_ms(moments[0], moments[-2]) for moments in found])
    say(f"  frame out to request in  {whole.line()}")
    say(f"  CPU of the loop's thread {ours.line()}")
    legs = [[1000 * (b - a) for a, b in pairwise(moments)] for moments in found]
    for number, name in enumerate(LEGS):
        say(f"    {name:<22} {Histogram([leg[number] for leg in legs]).line()}")
    for line in probe.report():
        say(line)
    name = f"price to exit order, p95 during a scan of {symbols}"
    return tell(Figure(name, whole.at(0.95), P95_MS, "ms", AIM_MS))


if __name__ == "__main__":
    raise SystemExit(main())

"""A road's acting half on fakes: books, execution, desk, reconciliation, care, and time by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from bot.domain.approval import ApprovalPolicy
from bot.domain.breakers import BreakerLimits
from bot.domain.council import CouncilPolicy
from bot.domain.instrument import Instrument
from bot.domain.protection import ProtectionPolicy
from bot.domain.red_flags import FlagPolicy
from bot.domain.risk import RiskFacts, RiskLimits
from bot.domain.scoring import ScoreWeights
from bot.domain.sizing import SizingPolicy, Wish
from bot.domain.types import (
    Cleared,
    ExitReason,
    Intent,
    Leg,
    Ms,
    Regime,
    Side,
    Symbol,
    Tier,
    Timeframe,
    TraceId,
)
from bot.pipeline.account_view import account_view
from bot.pipeline.books import Books
from bot.pipeline.care import Care
from bot.pipeline.correlate import Correlations
from bot.pipeline.decide import Look, settle
from bot.pipeline.desk import Desk, DeskOptions
from bot.pipeline.entry_lane import Offer
from bot.pipeline.execute import Execution
from bot.pipeline.facts import Fact, Facts
from bot.pipeline.health import Health
from bot.pipeline.leave import Waits
from bot.pipeline.plans import Plan
from bot.pipeline.policies import Policies
from bot.pipeline.reconcile import Cadence, Reconcile
from bot.pipeline.rows import Rows
from bot.pipeline.safety import Safety
from bot.pipeline.trace import TraceBook
from bot.runtime.clock import ManualClock
from tests.fake_venue import FakeVenue
from tests.fakes import FakeFeed, MemoryJournal, MemoryTraces, instrument
from tests.judgement import snapshot, wish

T = TypeVar("T")

BTC, ETH, SOL = Symbol("BTC"), Symbol("ETH"), Symbol("SOL")
START = Ms(1_790_000_000_000)
INITIAL = Decimal(1_000)

LIMITS = RiskLimits(
    max_positions=5,
    max_notional_x=2.0,
    max_correlated=5,
    max_leverage=5,
    min_stop_frac=0.005,
    max_stop_frac=0.02,
    min_profit_usd=Decimal("0.10"),
    entry_spacing_ms=0,
)
POLICIES = Policies(
    timeframe=Timeframe.M5,
    context=(),
    regime_timeframe=Timeframe.M5,
    strategies=("scalper.standard",),
    overrides={},
    seats=("rules",),
    flags=FlagPolicy(()),
    weights=ScoreWeights(),
    council=CouncilPolicy(),
    approval=ApprovalPolicy(0.5, Tier.TIER_4_NEUTRAL, 1.3, True),
    sizing=SizingPolicy(
        risk_frac=0.001,
        min_stop_frac=0.005,
        max_stop_frac=0.02,
        max_leverage=5,
        max_notional_x=2.0,
        min_reward_to_risk=1.3,
    ),
    limits=LIMITS,
    protection=ProtectionPolicy(time_stop_ms=3_600_000),
    breakers=BreakerLimits(0.5, 0.5, 10, 60_000),
    window_bars=300,
)


@dataclass
class Kit:
    """Everything that acts, on one clock."""

    clock: ManualClock
    venue: FakeVenue
    feed: FakeFeed
    journal: MemoryJournal
    traces: MemoryTraces
    told: list[Fact]
    rows: Rows
    books: Books
    instruments: dict[Symbol, Instrument]
    execution: Execution
    correlations: Correlations
    desk: Desk
    reconcile: Reconcile
    care: Care
    trace_book: TraceBook
    facts: Facts
    health: Health

    def price(self, symbol: Symbol, mark: float) -> None:
        """One price for feed and venue."""
        self.venue.prices[symbol] = Decimal(str(mark))
        self.feed.price(symbol, mark, self.clock.now())

    async def finish(self, work: Awaitable[T], limit_ms: int = 60_000) -> T:
        """Play market time until `work` is done."""
        task = asyncio.ensure_future(work)
        await self.play(limit_ms, until=task)
        assert task.done(), f"not done after {limit_ms} ms of market time"
        return task.result()

    async def play(self, ms: int, until: asyncio.Future[T] | None = None) -> None:
        """Let `ms` pass, or less when `until` is done."""
        for _ in range(max(1, ms // 50)):
            await self.clock.run_for(50)
            if until is not None and until.done():
                return

    async def enter(self, cleared: Cleared | None = None, symbol: Symbol = BTC) -> Intent:
        """Open a whole, protected position."""
        cleared = cleared or entry(symbol)
        await self.finish(self.execution.enter(cleared, plan(cleared)))
        return cleared.intent


def kit(
    *,
    venue: FakeVenue | None = None,
    journal: MemoryJournal | None = None,
    clock: ManualClock | None = None,
    policies: Policies = POLICIES,
    orders_at_once: int = 16,
    cadence: Cadence = Cadence(),  # noqa: B008 - frozen
) -> Kit:
    """Wire it as `app.parts.build` does."""
    clock = clock or ManualClock(START)
    venue, journal = venue or FakeVenue(clock), journal or MemoryJournal()
    feed, traces, facts, told = FakeFeed(), MemoryTraces(), Facts(), list[Fact]()
    facts.listen(told.append)
    rows = Rows(journal, clock)
    safety = Safety(rows, clock, facts, policies.breakers)
    books = Books(rows, clock, feed, facts, safety, INITIAL)
    instruments = {symbol: instrument(symbol) for symbol in (BTC, ETH, SOL)}
    execution = Execution(venue, books, feed, clock, facts, instruments, Waits())
    health = Health(feed, venue, clock, policies.timeframe, lambda: 0, speed=1.0)
    correlations, trace_book = Correlations(), TraceBook(traces, clock, "fingerprint")
    desk = Desk(
        clock=clock,
        books=books,
        execution=execution,
        health=health,
        correlations=correlations,
        instruments=instruments,
        policies=policies,
        traces=trace_book,
        options=DeskOptions(orders_at_once),
    )
    reconcile = Reconcile(
        venue=venue,
        books=books,
        desk=desk,
        execution=execution,
        health=health,
        clock=clock,
        facts=facts,
        cadence=cadence,
    )
    care = Care(clock, feed, books, desk, health, policies.protection)
    made = Kit(
        clock,
        venue,
        feed,
        journal,
        traces,
        told,
        rows,
        books,
        instruments,
        execution,
        correlations,
        desk,
        reconcile,
        care,
        trace_book,
        facts,
        health,
    )
    for symbol in instruments:
        made.price(symbol, float(venue.prices.get(symbol, Decimal(100))))
    return made


@asynccontextmanager
async def running(made: Kit, *services: Coroutine[None, None, None]) -> AsyncIterator[Kit]:
    """Run rows, stream and desk (and `services`); a service that died fails the test."""
    work = (made.rows.run(), made.reconcile.listen(), made.desk.run(), *services)
    tasks = [asyncio.create_task(service) for service in work]
    try:
        yield made
        died = [task for task in tasks if task.done()]
        assert not died, f"a service ended: {[task.exception() for task in died]}"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def signal_wish(symbol: Symbol = BTC, side: Side = Side.LONG) -> Wish:
    signal = replace(wish(side), symbol=symbol)
    return Wish(signal, confidence=0.9, regime=Regime.RANGING, atr=0.5)


def trace_of(symbol: Symbol, number: int = 1) -> TraceId:
    return TraceId(f"{symbol}-20260921T1320-{number}")


def entry(symbol: Symbol = BTC, side: Side = Side.LONG, number: int = 1) -> Cleared:
    """A permitted entry of about 1 unit at 100, made by the road's own functions."""
    other = kit()
    look = Look(
        facts=_facts(other, symbol),
        view=account_view(other.books, other.clock.now()),
        expires_at=Ms(START + 300_000),
        decided_price=100.0,
    )
    verdict = settle(
        signal_wish(symbol, side),
        look,
        other.instruments[symbol],
        POLICIES,
        trace_of(symbol, number),
    )
    assert verdict.cleared is not None, verdict
    return verdict.cleared


def plan(cleared: Cleared) -> Plan:
    return Plan.of(cleared.intent, "scalper.standard", 0.5)


def _facts(made: Kit, symbol: Symbol) -> RiskFacts:
    health = Health(made.feed, made.venue, made.clock, Timeframe.M5, lambda: 0, speed=None)
    found = health.facts(symbol, Ms(made.clock.now() - 1_000))
    assert found is not None
    return found


async def offer(made: Kit, symbol: Symbol = BTC, score: float = 70.0, cycle: int = 1) -> Offer:
    """An approved wish on this bar, with its trail open."""
    bar = made.clock.now()
    trail = await made.trace_book.open(cycle, symbol, bar)
    seen = replace(snapshot(), symbol=symbol, as_of=bar)
    market = made.feed.market(symbol)
    assert market is not None
    return Offer(trail, seen, signal_wish(symbol), score, market.mark, Ms(bar + 300_000))


def closing(made: Kit, symbol: Symbol, reason: ExitReason = ExitReason.MANUAL) -> Awaitable[bool]:
    return made.execution.leave(symbol, reason)


def stops(made: Kit, symbol: Symbol = BTC) -> list[Decimal]:
    """Triggers of the stops that rest at the venue."""
    return [
        order.trigger
        for order in made.venue.resting(symbol)
        if order.is_stop and order.trigger is not None
    ]


def legs(made: Kit) -> list[Leg]:
    return [intent.leg for intent in made.venue.sent]

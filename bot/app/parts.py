"""Every part of a running Keel, wired once; `build` reads in the order in which things flow.

Owns the wiring; starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.adapters.seats.rules import RulesSeat
from bot.adapters.store import Store
from bot.adapters.venues.hyperliquid import Hyperliquid
from bot.app.policies import policies_of, universe_of
from bot.app.world import SETTLE_MS, World
from bot.domain.instrument import Instrument
from bot.domain.types import Symbol
from bot.pipeline.books import Books
from bot.pipeline.care import Care
from bot.pipeline.correlate import Correlations
from bot.pipeline.desk import Desk
from bot.pipeline.execute import Execution, Waits
from bot.pipeline.facts import Facts
from bot.pipeline.health import Health
from bot.pipeline.keep import CandleKeeper
from bot.pipeline.policies import Policies, fingerprint
from bot.pipeline.reconcile import Cadence, Reconcile
from bot.pipeline.road import Road, RoadOptions
from bot.pipeline.rows import Rows
from bot.pipeline.safety import Safety
from bot.pipeline.scan import Scan
from bot.pipeline.trace import TraceBook
from bot.plugins import LoadedStrategy
from bot.ports import Feed
from config.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What the services, the view and the controls work with."""

    settings: Settings
    world: World
    policies: Policies
    fingerprint: str
    store: Store
    hyperliquid: Hyperliquid
    instruments: dict[Symbol, Instrument]
    facts: Facts
    rows: Rows
    books: Books
    execution: Execution
    desk: Desk
    care: Care
    reconcile: Reconcile
    traces: TraceBook
    keeper: CandleKeeper
    scan: Scan
    road: Road


def build(
    settings: Settings,
    world: World,
    store: Store,
    hyperliquid: Hyperliquid,
    rules: tuple[LoadedStrategy, ...],
) -> Parts:
    """Wire the road from its end: money, the acting half, the thinking half."""
    policies = policies_of(settings, rules, world.interval)
    mark = fingerprint(policies)
    money = _money(settings, world, store, hyperliquid, policies)
    traces = TraceBook(store.traces, world.clock, mark)
    acting = _acting(settings, world, hyperliquid, policies, money, traces)
    keeper = CandleKeeper(store.candles, world.source, world.clock)
    feed, books = hyperliquid.feed, money.books
    scan = _scan(settings, world, feed, policies, acting.instruments, books)
    road = Road(
        clock=world.clock,
        feed=feed,
        scan=scan,
        seats=(RulesSeat(),),
        rules=rules,
        policies=policies,
        desk=acting.desk,
        books=books,
        traces=traces,
        keeper=keeper,
        correlations=acting.correlations,
        instruments=acting.instruments,
        facts=money.facts,
        options=RoadOptions(),
    )
    return Parts(
        settings=settings,
        world=world,
        policies=policies,
        fingerprint=mark,
        store=store,
        hyperliquid=hyperliquid,
        instruments=acting.instruments,
        facts=money.facts,
        rows=money.rows,
        books=books,
        execution=acting.execution,
        desk=acting.desk,
        care=Care(world.clock, feed, books, acting.desk, policies.protection, world.pace.care_s),
        reconcile=acting.reconcile,
        traces=traces,
        keeper=keeper,
        scan=scan,
        road=road,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Acting:
    instruments: dict[Symbol, Instrument]
    correlations: Correlations
    execution: Execution
    desk: Desk
    reconcile: Reconcile


def _acting(
    settings: Settings,
    world: World,
    hyperliquid: Hyperliquid,
    policies: Policies,
    money: _Money,
    traces: TraceBook,
) -> _Acting:
    """The desk, what it sends by, and what checks it against the venue."""
    clock, feed, venue = world.clock, hyperliquid.feed, hyperliquid.venue
    books, facts, health = money.books, money.facts, money.health
    instruments: dict[Symbol, Instrument] = {}
    correlations = Correlations()
    waits = Waits(emergency_stop_frac=policies.sizing.max_stop_frac)
    execution = Execution(venue, books, feed, clock, facts, instruments, waits)
    desk = Desk(
        clock=clock,
        books=books,
        execution=execution,
        health=health,
        correlations=correlations,
        instruments=instruments,
        policies=policies,
        traces=traces,
        options=world.pace.desk,
    )
    reconcile = Reconcile(
        venue=venue,
        books=books,
        desk=desk,
        execution=execution,
        health=health,
        clock=clock,
        facts=facts,
        cadence=_cadence(settings, world),
    )
    return _Acting(instruments, correlations, execution, desk, reconcile)


@dataclass(frozen=True, slots=True, eq=False)
class _Money:
    facts: Facts
    rows: Rows
    books: Books
    health: Health


def _money(
    settings: Settings,
    world: World,
    store: Store,
    hyperliquid: Hyperliquid,
    policies: Policies,
) -> _Money:
    """Books and what they lean on."""
    clock = world.clock
    facts = Facts()
    rows = Rows(store.journal, clock, store.journal.spool)
    safety = Safety(rows, clock, facts, policies.breakers)
    initial = settings.risk.initial_capital
    return _Money(
        facts,
        rows,
        Books(rows, clock, hyperliquid.feed, facts, safety, initial),
        Health(
            hyperliquid.feed,
            hyperliquid.venue,
            clock,
            policies.timeframe,
            backlog=store.traces.backlog,
            speed=world.speed if world.pace.check_skew else None,
        ),
    )


def _scan(
    settings: Settings,
    world: World,
    feed: Feed,
    policies: Policies,
    instruments: dict[Symbol, Instrument],
    books: Books,
) -> Scan:
    interval_ms = round(settings.signals.scan_interval_seconds * 1000)
    if world.lockstep is not None:  # between two closes nothing is new
        interval_ms = max(interval_ms, policies.timeframe.ms)
    return Scan(
        feed,
        world.clock,
        universe_of(settings),
        policies.timeframes,
        interval_ms,
        SETTLE_MS,
        instruments,
        held=books.symbols,
    )


def _cadence(settings: Settings, world: World) -> Cadence:
    if world.lockstep is not None:
        return world.pace.cadence
    return Cadence(every_s=settings.venue.reconcile_interval_seconds)

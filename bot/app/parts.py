"""Every part of a running Keel, wired once; `build` reads in the order in which things flow.

Owns the wiring; starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.adapters.store import Store
from bot.adapters.venues.hyperliquid import Hyperliquid
from bot.app.models import Models
from bot.app.policies import council_template, policies_of, universe_of
from bot.app.world import SETTLE_MS, World
from bot.domain.instrument import Instrument
from bot.domain.types import Symbol
from bot.pipeline.approvals import Approvals
from bot.pipeline.books import Books
from bot.pipeline.care import Care
from bot.pipeline.chamber import Chamber
from bot.pipeline.closing import Closing
from bot.pipeline.correlate import Correlations
from bot.pipeline.council import Council, CouncilOptions
from bot.pipeline.desk import Desk
from bot.pipeline.execute import Execution
from bot.pipeline.facts import Facts
from bot.pipeline.haste import Haste
from bot.pipeline.health import Health
from bot.pipeline.keep import CandleKeeper
from bot.pipeline.kept_answers import KeptAnswers
from bot.pipeline.leave import Waits
from bot.pipeline.lookout import Lookout
from bot.pipeline.policies import Policies, fingerprint
from bot.pipeline.reconcile import Cadence, Reconcile
from bot.pipeline.road import Road, RoadOptions
from bot.pipeline.rows import Rows
from bot.pipeline.safety import Safety
from bot.pipeline.scan import Scan
from bot.pipeline.trace import TraceBook
from bot.pipeline.transfers import Transfers
from bot.pipeline.turbulence import Turbulence
from bot.pipeline.wishes import ExitWishes
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
    models: Models
    instruments: dict[Symbol, Instrument]
    facts: Facts
    rows: Rows
    books: Books
    health: Health
    execution: Execution
    approvals: Approvals
    desk: Desk
    closing: Closing
    care: Care
    reconcile: Reconcile
    transfers: Transfers
    lookout: Lookout
    council: Council
    traces: TraceBook
    keeper: CandleKeeper
    scan: Scan
    road: Road


def build(
    settings: Settings,
    world: World,
    store: Store,
    hyperliquid: Hyperliquid,
    models: Models,
    rules: tuple[LoadedStrategy, ...],
) -> Parts:
    """Wire the road from its end: money, the acting half, the thinking half."""
    policies = policies_of(settings, rules, world.interval)
    mark = fingerprint(policies)
    money = _money(settings, world, store, hyperliquid, policies)
    traces = TraceBook(store.traces, world.clock, mark)
    acting = _acting(settings, world, hyperliquid, policies, money, traces)
    thinking = _thinking(
        settings, world, store, hyperliquid, models, rules, policies, acting, traces, money
    )
    guarding = _guarding(world, hyperliquid, policies, money, acting, thinking.scan)
    return Parts(
        settings=settings,
        world=world,
        policies=policies,
        fingerprint=mark,
        store=store,
        hyperliquid=hyperliquid,
        models=models,
        instruments=acting.instruments,
        facts=money.facts,
        rows=money.rows,
        books=money.books,
        health=money.health,
        execution=acting.execution,
        approvals=thinking.approvals,
        desk=acting.desk,
        closing=guarding.closing,
        care=guarding.care,
        reconcile=acting.reconcile,
        transfers=guarding.transfers,
        lookout=guarding.lookout,
        council=thinking.council,
        traces=traces,
        keeper=thinking.keeper,
        scan=thinking.scan,
        road=thinking.road,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Guarding:
    closing: Closing
    care: Care
    transfers: Transfers
    lookout: Lookout


def _guarding(
    world: World,
    hyperliquid: Hyperliquid,
    policies: Policies,
    money: _Money,
    acting: _Acting,
    scan: Scan,
) -> _Guarding:
    """What watches over open positions and the account."""
    clock, feed, books, desk = world.clock, hyperliquid.feed, money.books, acting.desk
    transfers = Transfers(hyperliquid.venue, books, money.rows, money.facts)
    wishes = ExitWishes(books, money.rows, clock, lambda: acting.reconcile.last_at is not None)
    return _Guarding(
        Closing(clock, feed, books, desk, acting.execution, wishes),
        Care(clock, feed, books, desk, money.health, policies.protection, world.pace.care_s),
        transfers,
        _lookout(world, hyperliquid, policies, money, transfers, scan),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Thinking:
    keeper: CandleKeeper
    scan: Scan
    approvals: Approvals
    council: Council
    road: Road


def _thinking(
    settings: Settings,
    world: World,
    store: Store,
    hyperliquid: Hyperliquid,
    models: Models,
    rules: tuple[LoadedStrategy, ...],
    policies: Policies,
    acting: _Acting,
    traces: TraceBook,
    money: _Money,
) -> _Thinking:
    """The road as far as approval, and who is asked on it."""
    feed = hyperliquid.feed
    keeper = CandleKeeper(store.candles, world.source, world.clock)
    scan = _scan(settings, world, feed, policies, acting.instruments, money.books)
    approvals = Approvals(
        clock=world.clock,
        feed=feed,
        traces=traces,
        facts=money.facts,
        policies=policies,
        expiry_s=settings.gates.approval_expiry_seconds,
        enter=acting.desk.offer,
        spent=models.purse.of_decision,
    )
    council = Council(
        clock=world.clock,
        chamber=Chamber(world.clock),
        seats=models.council,
        template=council_template(settings) if models.seats else None,
        kept=KeptAnswers(world.clock, store.answers, _cache_ms(settings)),
        traces=traces,
        facts=money.facts,
        options=council_options(settings, policies),
    )
    road = Road(
        clock=world.clock,
        feed=feed,
        scan=scan,
        council=council,
        rules=rules,
        policies=policies,
        approvals=approvals,
        books=money.books,
        traces=traces,
        keeper=keeper,
        correlations=acting.correlations,
        instruments=acting.instruments,
        facts=money.facts,
        options=RoadOptions(),
        turbulence=money.turbulence,
        haste=acting.execution.haste,
    )
    return _Thinking(keeper, scan, approvals, council, road)


def _cache_ms(settings: Settings) -> int:
    return round(settings.council.answer_cache_seconds * 1000)


def council_options(settings: Settings, policies: Policies) -> CouncilOptions:
    """How the council waits, and how old a bar may be when an answer to it comes."""
    past_close = (policies.limits.max_bar_ages - 1) * policies.timeframe.ms
    given = settings.council
    return CouncilOptions(
        deadline_s=given.council_deadline_seconds,
        late_s=given.late_answer_seconds,
        late_at_once=given.late_answers_at_once,
        past_close_ms=round(past_close),
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
    haste = Haste(clock, world.pace.give_way_s)
    execution = Execution(venue, books, feed, clock, facts, instruments, waits, haste)
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
    turbulence: Turbulence
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
    safety = Safety(rows, clock, facts, policies.breakers, world.speed)
    initial = settings.risk.initial_capital
    turbulence = Turbulence()
    return _Money(
        facts,
        rows,
        Books(rows, clock, hyperliquid.feed, facts, safety, initial),
        turbulence,
        Health(
            hyperliquid.feed,
            hyperliquid.venue,
            clock,
            policies.timeframe,
            backlog=store.traces.backlog,
            speed=world.speed if world.pace.check_skew else None,
            volatility=turbulence.of,
        ),
    )


def _lookout(
    world: World,
    hyperliquid: Hyperliquid,
    policies: Policies,
    money: _Money,
    transfers: Transfers,
    scan: Scan,
) -> Lookout:
    """What tells the breakers of the world; the venue's failures come to it by themselves."""
    lookout = Lookout(
        clock=world.clock,
        feed=hyperliquid.feed,
        safety=money.books.safety,
        health=money.health,
        turbulence=money.turbulence,
        transfers=transfers,
        policies=policies,
        symbols=lambda: scan.universe.symbols,
        every_s=world.pace.lookout_s,
        transfers_s=world.pace.transfers_s,
    )
    hyperliquid.on_failure(lookout.request_failed)
    return lookout


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

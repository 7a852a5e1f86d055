"""The acting half on the real adapter and the simulated exchange, with faults by script.

In lockstep, with prices by hand and signing time that follows market time, so that seconds of
waiting cost nothing. Faults are scripted as for `python -m bot.simulator --faults`. Knows no
strategy.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from pathlib import Path
from typing import Any

from bot.adapters.venues.hyperliquid import (
    Hyperliquid,
    HyperliquidOptions,
    StreamTiming,
    connect,
    demo_key,
)
from bot.domain.instrument import Instrument
from bot.domain.orders import client_id
from bot.domain.portfolio import Reservation
from bot.domain.types import (
    ZERO,
    Cleared,
    Intent,
    Leg,
    Ms,
    OrderStatus,
    Side,
    Symbol,
    Timeframe,
    TraceId,
)
from bot.pipeline.account_view import account_view
from bot.pipeline.books import Books
from bot.pipeline.care import Care
from bot.pipeline.correlate import Correlations
from bot.pipeline.decide import Look, settle
from bot.pipeline.desk import Desk, DeskOptions
from bot.pipeline.execute import Execution
from bot.pipeline.facts import Fact, Facts
from bot.pipeline.health import Health
from bot.pipeline.leave import Waits
from bot.pipeline.plans import Plan
from bot.pipeline.reconcile import Cadence, Reconcile
from bot.pipeline.rows import Rows
from bot.pipeline.safety import Safety
from bot.pipeline.trace import TraceBook
from bot.runtime.clock import LockstepClock
from bot.simulator import SimulatedExchange, SimulatorOptions
from bot.simulator.faults import plan_of
from tests.fakes import MemoryJournal, MemoryTraces
from tests.unit.pipeline.given import POLICIES, signal_wish
from tests.unit.simulator.given import START, ByHand
from tests.until import until

ETH, BTC, SOL = Symbol("ETH"), Symbol("BTC"), Symbol("SOL")
BALANCE = Decimal(10_000)
MICRO = Decimal("0.000001")


class BenchClock(LockstepClock):
    """Lockstep in which signing time is market time: an order's life passes at once."""

    def wall(self) -> int:
        return int(self.now())


@dataclass
class Acting:
    """Everything that acts, and the venue it acts at."""

    clock: BenchClock
    market: ByHand
    exchange: SimulatedExchange
    hyperliquid: Hyperliquid
    journal: MemoryJournal
    rows: Rows
    books: Books
    execution: Execution
    desk: Desk
    care: Care
    reconcile: Reconcile
    health: Health
    instruments: dict[Symbol, Instrument]
    told: list[Fact] = field(default_factory=list)
    port: int = 0
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    # --- the venue ----------------------------------------------------------------------

    @property
    def address(self) -> str:
        return self.hyperliquid.account

    @property
    def account(self) -> Any:
        """The venue's own record of us."""
        return self.exchange._world.accounts[self.address]

    def faults(self, *rows: Mapping[str, object], seed: int = 0) -> None:
        """Another script, from now on."""
        self.exchange._faults.install(plan_of({"fault": list(rows), "seed": seed}))

    def struck(self) -> list[Any]:
        """How often each fault of the script has struck."""
        return [row["struck"] for row in self.exchange._faults._faults.report()]

    def move(self, **prices: float) -> None:
        """Prices of the next tick."""
        index = self.exchange._world.index + 1
        while len(self.market.ticks) <= index:
            self.market.push()
        self.market.ticks[index] = prices

    def orders(self, leg: Leg | None = None) -> list[Any]:
        """Orders of ours that the venue accepted or judged, oldest first; `leg` by our books."""
        known = {o.cloid: o.leg for o in self.books.orders.values()}
        found = list(self.account.orders.values())
        return [o for o in found if leg is None or known.get(o.cloid) is leg]

    def stops(self, symbol: Symbol = ETH) -> list[Any]:
        """Stops that rest at the venue and are armed."""
        live = self.account.open_orders(symbol)
        return [o for o in live if o.is_stop and o.armed and not o.fired]

    def resting(self, symbol: Symbol = ETH) -> list[Any]:
        """Orders that wait in the venue's book."""
        return [o for o in self.account.open_orders(symbol) if o.in_book]

    # --- time and wishes ------------------------------------------------------------------

    async def play(self, seconds: float) -> None:
        """Let market time pass."""
        await self.clock.pause(seconds)

    def names(self) -> list[str]:
        return [fact.name for fact in self.told]

    def wish(self, symbol: Symbol = ETH, usd: int = 300) -> Cleared:
        """A permitted entry, long, with stop and target 10 % away."""
        rules, market = self.instruments[symbol], self.hyperliquid.feed.market(symbol)
        assert market is not None
        mark, trace = Decimal(repr(market.mark)), TraceId(f"{symbol}-test-{next(self.numbers)}")
        stop = rules.round_price(mark * Decimal("0.9"), ROUND_DOWN)
        target = rules.round_price(mark * Decimal("1.1"), ROUND_UP)
        return Cleared(
            Intent(
                trace_id=trace,
                symbol=symbol,
                leg=Leg.ENTRY,
                side=Side.LONG,
                quantity=rules.round_size(usd / mark),
                limit=rules.round_price(mark * Decimal("1.005"), ROUND_UP),
                reference=mark,
                attempt=0,
                cloid=client_id(trace, Leg.ENTRY, 0),
                leverage=3,
                stop=stop,
                target=target,
                stop_cloid=client_id(trace, Leg.STOP, 0),
                target_cloid=client_id(trace, Leg.TARGET, 0),
                stop_limit=rules.round_price(stop * Decimal("0.9"), ROUND_DOWN),
                target_limit=rules.round_price(target * Decimal("0.9"), ROUND_DOWN),
            ),
            (),
        )

    async def enter(self, symbol: Symbol = ETH, usd: int = 300) -> Any:
        """Send an entry as the desk does; how it ended."""
        wish = self.wish(symbol, usd)
        intent = wish.intent
        held = Reservation(symbol, intent.side, intent.notional, Decimal(30))
        self.books.reserve(intent.cloid, held, self.clock.now())
        return await self.execution.enter(wish, Plan.of(wish.intent, "scalper.standard", 0.5))

    def refused(self, symbol: Symbol = ETH) -> set[str]:
        """What fails when the desk looks at a fresh signal now; nothing: it would be sent."""
        now = self.clock.now()
        facts = self.health.facts(symbol, now)
        assert facts is not None
        look = Look(facts, account_view(self.books, now), Ms(now + 60_000), facts.market.mark)
        wish, trace = signal_wish(symbol), TraceId(f"{symbol}-look")
        verdict = settle(wish, look, self.instruments[symbol], POLICIES, trace)
        return {check.code.value for check in verdict.checks if not check.ok}

    # --- what must hold whatever went wrong ------------------------------------------------

    async def in_order(self) -> None:
        """Positions, fills, fees, funding and cash are the venue's; nothing doubled or naked."""
        await self.play(1)
        assert await self.reconcile.step(), "the venue could not be asked"
        await self.play(0.5)
        assert self.differences() == []
        assert self.unprotected() == []
        assert not [o for o in self.books.open_orders() if o.status is OrderStatus.UNKNOWN]
        cloids = [order.cloid for order in self.orders(Leg.ENTRY)]
        assert len(cloids) == len({*cloids}), "an entry was sent twice"

    def differences(self) -> list[str]:
        """What the venue says otherwise than our books."""
        account, books = self.account, self.books
        found = []
        ours = {s: p.signed for s, p in books.positions.items()}
        theirs = {Symbol(c): h.size for c, h in account.holdings.items()}
        if ours != theirs:
            found.append(f"positions: {ours}, the venue {theirs}")
        fees = sum((Decimal(row["fee"]) for row in account.fills), ZERO)
        pnl = sum((Decimal(row["closedPnl"]) for row in account.fills), ZERO)
        paid = sum((Decimal(row["delta"]["usdc"]) for row in account.fundings), ZERO)
        ledger = books.ledger
        for name, us, them in (
            ("fees", ledger.fees, fees),
            ("realised", ledger.realised, pnl),
            ("funding", ledger.funding, paid),
        ):
            if abs(us - them) > MICRO:
                found.append(f"{name}: {us}, the venue {them}")
        return found

    def unprotected(self) -> list[str]:
        """Positions of ours that no resting stop of the venue's covers."""
        return [
            symbol
            for symbol, position in self.books.positions.items()
            if not any(o.whole for o in self.stops(symbol))
            and sum((o.remaining for o in self.stops(symbol)), ZERO) < position.quantity
        ]


@asynccontextmanager
async def acting(
    folder: Path, *rows: Mapping[str, object], **options: Any
) -> AsyncIterator[Acting]:
    """Start it with a script of faults, agreed with the venue and watching three coins."""
    market = ByHand()
    _widen(market, options.pop("coins", 0))
    usual: dict[str, Any] = {"balance": BALANCE, "depth_usd": 10_000_000.0, "rate_limit": False}
    made = SimulatorOptions(ledger=folder / "simulator.db", **(usual | options))
    exchange = SimulatedExchange(made, START, market)
    clock = BenchClock(exchange.start_at)
    port = await exchange.serve(clock, drain=True)
    hyperliquid = connect(
        HyperliquidOptions(
            base_url=f"http://127.0.0.1:{port}",
            private_key=demo_key(5),
            is_mainnet=False,
            max_actions_in_flight=1,
            exchange_limit_s=1.0,
            info_limit_s=2.0,
            stream=StreamTiming(backoff_max_s=1.0),
        ),
        clock,
    )
    half = _wired(clock, market, exchange, hyperliquid)
    half.port = port
    try:
        tasks = [asyncio.ensure_future(clock.run())]
        with clock.busy():  # time stands still but for our own pauses: a question asked again
            await hyperliquid.start()
            half.instruments.update(await hyperliquid.feed.instruments())
            services = [hyperliquid.run(), exchange.run(), half.rows.run(), half.reconcile.listen()]
            tasks += [asyncio.ensure_future(service) for service in services]
            await until(lambda: hyperliquid.stream.connected)
            await hyperliquid.feed.watch([ETH, BTC, SOL], [Timeframe.M1])
            await until(lambda: hyperliquid.feed.market(SOL) is not None)
            assert await half.reconcile.step()
            later = [half.desk.run(), half.care.run(), half.reconcile.run()]
            tasks += [asyncio.ensure_future(service) for service in later]
        try:
            half.faults(*rows)
            yield half
            ended = [task for task in tasks if task.done()]
            assert not ended, f"a service ended: {[task.exception() for task in ended]}"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await hyperliquid.close()
        await exchange.close()


def _widen(market: ByHand, coins: int) -> None:
    """So many coins in all; those beyond the usual three stand at 100."""
    rules = dict(market.instruments)
    like = rules["SOL"]
    for number in range(len(rules), coins):
        name = f"C{number:02}"
        rules[name] = replace(like, symbol=Symbol(name), venue_symbol=name, asset_id=number)
        market.ticks[0][name] = 100.0
    market.instruments = rules


def _wired(
    clock: BenchClock, market: ByHand, exchange: SimulatedExchange, hyperliquid: Hyperliquid
) -> Acting:
    journal, facts, told = MemoryJournal(), Facts(), list[Fact]()
    facts.listen(told.append)
    rows = Rows(journal, clock)
    safety = Safety(rows, clock, facts, POLICIES.breakers)
    feed, venue = hyperliquid.feed, hyperliquid.venue
    books = Books(rows, clock, feed, facts, safety, BALANCE)
    books.baseline_known = True
    instruments: dict[Symbol, Instrument] = {}
    execution = Execution(venue, books, feed, clock, facts, instruments, Waits())
    health = Health(feed, venue, clock, POLICIES.timeframe, lambda: 0, speed=1.0)
    desk = Desk(
        clock=clock,
        books=books,
        execution=execution,
        health=health,
        correlations=Correlations(),
        instruments=instruments,
        policies=POLICIES,
        traces=TraceBook(MemoryTraces(), clock, "fingerprint"),
        options=DeskOptions(4),
    )
    reconcile = Reconcile(
        venue=venue,
        books=books,
        desk=desk,
        execution=execution,
        health=health,
        clock=clock,
        facts=facts,
        cadence=Cadence(),
    )
    care = Care(clock, feed, books, desk, health, POLICIES.protection)
    parts = (journal, rows, books, execution, desk, care, reconcile, health, instruments, told)
    return Acting(clock, market, exchange, hyperliquid, *parts)

"""The thinking half of the road on fakes: bars, rules, seats; what it offers is collected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bot.domain.prompt import Template
from bot.domain.proposal import Rule
from bot.domain.types import ZERO, Bars, Ms, Symbol, Timeframe, TraceId
from bot.pipeline.approvals import Approvals
from bot.pipeline.chamber import Chamber
from bot.pipeline.council import Council, CouncilOptions
from bot.pipeline.entry_lane import Offer
from bot.pipeline.keep import CandleKeeper
from bot.pipeline.kept_answers import KeptAnswers
from bot.pipeline.policies import Policies
from bot.pipeline.road import Road, RoadOptions
from bot.pipeline.scan import Scan, UniversePolicy
from bot.ports import AnswerStore, Seat, TraceRecord
from bot.runtime.clock import ManualClock, SystemClock
from tests.fakes import FakeSeat, MemoryCandles
from tests.judgement import FixedRule
from tests.series import DAY_START, walk
from tests.unit.pipeline.given import BTC, ETH, POLICIES, SOL, Kit, kit

SOURCE = "hyperliquid:test"
M5 = Timeframe.M5
BARS = 300
CLOSE = Ms(DAY_START + BARS * M5.ms)
LONG = FixedRule("scalper.standard")
EXPIRY_S = 120.0


class MachineWaits(ManualClock):
    """Market time by hand, while limits pass as machine time, as they do beside a real venue."""

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        return await SystemClock().wait(event, seconds)


@dataclass
class Thinking:
    """A road and what came of it."""

    kit: Kit
    road: Road
    council: Council
    chamber: Chamber
    approvals: Approvals
    offers: list[Offer]
    candles: MemoryCandles
    keeper: CandleKeeper

    @property
    def records(self) -> list[TraceRecord]:
        return self.kit.traces.put_in_order

    def ended(self, symbol: Symbol = BTC) -> list[tuple[str, str]]:
        """Where and why the traces of a symbol ended, oldest first."""
        return [(r.stage, r.result) for r in self.records if r.symbol == symbol]


def bars_of(symbol: Symbol, number: int = BARS) -> Bars:
    """Each coin its own walk; `number` bars of it are closed."""
    return walk(BARS + 50, seed=8 + [BTC, ETH, SOL].index(symbol))[:number]


def thinking(
    *,
    rules: Sequence[Rule] = (LONG,),
    seats: Sequence[Seat] | None = None,
    policies: Policies = POLICIES,
    options: RoadOptions = RoadOptions(),  # noqa: B008 - frozen
    council: CouncilOptions = CouncilOptions(),  # noqa: B008 - frozen
    template: Template | None = None,
    answers: AnswerStore | None = None,
    made: Kit | None = None,
    expiry_s: float = EXPIRY_S,
    spent: Callable[[TraceId], Decimal] = lambda _: ZERO,
) -> Thinking:
    """Wire it as `app.parts.build` does, 3 s after the close of the newest bar."""
    made = made or kit(clock=MachineWaits(Ms(CLOSE + 3_000)), policies=policies)
    offers: list[Offer] = []
    approvals = Approvals(
        clock=made.clock,
        feed=made.feed,
        traces=made.trace_book,
        facts=made.facts,
        policies=policies,
        expiry_s=expiry_s,
        enter=offers.append,
        spent=spent,
    )
    candles = MemoryCandles()
    keeper = CandleKeeper(candles, SOURCE, made.clock)
    scan = Scan(
        made.feed,
        made.clock,
        UniversePolicy(),
        policies.timeframes,
        45_000,
        2_000,
        made.instruments,
        held=tuple,
    )
    chamber = Chamber(made.clock)
    sitting = Council(
        clock=made.clock,
        chamber=chamber,
        seats=seats if seats is not None else (FakeSeat(),),
        template=template,
        kept=KeptAnswers(made.clock, answers),
        traces=made.trace_book,
        facts=made.facts,
        options=council,
    )
    road = Road(
        clock=made.clock,
        feed=made.feed,
        scan=scan,
        council=sitting,
        rules=rules,
        policies=policies,
        approvals=approvals,
        books=made.books,
        traces=made.trace_book,
        keeper=keeper,
        correlations=made.correlations,
        instruments=made.instruments,
        facts=made.facts,
        options=options,
    )
    for symbol in (BTC, ETH, SOL):
        show(made, symbol)
    return Thinking(made, road, sitting, chamber, approvals, offers, candles, keeper)


def show(made: Kit, symbol: Symbol, number: int = BARS) -> None:
    """Let the feed know the first `number` bars of a coin, and its price."""
    bars = bars_of(symbol, number)
    made.feed.windows[symbol, M5] = bars
    made.price(symbol, round(float(bars.close[-1]), 2))

"""The road: scan, observe, propose, score, deliberate, approve; then the desk takes over.

Owns the order of the stages for one symbol and one cycle; decides nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from bot.domain.errors import TransientError
from bot.domain.instrument import Instrument
from bot.domain.proposal import Rule
from bot.domain.reasons import Reason, Stage
from bot.domain.sizing import size
from bot.domain.snapshot import Snapshot, window_hash
from bot.domain.types import (
    Abstention,
    Bars,
    Decision,
    Market,
    Ms,
    Opinion,
    Question,
    Rejected,
    Side,
    Symbol,
    Timeframe,
)
from bot.pipeline.account_view import account_view
from bot.pipeline.books import Books
from bot.pipeline.correlate import Correlations
from bot.pipeline.decide import Silence, Thought, decide, judge, see, think, wish_of
from bot.pipeline.desk import Desk, Offer
from bot.pipeline.facts import Facts
from bot.pipeline.keep import CandleKeeper
from bot.pipeline.policies import Policies
from bot.pipeline.scan import Scan
from bot.pipeline.trace import TraceBook, Trail
from bot.ports import Clock, Feed, Seat

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RoadOptions:
    """Machine seconds."""

    gather_s: float = 5.0  # spec 05: proposals arrive best first once all have answered, or then
    council_deadline_s: float = 60.0


class Road:
    """One cycle looks at every symbol at once and offers the best first."""

    def __init__(
        self,
        *,
        clock: Clock,
        feed: Feed,
        scan: Scan,
        seats: Sequence[Seat],
        rules: Sequence[Rule],
        policies: Policies,
        desk: Desk,
        books: Books,
        traces: TraceBook,
        keeper: CandleKeeper,
        correlations: Correlations,
        instruments: Mapping[Symbol, Instrument],
        facts: Facts,
        options: RoadOptions,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._scan = scan
        self._seats = seats
        self._rules = rules
        self._policies = policies
        self._desk = desk
        self._books = books
        self._traces = traces
        self._keeper = keeper
        self._correlations = correlations
        self._instruments = instruments
        self._facts = facts
        self._options = options
        self._seen: dict[Symbol, Ms] = {}
        self._acted: dict[tuple[Symbol, Side, str], Ms] = {}
        self._focused: tuple[Symbol, ...] = ()
        self._fresh = 0  # symbols with a new candle in this cycle
        self.cycles = 0

    async def run(self) -> None:
        """Service: one cycle after the other."""
        while True:
            symbols = await self._scan.due()
            with self._clock.busy():
                await self.cycle(symbols)

    async def cycle(self, symbols: Sequence[Symbol]) -> None:
        """Look at all symbols at once; offer the best first, stragglers as they come."""
        self.cycles += 1
        self._fresh = 0
        started = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            journeys = [group.create_task(self.travel(symbol)) for symbol in symbols]
            await self._offer_best_first(journeys)
        await self._focus_on_held()
        self._facts.tell(
            "cycle_done",
            self._clock.now(),
            number=self.cycles,
            symbols=len(symbols),
            new_candles=self._fresh,
            machine_s=round(self._clock.monotonic() - started, 4),
        )

    async def _offer_best_first(self, journeys: Sequence[asyncio.Task[Offer | None]]) -> None:
        if not journeys:
            return
        done, late = await asyncio.wait(journeys, timeout=self._options.gather_s)
        found = [offer for journey in done if (offer := journey.result()) is not None]
        for offer in sorted(found, key=lambda o: (-o.score, o.symbol)):
            self._desk.offer(offer)
        for journey in asyncio.as_completed(late):
            straggler = await journey
            if straggler is not None:
                self._desk.offer(straggler)

    async def _focus_on_held(self) -> None:
        """Open positions get the top of the book; for the rest the venue's estimate will do."""
        held = tuple(sorted(self._books.positions))
        if held != self._focused:
            self._focused = held
            await self._feed.focus(held)

    async def travel(self, symbol: Symbol) -> Offer | None:
        """Take one symbol down the road; None where it ended, and its trace says why."""
        with self._clock.busy():
            window = await self._windows(symbol)
            try:
                trail = await self._traces.open(self.cycles, symbol, self._bar_close(window))
            except TransientError as error:
                log.warning("trace_not_opened", symbol=symbol, error=str(error))
                return None
            offer = await self._think_through(symbol, window, trail)
            if offer is None:
                self._traces.close(trail)
            await asyncio.sleep(0)  # yield after each symbol (spec 05, "The process")
            return offer

    async def _think_through(
        self, symbol: Symbol, window: Mapping[Timeframe, Bars], trail: Trail
    ) -> Offer | None:
        snapshot = self._observe(symbol, window, trail)
        if snapshot is None:
            return None
        thought = self._propose(snapshot, trail)
        if thought is None:
            return None
        decision = await self._deliberate(thought, trail)
        return self._approve(thought, decision, trail)

    # --- the stages ----------------------------------------------------------------------

    async def _windows(self, symbol: Symbol) -> Mapping[Timeframe, Bars]:
        """The last closed bars of every timeframe; empty where they cannot be had."""
        window: dict[Timeframe, Bars] = {}
        for frame in self._policies.timeframes:
            try:
                bars = await self._feed.bars(symbol, frame, self._policies.window_bars)
            except TransientError as error:
                log.warning("no_bars", symbol=symbol, timeframe=frame.value, error=str(error))
                continue
            if len(bars):
                window[frame] = bars
        return window

    def _bar_close(self, window: Mapping[Timeframe, Bars]) -> Ms:
        frame = self._policies.timeframe
        bars = window.get(frame)
        if bars is not None:
            return Ms(int(bars.ts[-1]) + frame.ms)
        now = self._clock.now()
        return Ms(now - now % frame.ms)

    def _observe(
        self, symbol: Symbol, window: Mapping[Timeframe, Bars], trail: Trail
    ) -> Snapshot | None:
        with trail.at(Stage.OBSERVE):
            market = self._feed.market(symbol)
            frame = self._policies.timeframe
            if frame not in window or market is None:
                trail.end(Reason.NO_BARS)
                return None
            close = trail.bar_close
            if close <= max(self._seen.get(symbol, 0), self._books.decided.get(symbol, 0)):
                trail.end(Reason.NO_NEW_CANDLE, Stage.SCAN)
                return None
            stale = self._stale(symbol, close)
            if stale:
                trail.note("stale", stale)
                trail.end(Reason.STALE_DATA)
                return None
            self._seen[symbol] = close
            self._fresh += 1
            snapshot = see(symbol, window, market, self._policies)
            for seen_frame, bars in snapshot.bars.items():
                self._keeper.saw(symbol, seen_frame, bars)
            self._correlations.saw(symbol, snapshot.decision)
            trail.note("inputs", _inputs(snapshot, market))
            trail.note("seen", {"regime": snapshot.regime, "indicators": snapshot.indicators})
            trail.describe(regime=snapshot.regime.regime.value)
            return snapshot

    def _stale(self, symbol: Symbol, close: Ms) -> str:
        limits, length = self._policies.limits, self._policies.timeframe.ms
        age_ms = self._clock.now() - close
        if age_ms > limits.max_bar_ages * length:
            return f"newest bar closed {age_ms / 1000:.0f} s ago"
        mark_age_s = self._feed.confirmed_age_s(symbol)
        if mark_age_s > limits.max_mark_age_s:
            return f"mark not confirmed for {mark_age_s:.0f} s"
        return ""

    def _propose(self, snapshot: Snapshot, trail: Trail) -> Thought | None:
        with trail.at(Stage.PROPOSE):
            thought = think(snapshot, self._rules, self._policies)
            if isinstance(thought, Silence):
                trail.note("proposal", thought.found)
                trail.end(thought.reason)
                return None
            trail.note("proposal", thought.proposal)
            trail.note("flags", thought.flags)
            trail.note("score", thought.score)
            trail.describe(signal=thought.proposal.signal, score=thought.score)
            if thought.hard:
                trail.end(Reason.RED_FLAG, Stage.SCORE)
                return None
            return thought

    async def _deliberate(self, thought: Thought, trail: Trail) -> Decision:
        """Ask every seat at once under one deadline; a late one abstains."""
        with trail.at(Stage.DELIBERATE):
            question = Question(thought.proposal.signal, thought.score, thought.flags)
            answers = await asyncio.gather(*(self._ask(seat, question) for seat in self._seats))
            opinions = [answer for answer in answers if isinstance(answer, Opinion)]
            abstentions = [answer for answer in answers if isinstance(answer, Abstention)]
            trail.note("answers", {"opinions": opinions, "abstentions": abstentions})
            decision = decide(opinions, abstentions, self._policies)
            trail.note("decision", decision)
            return decision

    async def _ask(self, seat: Seat, question: Question) -> Opinion | Abstention:
        try:
            async with asyncio.timeout(self._options.council_deadline_s):
                return await seat.ask(question)
        except TimeoutError:
            limit = self._options.council_deadline_s
            return Abstention(seat.name, "timeout", f"no answer within {limit:g} s")
        except Exception as error:
            # A border by design: one voice that fails is an abstention, never the cycle's end.
            log.exception("seat_failed", seat=seat.name)
            return Abstention(seat.name, "error", type(error).__name__)

    def _approve(self, thought: Thought, decision: Decision, trail: Trail) -> Offer | None:
        with trail.at(Stage.APPROVE):
            snapshot, signal = thought.snapshot, thought.proposal.signal
            wish = wish_of(thought, decision)
            capital = account_view(self._books, self._clock.now()).capital
            preview = size(
                wish,
                self._instruments[snapshot.symbol],
                snapshot.market,
                capital,
                self._policies.sizing,
                trail.id,
            )
            key = (signal.symbol, signal.side, signal.strategy)
            repeated = self._acted.get(key, 0) > snapshot.as_of
            verdict = judge(thought, decision, preview, repeated, self._policies)
            instrument = self._instruments[snapshot.symbol]
            asked = {"capital": capital, "repeated": repeated, "instrument": instrument}
            trail.note("approval", {"asked": asked, "preview": preview, "verdict": verdict})
            if isinstance(verdict, Rejected):
                trail.end(_why_rejected(decision), Stage.APPROVE)
                return None
            expires = Ms(snapshot.as_of + snapshot.timeframe.ms)
            self._acted[key] = expires
            return Offer(trail, snapshot, wish, thought.score.total, snapshot.market.mark, expires)


def _inputs(snapshot: Snapshot, market: Market) -> dict[str, object]:
    windows = {
        frame.value: {
            "first": int(bars.ts[0]),
            "last": int(bars.ts[-1]),
            "bars": len(bars),
            "hash": window_hash(bars),
        }
        for frame, bars in snapshot.bars.items()
    }
    return {"market": market, "windows": windows}


def _why_rejected(decision: Decision) -> Reason:
    if not decision.quorum_met:
        return Reason.NO_QUORUM
    return Reason.HOLD if decision.action.value == "HOLD" else Reason.REJECTED

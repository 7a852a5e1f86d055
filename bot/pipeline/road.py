"""The road: scan, observe, propose, score, deliberate, approve; then the desk takes over.

Owns the order of the stages for one symbol and one cycle; decides nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from bot.domain.errors import TransientError
from bot.domain.instrument import Instrument
from bot.domain.proposal import Rule
from bot.domain.reasons import Reason, Stage
from bot.domain.snapshot import Snapshot
from bot.domain.types import Bars, Ms, Symbol, Timeframe
from bot.pipeline.approvals import Approvals
from bot.pipeline.books import Books
from bot.pipeline.correlate import Correlations
from bot.pipeline.council import Council
from bot.pipeline.decide import Silence, Thought, see, think
from bot.pipeline.entry_lane import Offer
from bot.pipeline.facts import Facts
from bot.pipeline.haste import Haste
from bot.pipeline.judgement import Judgement
from bot.pipeline.keep import CandleKeeper
from bot.pipeline.policies import Policies
from bot.pipeline.scan import Scan
from bot.pipeline.sessions import Session, Sessions
from bot.pipeline.sight import Sight
from bot.pipeline.trace import TraceBook, Trail
from bot.pipeline.turbulence import Turbulence
from bot.ports import Clock, Feed

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RoadOptions:
    """Machine seconds."""

    gather_s: float = 5.0  # spec 05: proposals arrive best first once all have answered, or then


class Road:
    """One cycle looks at every symbol at once and offers the best first."""

    def __init__(
        self,
        *,
        clock: Clock,
        feed: Feed,
        scan: Scan,
        council: Council,
        rules: Sequence[Rule],
        policies: Policies,
        approvals: Approvals,
        books: Books,
        traces: TraceBook,
        keeper: CandleKeeper,
        correlations: Correlations,
        instruments: Mapping[Symbol, Instrument],
        facts: Facts,
        options: RoadOptions,
        turbulence: Turbulence | None = None,
        haste: Haste | None = None,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._scan = scan
        self._council = council
        self._chamber = council.chamber
        self._rules = rules
        self._policies = policies
        self._approvals = approvals
        self._books = books
        self._traces = traces
        self._keeper = keeper
        self._correlations = correlations
        self._turbulence = turbulence or Turbulence()
        self._haste = haste or Haste(clock)
        self._instruments = instruments
        self._facts = facts
        self._options = options
        self._seen: dict[Symbol, Ms] = {}
        self._under_way: dict[Symbol, asyncio.Task[Offer | Session | None]] = {}
        self._focused: tuple[Symbol, ...] = ()
        self._sight = Sight()
        self._turn = asyncio.Lock()
        self._fresh = 0  # symbols with a new candle in this cycle
        self._untraced = False  # the last trace could not be opened
        self._barless: dict[tuple[Symbol, Timeframe], None] = {}  # whose last question failed
        self._sessions = Sessions(self._chamber, traces, approvals.offer, options.gather_s)
        self._judgement = Judgement(
            clock=clock,
            council=council,
            books=books,
            policies=policies,
            instruments=instruments,
            newest=self._seen.get,
        )
        self.cycles = 0

    async def run(self) -> None:
        """Service: one cycle after the other; sessions and stragglers run beside them."""
        async with self._chamber.open():
            while True:
                symbols = await self._scan.due()
                with self._clock.busy():
                    await self.cycle(symbols)

    async def cycle(self, symbols: Sequence[Symbol]) -> None:
        """Look at all symbols at once; offer the best first, stragglers as they come.

        Ends when all that need no council have answered, or after the gathering time. Called
        by itself, outside of `run`, it ends when everything that it began has ended.
        """
        if self._chamber.is_open:
            await self._go_round(symbols)
            return
        async with self._chamber.open():
            await self._go_round(symbols)
            await self._chamber.settled()

    async def _go_round(self, symbols: Sequence[Symbol]) -> None:
        self.cycles += 1
        self._fresh = 0
        started = self._clock.monotonic()
        journeys = []
        for symbol in symbols:
            if symbol not in self._under_way:  # a straggler of an earlier cycle still is
                journeys.append(self._set_out(symbol))
                await asyncio.sleep(0)  # all that is ready runs in one turn of the loop
        await self._offer_best_first(journeys)
        await self._focus_on_held()
        self._facts.tell(
            "cycle_done",
            self._clock.now(),
            number=self.cycles,
            symbols=len(symbols),
            new_candles=self._fresh,
            before_council=len(self._sessions.waiting),
            machine_s=round(self._clock.monotonic() - started, 4),
        )

    def _set_out(self, symbol: Symbol) -> asyncio.Task[Offer | Session | None]:
        journey = self._chamber.spawn(self.travel(symbol))
        self._under_way[symbol] = journey
        journey.add_done_callback(lambda _: self._under_way.pop(symbol, None))
        return journey

    async def _offer_best_first(
        self, journeys: Sequence[asyncio.Task[Offer | Session | None]]
    ) -> None:
        if not journeys:
            return
        await self._chamber.together(journeys, self._options.gather_s)
        late = [journey for journey in journeys if not journey.done()]
        self._take([journey.result() for journey in journeys if journey not in late])
        if late:
            self._chamber.spawn(self._take_stragglers(late), holds=False)

    async def _take_stragglers(self, late: Sequence[asyncio.Task[Offer | Session | None]]) -> None:
        for journey in asyncio.as_completed(late):
            found = await journey
            with self._clock.busy():
                self._take([found])

    def _take(self, found: Sequence[Offer | Session | None]) -> None:
        """Offer what is decided, best first; put the rest before the council."""
        offers = [one for one in found if isinstance(one, Offer)]
        for offer in sorted(offers, key=lambda o: (-o.score, o.symbol)):
            self._approvals.offer(offer)
        self._sessions.open([one for one in found if isinstance(one, Session)])

    async def _focus_on_held(self) -> None:
        """Open positions get the top of the book; for the rest the venue's estimate will do."""
        held = tuple(sorted(self._books.positions))
        if held != self._focused:
            self._focused = held
            await self._feed.focus(held)

    async def travel(self, symbol: Symbol) -> Offer | Session | None:
        """Take one symbol down the road; None where it ended, and its trace says why.

        A session where models are to be asked: the road goes on without them.
        """
        with self._clock.busy():
            window = await self._windows(symbol)
            try:
                trail = await self._traces.open(self.cycles, symbol, self._bar_close(window))
            except TransientError as error:
                self._tell_untraced(symbol, error)
                return None
            self._untraced = False
            thought = await self._think_in_turn(symbol, window, trail)
            if thought is None:
                return None
            question = self._judgement.question(thought, trail)
            if question is None:
                self._traces.close(trail)
                return None
            hearing = partial(self._judgement.hear, thought, question, trail)
            if not self._council.at_once:
                return Session(symbol, trail, hearing)
            offer = await hearing()
            if offer is None:
                self._traces.close(trail)
            return offer

    def _tell_untraced(self, symbol: Symbol, error: TransientError) -> None:
        """Once while it lasts: every symbol of every cycle would fill the log with one cause."""
        if not self._untraced:
            log.warning("trace_not_opened", symbol=symbol, error=str(error))
        self._untraced = True

    async def _think_in_turn(
        self, symbol: Symbol, window: Mapping[Timeframe, Bars], trail: Trail
    ) -> Thought | None:
        """Compute what one symbol says, one symbol at a time, and a turn for each of three parts.

        A plain yield after each would not do: the loop runs all tasks that are ready before
        it looks at a socket again, and after a candle's close that is every symbol.
        """
        async with self._turn:
            await self._haste.give_way()
            snapshot = self._observe(symbol, window, trail)
            thought = None
            if snapshot is not None:
                await asyncio.sleep(0)  # all in one stretch are 6 ms on a busy machine
                self._remember(snapshot, trail)
                await asyncio.sleep(0)
                thought = self._propose(snapshot, trail)
            if thought is None:
                self._traces.close(trail)
            await asyncio.sleep(0)  # with the turn held: the next one begins after the sockets
            return thought

    # --- the stages ----------------------------------------------------------------------

    async def _windows(self, symbol: Symbol) -> Mapping[Timeframe, Bars]:
        """The last closed bars of every timeframe; empty where they cannot be had."""
        window: dict[Timeframe, Bars] = {}
        for frame in self._policies.timeframes:
            try:
                bars = await self._feed.bars(symbol, frame, self._policies.window_bars)
            except TransientError as error:
                self._tell_barless(symbol, frame, error)
                continue
            self._barless.pop((symbol, frame), None)
            if len(bars):
                window[frame] = bars
        return window

    def _tell_barless(self, symbol: Symbol, frame: Timeframe, error: TransientError) -> None:
        """Once while it lasts, as above: a venue that is away is away for every symbol."""
        if (symbol, frame) not in self._barless:
            log.warning("no_bars", symbol=symbol, timeframe=frame.value, error=str(error))
        self._barless[symbol, frame] = None

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
            self._approvals.saw(symbol, close)
            self._fresh += 1
            reader = self._sight.reader(symbol)
            return see(symbol, window, market, self._policies, reader)

    def _remember(self, snapshot: Snapshot, trail: Trail) -> None:
        """Hand what was seen to those who keep it, and write it down."""
        with trail.at(Stage.OBSERVE):
            for frame, bars in snapshot.bars.items():
                self._keeper.saw(snapshot.symbol, frame, bars)
            self._correlations.saw(snapshot.symbol, snapshot.decision)
            self._turbulence.saw(snapshot.symbol, snapshot.bars)
            trail.note("inputs", _inputs(snapshot, self._sight))
            trail.note("seen", {"regime": snapshot.regime, "indicators": snapshot.indicators})
            trail.describe(regime=snapshot.regime.regime.value)

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


def _inputs(snapshot: Snapshot, sight: Sight) -> dict[str, object]:
    windows = {
        frame.value: {
            "first": int(bars.ts[0]),
            "last": int(bars.ts[-1]),
            "bars": len(bars),
            "hash": sight.digest(snapshot.symbol, frame, bars),
        }
        for frame, bars in snapshot.bars.items()
    }
    return {"market": snapshot.market, "windows": windows}

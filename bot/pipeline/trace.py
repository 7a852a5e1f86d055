"""One decision's record while it travels the road: what was seen, thought and done, and how long.

Owns the layout of a trace's body; knows neither the table it lands in nor how it is replayed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from bot.domain.reasons import Reason, Stage
from bot.domain.types import Ms, Score, Signal, Symbol, TraceId, trace_id
from bot.ports import Clock, TraceRecord, TraceStore

DURATIONS_KEPT = 1_000  # behind the latency of /metrics


class Trail:
    """Collects the sections of one trace; `end` closes it, `reopen` lets the desk go on."""

    def __init__(
        self,
        ident: TraceId,
        cycle: int,
        symbol: Symbol,
        bar_close: Ms,
        clock: Clock,
        fingerprint: str,
    ) -> None:
        self.id = ident
        self.symbol = symbol
        self.bar_close = bar_close
        self.stage = Stage.SCAN
        self.result: Reason | None = None
        self.body: dict[str, object] = {}
        self._cycle = cycle
        self._clock = clock
        self._fingerprint = fingerprint
        self._started_at = clock.now()
        self._durations: dict[str, float] = {}
        self._regime: str | None = None
        self._signal: Signal | None = None
        self._score: Score | None = None

    def note(self, section: str, value: object) -> None:
        """Keep `value` (plain data or frozen dataclasses) as a section of the body."""
        self.body[section] = value

    def describe(
        self, *, regime: str | None = None, signal: Signal | None = None, score: Score | None = None
    ) -> None:
        """Keep what the trace will be asked by."""
        self._regime = regime or self._regime
        self._signal = signal or self._signal
        self._score = score or self._score

    @contextmanager
    def at(self, stage: Stage) -> Iterator[None]:
        """Enter a stage and measure it in machine time."""
        self.stage = stage
        started = self._clock.monotonic()
        try:
            yield
        finally:
            spent = (self._clock.monotonic() - started) * 1000
            self._durations[stage] = self._durations.get(stage, 0.0) + round(spent, 3)

    def spent(self, what: str, ms: float) -> None:
        """Keep machine ms that belong to no stage of ours, beside the stages'."""
        self._durations[what] = round(self._durations.get(what, 0.0) + ms, 3)

    @property
    def decided(self) -> bool:
        """Whether the strategies were asked: there was a new candle to look at."""
        return Stage.PROPOSE in self._durations

    def end(self, reason: Reason, stage: Stage | None = None) -> Reason:
        """Say where and why the road ended (a later stage may say it again)."""
        self.stage = stage or self.stage
        self.result = reason
        return reason

    def record(self) -> TraceRecord:
        """The row as it stands; `Reason.ERROR` when nobody said how it ended."""
        signal, score = self._signal, self._score
        return TraceRecord(
            trace_id=self.id,
            cycle=self._cycle,
            symbol=self.symbol,
            bar_close=self.bar_close,
            started_at=self._started_at,
            duration_ms=round(sum(self._durations.values()), 3),
            stage=self.stage.value,
            result=(self.result or Reason.ERROR).value,
            regime=self._regime,
            strategy=signal.strategy if signal else None,
            side=signal.side.value if signal else None,
            score=score.total if score else None,
            tier=int(score.tier) if score else None,
            fingerprint=self._fingerprint,
            body={**self.body, "durations_ms": dict(self._durations)},
        )


class TraceBook:
    """Numbers new traces and hands finished ones to the store."""

    def __init__(self, store: TraceStore, clock: Clock, fingerprint: str) -> None:
        self._store = store
        self._clock = clock
        self._fingerprint = fingerprint
        self._numbers: dict[Symbol, tuple[Ms, int]] = {}
        self.durations: OrderedDict[TraceId, float] = OrderedDict()  # ms, of those decided on

    def used(self, symbol: Symbol, bar_close: Ms, ident: TraceId) -> None:
        """Know an id from before the start: its row may have died with the process."""
        self._numbers[symbol] = (bar_close, int(ident.rsplit("-", 1)[1]))

    async def open(self, cycle: int, symbol: Symbol, bar_close: Ms) -> Trail:
        """Begin a trace under the next number of this symbol and bar."""
        known = self._numbers.get(symbol)
        if known is not None and known[0] == bar_close:
            number = known[1] + 1
        else:
            number = await self._store.last_number(symbol, bar_close) + 1
        self._numbers[symbol] = (bar_close, number)
        ident = trace_id(symbol, bar_close, number)
        return Trail(ident, cycle, symbol, bar_close, self._clock, self._fingerprint)

    def close(self, trail: Trail) -> None:
        """Queue the record; a trail that went further is queued again under its id."""
        record = trail.record()
        self._store.put(record)
        if trail.decided:
            self.durations[trail.id] = record.duration_ms
            if len(self.durations) > DURATIONS_KEPT:
                self.durations.popitem(last=False)

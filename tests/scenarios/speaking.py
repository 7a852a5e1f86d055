"""Candle files on whose first decided bar a strategy speaks: no test waits for a signal.

Owns finding such series among seeded walks with the strategies that ship, and writing them; the
same count gives the same files. Bars of five minutes: at speed 1 the bar lasts as long as any
test, and between two ticks (100 s) no price moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.app.policies import policies_of, rules_of
from bot.domain.brief import brief_of
from bot.domain.folding import fold
from bot.domain.prompt import line_of
from bot.domain.proposal import Rule
from bot.domain.sizing import size
from bot.domain.types import Bars, Intent, Side, Symbol, Timeframe, TraceId
from bot.pipeline.decide import Thought, see, think, unasked, wish_of
from bot.pipeline.policies import Policies
from bot.simulator.coins import coin, instrument
from config.settings import load
from tests.series import DAY_START, market, walk

M5, M15 = Timeframe.M5, Timeframe.M15
CLOSED = 300  # bars before the first decision: the longest warm-up, a quarter of the file
ROWS = 4 * CLOSED
STEP = 0.003
CAPITAL = Decimal(100_000)
LEAST_SCORE = 66.0  # so that asking is worth its price whatever the models cost
SIGNAL, PICTURE = "signal.side", "5m.steps_atr"  # facts that a question is known by


@dataclass(frozen=True, slots=True)
class Speaker:
    """One coin: its file, the side of its signal, and the line that only its question has."""

    symbol: Symbol
    file: Path
    side: Side
    line: str


def speakers(folder: Path, number: int) -> tuple[Speaker, ...]:
    """Write the files of `number` coins; all speak on the same bar."""
    folder.mkdir(parents=True, exist_ok=True)
    found = zip(_series(), range(number))
    return tuple(_written(folder, Symbol(f"C{at}"), bars, said) for (bars, said), at in found)


def _series() -> Iterator[tuple[Bars, Thought]]:
    """Every walk cut so that its bar number `CLOSED` carries a signal worth asking about."""
    settings = load({"MODE": "demo"}, {}, None).settings
    rules = rules_of(settings)
    policies = policies_of(settings, rules, M5)
    for seed in count():
        bars = _on_tick(walk(3 * ROWS, seed=seed, step=STEP))
        for place in _fired(bars, rules):
            cut = _cut(bars, place)
            thought = _thought(cut, rules, policies)
            if thought is not None:
                yield cut, thought
                break  # one of each walk: coins do not move together


def _fired(bars: Bars, rules: Sequence[Rule]) -> list[int]:
    """Bars with a wish, with enough of them before and after."""
    wished = np.zeros(len(bars), dtype=bool)
    for rule in rules:
        wished |= rule.signals(bars).side != 0
    return [int(at) for at in wished.nonzero()[0] if CLOSED <= at < len(bars) - ROWS]


def _cut(bars: Bars, place: int) -> Bars:
    first = place + 1 - CLOSED
    ts = DAY_START + np.arange(ROWS, dtype=np.int64) * M5.ms
    return _part(bars, slice(first, first + ROWS), ts)


def _part(bars: Bars, part: slice, ts: NDArray[np.int64]) -> Bars:
    """Some of the bars, at these times."""
    return Bars(
        ts=ts,
        open=bars.open[part],
        high=bars.high[part],
        low=bars.low[part],
        close=bars.close[part],
        volume=bars.volume[part],
    )


def _thought(bars: Bars, rules: Sequence[Rule], policies: Policies) -> Thought | None:
    """What the road makes of the bar, where that is worth a council."""
    seen = _part(bars, slice(CLOSED), bars.ts[:CLOSED])
    windows: Mapping[Timeframe, Bars] = {M5: seen, M15: fold(seen, M5, M15)}
    thought = think(see(Symbol("C"), windows, market(seen), policies), rules, policies)
    if not isinstance(thought, Thought) or thought.flags or thought.score.total < LEAST_SCORE:
        return None
    return thought if _fits(thought, policies) else None


def _fits(thought: Thought, policies: Policies) -> bool:
    """Whether a size can be had without a council: else it would not be asked."""
    wish, market = wish_of(thought, unasked(thought)), thought.snapshot.market
    rules = instrument(coin("C", market.mark), 0)
    return isinstance(size(wish, rules, market, CAPITAL, policies.sizing, TraceId("C")), Intent)


def _on_tick(bars: Bars) -> Bars:
    """Prices of two decimals, as the venue takes them around 100."""
    rounded = {name: np.round(getattr(bars, name), 2) for name in ("open", "high", "low", "close")}
    return replace(bars, **rounded, volume=bars.volume * 1_000)


def _written(folder: Path, symbol: Symbol, bars: Bars, thought: Thought) -> Speaker:
    file = folder / f"{symbol}-5m.csv"
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = zip(*(column.tolist() for column in columns))
    lines = ["ts,open,high,low,close,volume", *(",".join(map(repr, row)) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    facts = brief_of(thought.proposal, thought.score, thought.flags, thought.snapshot).facts
    picture = next(line_of(fact.key, fact.value) for fact in facts if fact.key == PICTURE)
    return Speaker(symbol, file, thought.proposal.signal.side, picture)

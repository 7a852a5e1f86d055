"""Snapshots, rules and proposals for tests, built from a few figures.

Knows no rule of the domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bot.domain.indicators import Indicators
from bot.domain.levels import Levels
from bot.domain.proposal import Proposal
from bot.domain.regime import Figures, RegimeView
from bot.domain.signals import SignalArray
from bot.domain.snapshot import Snapshot
from bot.domain.types import Bars, Ms, Regime, Side, Signal, Symbol, Timeframe
from tests.series import market, walk

M5, H1, H4 = Timeframe.M5, Timeframe.H1, Timeframe.H4
BARS = walk(300, seed=8)
EVERYWHERE = tuple(Regime)
RANGES = (Regime.RANGING,)


def snapshot(
    *,
    bars: Bars = BARS,
    now: Indicators = Indicators(rsi=50.0, volume_ratio=1.0, atr=0.2),  # noqa: B008 - frozen
    contexts: Mapping[Timeframe, Indicators] | None = None,
    regime: Regime = Regime.RANGING,
    confidence: float = 0.8,
    levels: Levels = Levels(),  # noqa: B008 - frozen
    funding: float = 0.0,
) -> Snapshot:
    """A snapshot of exactly these figures, whatever the bars would have given."""
    frames = dict(contexts or {})
    view = RegimeView(regime, confidence, Figures())
    return Snapshot(
        symbol=Symbol("BTC"),
        as_of=Ms(int(bars.ts[-1]) + M5.ms),
        timeframe=M5,
        context=tuple(frames),
        bars={M5: bars},
        indicators={M5: now, **frames},
        regime=view,
        regime_timeframe=M5,
        context_regimes=dict.fromkeys(frames, view),
        known_levels=levels,
        market=replace(market(bars), funding_hourly=funding),
    )


def wish(
    side: Side = Side.LONG,
    strategy: str = "scalper.standard",
    *,
    strength: float = 0.5,
    weight: float = 1.0,
) -> Signal:
    return Signal(
        symbol=Symbol("BTC"),
        side=side,
        strength=strength,
        stop_frac=0.01,
        target_r=2.0,
        strategy=strategy,
        scanner="technical",
        weight=weight,
        why="because",
    )


def proposal(
    side: Side = Side.LONG,
    *others: str,
    regimes: tuple[Regime, ...] = EVERYWHERE,
    strength: float = 0.5,
) -> Proposal:
    """A proposal of the scalper (or a fade, with `regimes=RANGES`) and `others` that agree."""
    leader = wish(side, strength=strength)
    return Proposal(leader, tuple(wish(side, name) for name in others), (), regimes)


def heading(direction: int, adx: float) -> Indicators:
    """A context frame that trends up (1) or down (-1) with this ADX."""
    plus, minus = (30.0, 10.0) if direction > 0 else (10.0, 30.0)
    return Indicators(adx=adx, plus_di=plus, minus_di=minus)


@dataclass(frozen=True)
class FixedRule:
    """A rule that wishes the same on every bar."""

    id: str
    side: int = 1
    strength: float = 0.5
    weight: float = 1.0
    warm_up: int = 10
    target_r: float = 2.0
    why: str = "because"
    fits: Mapping[Regime, tuple[Side, ...]] = field(
        default_factory=lambda: dict.fromkeys(Regime, tuple(Side))
    )
    answers: int | None = None  # how many bars it answers; None: all

    def sides(self, regime: Regime) -> tuple[Side, ...]:
        return self.fits.get(regime, ())

    def signals(self, bars: Bars) -> SignalArray:
        n = len(bars) if self.answers is None else self.answers
        return SignalArray(
            np.full(n, self.side, dtype=np.int8), np.full(n, self.strength), np.full(n, 0.01)
        )

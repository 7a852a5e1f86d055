"""The unified score of a proposal: 0 to 100 out of parts that are each 0 to 100.

Owns the formula of each part and the tiers; knows no gate and no model.

A part whose inputs are missing is absent: it is left out and the weights of the others carry
the score. Measured on real candles, a third to two fifths of the signals reach 55, one in
fifteen 70, and few of a thousand 85; a change of a formula has to keep that usable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bot.domain.indicators import Indicators, volume_ratio
from bot.domain.proposal import Proposal
from bot.domain.snapshot import Snapshot
from bot.domain.types import Regime, Score, ScorePart, Side, Tier

# spec 10, "Score and tier".
TIERS = (
    (85.0, Tier.TIER_1_MUST_BUY),
    (70.0, Tier.TIER_2_STRONG_BUY),
    (55.0, Tier.TIER_3_WATCHLIST),
)

QUIET_VOLUME = 0.5  # of the 20-bar mean: says nothing for a trade
LOUD_VOLUME = 4.0  # of the 20-bar mean: as much as volume can say
LOUD_BARS = 3
RATIO_BARS = 20 + LOUD_BARS - 1  # what the ratios of those bars need
DI_FULL = 20.0  # points between +DI and -DI that count as a full direction
ADX_NONE, ADX_FULL = 15.0, 40.0  # below: no trend; above: as strong as a trend counts
FUNDING_FULL = 1e-4  # an hour; 0.01 % paid or earned each hour is a cost that decides

# How well a side fits a regime, 0 to 1, by whether the strategy fades moves or follows them.
_FOLLOW = {"with": 1.0, "against": 0.0, Regime.RANGING: 0.5, Regime.VOLATILE: 0.3}
_FADE = {"with": 0.5, "against": 0.0, Regime.RANGING: 1.0, Regime.VOLATILE: 0.3}


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """Weights of the parts; only their ratios matter, 0 switches a part off."""

    confluence: float = 25.0
    timeframes: float = 20.0
    volume: float = 15.0
    levels: float = 15.0
    regime: float = 20.0
    funding: float = 5.0

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in PARTS]
        if min(values) < 0 or not 0 < sum(values) < math.inf:
            raise ValueError("score weights: none may be negative, at least one positive")


def score(proposal: Proposal, snapshot: Snapshot, weights: ScoreWeights) -> Score:
    """The weighted mean of the parts that are present, and its tier.

    Confluence is always present, so a score exists even where all else is missing; weights
    that leave nothing (confluence 0, the rest absent) give 0.
    """
    parts: list[ScorePart] = []
    for name, rule in PARTS.items():
        weight = float(getattr(weights, name))
        value = rule(proposal, snapshot) if weight > 0 else None
        if value is not None:
            parts.append(ScorePart(name, round(value, 4), weight))
    mass = sum(part.weight for part in parts)
    total = sum(part.value * part.weight for part in parts) / mass if mass > 0 else 0.0
    total = round(total, 4)
    return Score(tuple(parts), total, tier_of(total))


def tier_of(total: float) -> Tier:
    """The tier of a score, 0 to 100."""
    for least, tier in TIERS:
        if total >= least:
            return tier
    return Tier.TIER_4_NEUTRAL


def confluence(proposal: Proposal, snapshot: Snapshot) -> float | None:
    """80 x the leader's strength, plus what agrees with it.

    Another strategy file adds 20 x its strength, another variant of a file already counted
    5 x (it is nearly the same voice); capped at 100.
    """
    value = 80.0 * proposal.signal.strength
    heard = {_family(proposal.signal.strategy)}
    for signal in proposal.confluence:
        family = _family(signal.strategy)
        value += signal.strength * (5.0 if family in heard else 20.0)
        heard.add(family)
    return min(100.0, value)


def timeframes(proposal: Proposal, snapshot: Snapshot) -> float | None:
    """Whether the coarser frames go the same way: the mean over those with enough history.

    A frame's trend is -1 to 1: direction (+DI minus -DI) times strength (ADX). A strategy
    that follows gets 50 + 50 x trend along its side; one that fades wants no trend against
    it and gets 70 without one, up to 100 with one along, down to 0 against.
    """
    sign = proposal.signal.side.sign
    trends = (trend(snapshot.indicators[frame]) for frame in snapshot.context)
    along = [sign * value for value in trends if value is not None]
    if not along:
        return None
    if proposal.fades:
        values = [70 + (30 if value > 0 else 70) * value for value in along]
    else:
        values = [50 + 50 * value for value in along]
    return sum(values) / len(values)


def volume(proposal: Proposal, snapshot: Snapshot) -> float | None:
    """The loudest of the last three bars over its 20-bar mean: 0 at half of it, 100 at 4 times.

    Three bars, because a signal often comes a bar or two after the burst that made it.
    """
    ratios = volume_ratio(snapshot.decision.volume[-RATIO_BARS:])[-LOUD_BARS:]
    ratios = ratios[~np.isnan(ratios)]
    return 100 * _ramp(float(ratios.max()), QUIET_VOLUME, LOUD_VOLUME) if len(ratios) else None


def levels(proposal: Proposal, snapshot: Snapshot) -> float | None:
    """Room before the next level against the trade, and support close behind it.

    60 for room of the whole target (in stop distances; no level ahead is full room), less
    in proportion; 40 when a level lies right behind the entry, nothing when it is a whole
    stop distance away or there is none.
    """
    found, signal = snapshot.levels, proposal.signal
    price = found.price
    if price is None or not (found.supports or found.resistances):
        return None
    ahead, behind = found.resistance, found.support
    if signal.side is Side.SHORT:
        ahead, behind = behind, ahead
    stop = signal.stop_frac * price
    room = 1.0 if ahead is None else min(1.0, abs(ahead.price - price) / stop / signal.target_r)
    backing = 0.0 if behind is None else max(0.0, 1 - abs(price - behind.price) / stop)
    return 60 * room + 40 * backing


def regime(proposal: Proposal, snapshot: Snapshot) -> float | None:
    """How well the side fits the regime, drawn towards 50 as the regime is less clear.

    Following: 100 along the trend, 50 in a range, 30 when volatile, 0 against the trend.
    Fading: 100 in a range, 50 along a trend, 30 when volatile, 0 against a trend.
    Absent where the regime is not known (confidence 0).
    """
    view = snapshot.regime
    if view.confidence <= 0:
        return None
    table = _FADE if proposal.fades else _FOLLOW
    fit = table[_stance(view.regime, proposal.signal.side)]
    return 50 + (100 * fit - 50) * view.confidence


def funding(proposal: Proposal, snapshot: Snapshot) -> float | None:
    """50 at no funding, 100 when 0.01 % an hour is earned by this side, 0 when it is paid.

    Absent where the venue tells none (not finite, or exactly 0: no perpetual).
    """
    rate = snapshot.market.funding_hourly
    if not math.isfinite(rate) or rate == 0:
        return None
    return 50 - 50 * max(-1.0, min(1.0, proposal.signal.side.sign * rate / FUNDING_FULL))


def trend(values: Indicators) -> float | None:
    """Direction times strength of a frame's trend, -1 to 1; None with too little history."""
    if values.adx is None or values.plus_di is None or values.minus_di is None:
        return None
    direction = max(-1.0, min(1.0, (values.plus_di - values.minus_di) / DI_FULL))
    return direction * _ramp(values.adx, ADX_NONE, ADX_FULL)


PARTS: dict[str, Callable[[Proposal, Snapshot], float | None]] = {
    "confluence": confluence,
    "timeframes": timeframes,
    "volume": volume,
    "levels": levels,
    "regime": regime,
    "funding": funding,
}


def _family(strategy: str) -> str:
    return strategy.partition(".")[0]


def _stance(state: Regime, side: Side) -> str | Regime:
    up = state is Regime.TRENDING_UP
    if not up and state is not Regime.TRENDING_DOWN:
        return state
    return "with" if up is (side is Side.LONG) else "against"


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, linear between."""
    return max(0.0, min(1.0, (value - low) / (high - low)))

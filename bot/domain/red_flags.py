"""Warnings about a proposal that are found in code, before a model is asked and again after.

Owns the rules, which of them are hard by profile, and the effect of the soft ones; knows no
gate. The rules stand in spec 10, "Red flags"; what that leaves open is decided beside each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bot.domain.indicators import macd
from bot.domain.levels import SWING_WING, swing_highs, swing_lows
from bot.domain.proposal import Proposal
from bot.domain.snapshot import Snapshot
from bot.domain.types import RedFlag, Regime, Side, SoftEffect

RSI_HIGH, RSI_LOW = 80.0, 20.0  # spec 10
VERY_LOW_VOLUME = 0.3  # of the 20-bar mean
MIDDLE = (0.4, 0.6)  # share of the way from support to resistance
MIDDLE_MIN_ATR = 4.0  # a narrower gap between levels has no middle worth the name
TREND_ADX = 25.0  # spec 10
DIVERGENCE_BARS = 60  # both turns must lie within; older ones are another story
DIVERGENCE_FRESH = 15  # bars since the later turn


class FlagCode(StrEnum):
    """Every red flag there is."""

    RSI_EXTREME = "rsi_extreme"
    LOW_VOLUME = "low_volume"
    MID_RANGE = "mid_range"
    MACD_DIVERGENCE = "macd_divergence"
    VOLATILE = "volatile"
    TIMEFRAMES_DISAGREE = "timeframes_disagree"


@dataclass(frozen=True, slots=True)
class FlagPolicy:
    """Which flags forbid the trade; the others have their soft effect."""

    hard: tuple[FlagCode, ...] = (
        FlagCode.RSI_EXTREME,
        FlagCode.LOW_VOLUME,
        FlagCode.TIMEFRAMES_DISAGREE,
    )


POLICIES: Mapping[str, FlagPolicy] = {
    "conservative": FlagPolicy(
        (
            FlagCode.RSI_EXTREME,
            FlagCode.LOW_VOLUME,
            FlagCode.VOLATILE,
            FlagCode.TIMEFRAMES_DISAGREE,
        )
    ),
    "aggressive": FlagPolicy(),
    # A burst on 1m bars often lifts RSI over 80: that is the scalper's set-up, not its end.
    "scalper": FlagPolicy((FlagCode.LOW_VOLUME, FlagCode.TIMEFRAMES_DISAGREE)),
    "demo": FlagPolicy((FlagCode.LOW_VOLUME, FlagCode.TIMEFRAMES_DISAGREE)),
}

# spec 10 for volatile; the others halve or shave the size and leave leverage alone.
SOFT: Mapping[str, SoftEffect] = {
    FlagCode.RSI_EXTREME.value: SoftEffect(size_factor=0.5),
    FlagCode.LOW_VOLUME.value: SoftEffect(size_factor=0.5),
    FlagCode.MID_RANGE.value: SoftEffect(size_factor=0.75),
    FlagCode.MACD_DIVERGENCE.value: SoftEffect(size_factor=0.75),
    FlagCode.VOLATILE.value: SoftEffect(max_leverage=2, size_factor=0.5),
    FlagCode.TIMEFRAMES_DISAGREE.value: SoftEffect(size_factor=0.5),
}


def find(proposal: Proposal, snapshot: Snapshot, policy: FlagPolicy) -> tuple[RedFlag, ...]:
    """Every flag that applies, in the order of `FlagCode`; missing inputs raise none."""
    found: list[RedFlag] = []
    for code, rule in _RULES.items():
        detail = rule(proposal, snapshot)
        if detail is not None:
            found.append(RedFlag(code.value, code in policy.hard, detail))
    return tuple(found)


def effect(flags: Iterable[RedFlag]) -> SoftEffect:
    """The joint effect of the soft flags: the smallest of each bound, never their product.

    Flags are not independent (volatile often means divergence too); multiplying would
    punish one cause twice until no size is left.
    """
    effects = [SOFT[flag.code] for flag in flags if not flag.hard]
    bounds = [item.max_leverage for item in effects if item.max_leverage is not None]
    return SoftEffect(
        max_leverage=min(bounds) if bounds else None,
        size_factor=min((item.size_factor for item in effects), default=1.0),
    )


def _rsi_extreme(proposal: Proposal, snapshot: Snapshot) -> str | None:
    """Only against the side that has run out: over 80 for a LONG, under 20 for a SHORT.

    Read both ways the rule would kill every trade that fades an extreme.
    """
    rsi, side = snapshot.now.rsi, proposal.signal.side
    if rsi is None:
        return None
    if side is Side.LONG and rsi > RSI_HIGH:
        return f"RSI {rsi:.1f} over {RSI_HIGH:.0f} against a LONG"
    if side is Side.SHORT and rsi < RSI_LOW:
        return f"RSI {rsi:.1f} under {RSI_LOW:.0f} against a SHORT"
    return None


def _low_volume(proposal: Proposal, snapshot: Snapshot) -> str | None:
    ratio = snapshot.now.volume_ratio
    if ratio is None or ratio >= VERY_LOW_VOLUME:
        return None
    return f"volume {ratio:.2f} of its 20-bar mean, under {VERY_LOW_VOLUME}"


def _mid_range(proposal: Proposal, snapshot: Snapshot) -> str | None:
    levels, atr = snapshot.levels, snapshot.now.atr
    below, above, price = levels.support, levels.resistance, levels.price
    if below is None or above is None or price is None or atr is None:
        return None
    width = above.price - below.price
    if width < MIDDLE_MIN_ATR * atr:
        return None
    share = (price - below.price) / width
    if not MIDDLE[0] <= share <= MIDDLE[1]:
        return None
    return f"{share:.0%} of the way from support {below.price:g} to resistance {above.price:g}"


def _macd_divergence(proposal: Proposal, snapshot: Snapshot) -> str | None:
    """The last two swings go on in the trade's direction while MACD no longer follows."""
    bars, sign = snapshot.decision, proposal.signal.side.sign
    prices = bars.high if sign > 0 else bars.low
    turns = swing_highs(prices) if sign > 0 else swing_lows(prices)
    at = np.flatnonzero(turns)[-2:]
    if len(at) < 2 or len(bars) - at[0] > DIVERGENCE_BARS:
        return None
    if len(bars) - 1 - at[1] > DIVERGENCE_FRESH + SWING_WING:
        return None
    line = macd(bars.close)[0][at]
    price_goes_on = sign * float(prices[at[1]] - prices[at[0]]) > 0
    macd_turns = sign * float(line[1] - line[0]) < 0  # false while MACD is NaN
    if not (price_goes_on and macd_turns):
        return None
    what = "higher highs" if sign > 0 else "lower lows"
    return f"{what} on weaker MACD ({line[0]:.4g}, then {line[1]:.4g})"


def _volatile(proposal: Proposal, snapshot: Snapshot) -> str | None:
    if snapshot.regime.regime is not Regime.VOLATILE:
        return None
    return f"volatile regime, confidence {snapshot.regime.confidence:.2f}"


def _timeframes_disagree(proposal: Proposal, snapshot: Snapshot) -> str | None:
    """All context frames trend against the side, each with ADX over 25.

    Frames with too little history do not count. Where one alone is left, it is enough
    against a strategy that follows, not against one that fades (it lives on such moves).
    """
    sign = proposal.signal.side.sign
    known = against = 0
    for frame in snapshot.context:
        values = snapshot.indicators[frame]
        if values.adx is None or values.plus_di is None or values.minus_di is None:
            continue
        known += 1
        against += values.adx > TREND_ADX and sign * (values.plus_di - values.minus_di) < 0
    if known == 0 or against < known or (proposal.fades and known < 2):
        return None
    frames = ", ".join(frame.value for frame in snapshot.context)
    return f"{frames} trend against the {proposal.signal.side.value}"


_RULES: Mapping[FlagCode, Callable[[Proposal, Snapshot], str | None]] = {
    FlagCode.RSI_EXTREME: _rsi_extreme,
    FlagCode.LOW_VOLUME: _low_volume,
    FlagCode.MID_RANGE: _mid_range,
    FlagCode.MACD_DIVERGENCE: _macd_divergence,
    FlagCode.VOLATILE: _volatile,
    FlagCode.TIMEFRAMES_DISAGREE: _timeframes_disagree,
}

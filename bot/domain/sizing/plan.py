"""Where a trade ends, either way: stop and target at the venue's tick.

Knows no money: distances only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from bot.domain.instrument import Instrument
from bot.domain.levels import round_step
from bot.domain.sizing.wish import SizingPolicy, Wish, exact
from bot.domain.types import ZERO


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the trade ends, either way, at the venue's tick."""

    reference: Decimal
    stop: Decimal
    target: Decimal

    @property
    def sign(self) -> int:
        """1 for a long, -1 for a short."""
        return 1 if self.target > self.reference else -1

    @property
    def stop_frac(self) -> Decimal:
        return abs(self.reference - self.stop) / self.reference

    @property
    def reward_to_risk(self) -> Decimal:
        risk = abs(self.reference - self.stop)
        return abs(self.target - self.reference) / risk if risk > 0 else ZERO


def plan_of(wish: Wish, reference: Decimal, instrument: Instrument, policy: SizingPolicy) -> Plan:
    """Set the target by the first distance, then push the stop off swings and levels.

    So a stop that must lie farther costs reward to risk, and is refused when it costs too
    much, instead of dragging the target out of reach.
    """
    mark, sign = float(reference), wish.signal.side.sign
    first = _clamp(_first_distance(wish, mark, policy) / mark, policy) * mark
    wished_r = wish.signal.target_r if wish.target_r is None else wish.target_r
    target_r = min(max(wished_r, policy.min_target_r), policy.max_target_r)
    pushed = _off_levels(wish, mark, _beyond_swing(wish, mark, first, policy), policy)
    final = _clamp(pushed / mark, policy) * mark
    # The trade's own direction is towards the market for the stop, away from it for the target.
    onward, back = (ROUND_CEILING, ROUND_FLOOR) if sign > 0 else (ROUND_FLOOR, ROUND_CEILING)
    stop = instrument.round_price(exact(mark - sign * final), onward)
    if abs(reference - stop) < exact(policy.min_stop_frac) * reference:
        stop = instrument.round_price(exact(mark - sign * final), back)
    # A short's target stays a price, however large the multiple.
    wished_target = exact(max(mark + sign * target_r * first, mark / 10))
    return Plan(reference, stop, instrument.round_price(wished_target, onward))


def _first_distance(wish: Wish, mark: float, policy: SizingPolicy) -> float:
    """The strategy's distance, at least `stop_atr` ATR; the council may only wish for more.

    A nearer stop would make the same risk a larger position: no model's word does that.
    """
    atr = _atr(wish)
    own = max(wish.signal.stop_frac * mark, policy.stop_atr * atr)
    if wish.stop_atr is None or not math.isfinite(wish.stop_atr):
        return own
    return max(own, wish.stop_atr * atr)


def _beyond_swing(wish: Wish, mark: float, distance: float, policy: SizingPolicy) -> float:
    if wish.swing is None:
        return distance
    to_swing = (mark - wish.swing) * wish.signal.side.sign
    return max(distance, to_swing + policy.level_gap_atr * _atr(wish)) if to_swing > 0 else distance


def _off_levels(wish: Wish, mark: float, distance: float, policy: SizingPolicy) -> float:
    """Push the stop outward until no level or round number is within the gap.

    Each pass leaves at least one obstacle behind for good, so the passes are bounded.
    """
    gap, sign = policy.level_gap_atr * _atr(wish), wish.signal.side.sign
    step = round_step(mark)
    for _ in range(2 * len(wish.levels) + 2):
        stop = mark - sign * distance
        near = (*wish.levels, round(stop / step) * step)
        farthest = max(
            (sign * (mark - price) + gap for price in near if abs(stop - price) < gap),
            default=distance,
        )
        if farthest <= distance * (1 + 1e-12):
            break
        distance = farthest
    return distance


def _clamp(fraction: float, policy: SizingPolicy) -> float:
    return min(max(fraction, policy.min_stop_frac), policy.max_stop_frac)


def _atr(wish: Wish) -> float:
    return wish.atr if math.isfinite(wish.atr) and wish.atr > 0 else 0.0

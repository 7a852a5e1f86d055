"""Whether a configuration can trade at all: the smallest move and size that pass every gate.

Asks the real `size` and `clear` instead of repeating their rules; knows no market.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.instrument import Instrument
from bot.domain.portfolio import PortfolioView
from bot.domain.reasons import CheckCode
from bot.domain.risk import RiskFacts, RiskLimits, clear
from bot.domain.sizing import SizingPolicy, Wish, size
from bot.domain.types import (
    Cleared,
    Intent,
    Market,
    Ms,
    Refused,
    Regime,
    Side,
    Signal,
    TraceId,
)

_STOP_STEPS = 20  # stops tried between the bounds, both included
_TARGET_STEPS = 40  # multiples tried between the bounds, both included
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Reach:
    """The nearest set-up that passes: `move_frac` is how far price must go to the target."""

    side: Side
    move_frac: float
    stop_frac: float
    target_r: float
    quantity: Decimal
    notional: Decimal
    margin: Decimal
    leverage: int


def reachable(
    policy: SizingPolicy,
    limits: RiskLimits,
    instrument: Instrument,
    capital: Decimal,
    price: float,
) -> Reach | Refused:
    """Find the smallest move that could be traded with `capital` at `price`.

    A perfect signal on an empty, healthy account is tried over the bounds of stop and target.
    Refused when none passes: such a configuration is dead, and the caller raises ConfigError
    with its checks, which are of the attempt that came farthest with fewest failures.
    """
    view = PortfolioView(equity=capital, capital=capital, free_margin=capital, positions={})
    nearest, nearest_rank = Refused(()), (2, 0)
    for stop_frac, target_r in _grid(policy):
        verdict = _attempt(stop_frac, target_r, policy, limits, instrument, view, price)
        if isinstance(verdict, Cleared):
            return _reach(verdict.intent, target_r)
        at_gate = any(check.code is CheckCode.TRADING_STATE for check in verdict.checks)
        rank = (0 if at_gate else 1, len(verdict.failed))
        if rank < nearest_rank:
            nearest, nearest_rank = verdict, rank
    return nearest


def _grid(policy: SizingPolicy) -> list[tuple[float, float]]:
    """Pairs of stop and target multiple, smallest move first."""
    stops = _between(policy.min_stop_frac, policy.max_stop_frac, _STOP_STEPS)
    least = min(max(policy.min_target_r, policy.min_reward_to_risk), policy.max_target_r)
    targets = _between(least, policy.max_target_r, _TARGET_STEPS)
    pairs = [(stop, target) for stop in stops for target in targets]
    return sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[0]))


def _between(low: float, high: float, steps: int) -> list[float]:
    return [low + (high - low) * step / (steps - 1) for step in range(steps)]


def _attempt(
    stop_frac: float,
    target_r: float,
    policy: SizingPolicy,
    limits: RiskLimits,
    instrument: Instrument,
    view: PortfolioView,
    price: float,
) -> Cleared | Refused:
    signal = Signal(
        instrument.symbol, Side.LONG, 1.0, stop_frac, target_r, "reachability", "none", 1.0, ""
    )
    wish = Wish(signal, confidence=1.0, regime=Regime.TRENDING_UP, atr=0.0)
    at = Ms(_DAY_MS)
    market = Market(instrument.symbol, price, price, price, price, 0.0, 0.0, 0.0, price, at)
    trace = TraceId(f"{instrument.symbol}-reachability")
    sized = size(wish, instrument, market, view.capital, policy, trace)
    if isinstance(sized, Refused):
        return sized
    facts = RiskFacts(at, market, 0.0, 0, _DAY_MS, venue_healthy=True, clock_skew_ms=0)
    return clear(sized, view, facts, limits, instrument)


def _reach(intent: Intent, target_r: float) -> Reach:
    if intent.stop is None or intent.target is None:
        raise ValueError(f"{intent.trace_id}: an entry without stop and target")
    return Reach(
        side=intent.side,
        move_frac=float(abs(intent.target - intent.reference) / intent.reference),
        stop_frac=float(abs(intent.reference - intent.stop) / intent.reference),
        target_r=target_r,
        quantity=intent.quantity,
        notional=intent.notional,
        margin=intent.notional / intent.leverage,
        leverage=intent.leverage,
    )

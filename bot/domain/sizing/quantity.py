"""How much and how levered: quantity from risk within every cap, leverage by regime.

Knows no order.
"""

from __future__ import annotations

import math
from decimal import Decimal

from bot.domain.instrument import Instrument, MarginTier
from bot.domain.margin import initial_margin, liquidation_price, max_leverage_at
from bot.domain.reasons import Check, CheckCode
from bot.domain.sizing.plan import Plan
from bot.domain.sizing.wish import SizingPolicy, Wish, exact
from bot.domain.types import ZERO, Regime, Side


def leverage_of(
    wish: Wish, plan: Plan, instrument: Instrument, capital: Decimal, policy: SizingPolicy
) -> int:
    """By regime and confidence, then lowered until the stop comes well before liquidation.

    Tier and liquidation are judged at the largest notional that the policy allows.
    """
    notional = exact(policy.max_notional_x) * max(capital, ZERO)
    caps = [
        _regime_leverage(wish, policy),
        policy.max_leverage,
        instrument.max_leverage,
        max_leverage_at(notional, tiers_of(instrument)),
    ]
    if wish.soft.max_leverage is not None:
        caps.append(wish.soft.max_leverage)
    if wish.leverage is not None and math.isfinite(wish.leverage):
        caps.append(math.floor(wish.leverage))
    leverage = max(1, min(caps))
    needed = abs(plan.reference - plan.stop) * exact(policy.liquidation_buffer)
    size = max(notional / plan.reference, instrument.lot)
    while leverage > 1 and _reach(wish.signal.side, size, plan, leverage, instrument) < needed:
        leverage -= 1
    return leverage


def _reach(side: Side, size: Decimal, plan: Plan, leverage: int, instrument: Instrument) -> Decimal:
    """Distance from the reference to liquidation, in price."""
    price = liquidation_at_entry(side, size, plan.reference, leverage, instrument)
    return plan.reference if price is None else (plan.reference - price) * side.sign


def _regime_leverage(wish: Wish, policy: SizingPolicy) -> int:
    """Spec 10, "Risk gate": trending 4 to 5 at high confidence, ranging 3, volatile 2."""
    match wish.regime:
        case Regime.VOLATILE:
            return policy.volatile_leverage
        case Regime.RANGING:
            return policy.ranging_leverage
        case Regime.TRENDING_UP | Regime.TRENDING_DOWN:
            if wish.confidence >= policy.top_confidence:
                return min(5, policy.trending_leverage)
            high = wish.confidence >= policy.high_confidence
            return min(4 if high else 3, policy.trending_leverage)


def tiers_of(instrument: Instrument) -> tuple[MarginTier, ...]:
    """The instrument's margin tiers; without any, one tier at its maximum leverage."""
    return instrument.tiers or (MarginTier(ZERO, instrument.max_leverage),)


def liquidation_at_entry(
    side: Side, quantity: Decimal, price: Decimal, leverage: int, instrument: Instrument
) -> Decimal | None:
    """Liquidation price of an isolated position opened at `price`; None: there is none."""
    margin = initial_margin(quantity, price, leverage)
    return liquidation_price(quantity * side.sign, price, margin, tiers_of(instrument))


def quantity_of(
    wish: Wish,
    plan: Plan,
    instrument: Instrument,
    capital: Decimal,
    policy: SizingPolicy,
    leverage: int,
    room: Decimal | None,
) -> Decimal:
    """Base units: what the risk allows at the stop, fees included, within every cap."""
    factor = exact(min(max(wish.soft.size_factor, 0.0), 1.0))
    fees = exact(policy.taker_fee_frac) * (plan.reference + plan.stop)
    loss = abs(plan.reference - plan.stop) + fees
    if loss <= 0:
        return ZERO
    caps = [exact(policy.max_notional_x) * capital]
    if policy.max_margin_usd is not None:
        caps.append(policy.max_margin_usd * leverage)
    if room is not None:
        caps.append(room)
    by_risk = capital * exact(policy.risk_frac) * factor / loss
    return instrument.round_size(max(ZERO, min(by_risk, min(caps) / plan.reference)))


def checks_of(
    plan: Plan,
    quantity: Decimal,
    limit: Decimal,
    leverage: int,
    instrument: Instrument,
    policy: SizingPolicy,
) -> tuple[Check, ...]:
    low, high = exact(policy.min_stop_frac), exact(policy.max_stop_frac)
    least = exact(policy.min_reward_to_risk)
    notional = quantity * min(limit, plan.reference)
    margin = quantity * plan.reference / leverage
    needed = policy.min_margin_usd or ZERO
    return (
        Check(
            CheckCode.STOP_DISTANCE,
            low <= plan.stop_frac <= high and plan.stop > 0,
            plan.stop_frac,
            low if plan.stop_frac < low else high,
            "fraction",
        ),
        Check(
            CheckCode.REWARD_TO_RISK,
            plan.reward_to_risk >= least,
            plan.reward_to_risk,
            least,
            "R",
            "after the stop was set beyond the swing and off the levels",
        ),
        Check(
            CheckCode.MIN_NOTIONAL,
            quantity > 0 and notional >= instrument.min_notional,
            notional,
            instrument.min_notional,
            "USD",
        ),
        Check(CheckCode.MIN_MARGIN, margin >= needed, margin, needed, "USD"),
        Check(
            CheckCode.PRECISION,
            (limit - plan.reference) * plan.sign >= 0,
            limit,
            plan.reference,
            "price",
            "the tick must be finer than the slippage bound, or the entry cannot fill",
        ),
    )

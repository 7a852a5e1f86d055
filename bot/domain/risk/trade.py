"""Rules about the one trade: leverage, stop, loss, profit, size and precision.

Knows nothing of other positions (see `account`).
"""

from __future__ import annotations

import math

from bot.domain.margin import max_leverage_at
from bot.domain.reasons import Check, CheckCode
from bot.domain.risk.case import Case
from bot.domain.sizing import exact, liquidation_at_entry, tiers_of


def leverage(case: Case) -> Check:
    value = case.intent.leverage
    by_tier = max_leverage_at(case.intent.notional, tiers_of(case.instrument))
    limit = min(case.limits.max_leverage, case.instrument.max_leverage, by_tier)
    return Check(CheckCode.LEVERAGE, 1 <= value <= limit, float(value), float(limit), "x")


def stop_distance(case: Case) -> Check:
    value = case.stop_distance / case.intent.reference
    low, high = exact(case.limits.min_stop_frac), exact(case.limits.max_stop_frac)
    limit = low if value < low else high
    return Check(CheckCode.STOP_DISTANCE, low <= value <= high, value, limit, "fraction")


def stop_before_liquidation(case: Case) -> Check:
    intent = case.intent
    price = liquidation_at_entry(
        intent.side, intent.quantity, intent.reference, intent.leverage, case.instrument
    )
    needed = case.stop_distance * exact(case.limits.liquidation_buffer)
    if price is None:
        note = "no price liquidates it"
        return Check(CheckCode.STOP_BEFORE_LIQUIDATION, needed > 0, None, needed, "price", note)
    value = (intent.reference - price) * intent.side.sign
    ok = value > 0 and value >= needed > 0
    return Check(
        CheckCode.STOP_BEFORE_LIQUIDATION, ok, value, needed, "price", f"liquidation at {price:.8g}"
    )


def max_loss(case: Case) -> Check:
    """Loss at the stop from the worst entry price accepted, fees included."""
    intent, stop = case.intent, case.intent.stop
    if stop is None:
        return Check(CheckCode.MAX_LOSS, False, "no stop", None, "USD")
    apart = max(abs(intent.limit - stop), abs(intent.reference - stop))
    value = (apart + case.fee * (intent.limit + stop)) * intent.quantity
    limit = exact(case.limits.max_loss_frac) * case.view.capital
    return Check(CheckCode.MAX_LOSS, value <= limit, value, limit, "USD")


def min_profit(case: Case) -> Check:
    """Profit at the target, after the fees of the round trip, against USD and against cost."""
    intent, target = case.intent, case.intent.target
    if target is None:
        return Check(CheckCode.MIN_PROFIT, False, "no target", case.limits.min_profit_usd, "USD")
    spread_bps = case.facts.market.spread_bps
    if not math.isfinite(spread_bps):
        return Check(CheckCode.MIN_PROFIT, False, "no spread", case.limits.min_profit_usd, "USD")
    fees = case.fee * (intent.reference + target) * intent.quantity
    spread = exact(spread_bps) / 10_000 * intent.notional
    value = (target - intent.reference) * intent.side.sign * intent.quantity - fees
    by_cost = exact(case.limits.profit_cost_multiple) * (fees + spread)
    limit = max(case.limits.min_profit_usd, by_cost)
    return Check(CheckCode.MIN_PROFIT, value >= limit, value, limit, "USD")


def min_notional(case: Case) -> Check:
    """The venue multiplies by the limit price, so the smaller of both is compared."""
    value = case.intent.quantity * min(case.intent.limit, case.intent.reference)
    limit = case.instrument.min_notional
    return Check(CheckCode.MIN_NOTIONAL, value >= limit, value, limit, "USD")


def precision(case: Case) -> Check:
    intent, instrument = case.intent, case.instrument
    prices = (intent.limit, intent.stop, intent.target)
    ok = instrument.size_is_valid(intent.quantity) and all(
        price is None or instrument.price_is_valid(price) for price in prices
    )
    return Check(CheckCode.PRECISION, ok, intent.quantity, instrument.lot, "lot")


def min_margin(case: Case) -> Check:
    value, limit = case.intent.notional / case.intent.leverage, case.limits.min_margin_usd
    return Check(CheckCode.MIN_MARGIN, value >= limit, value, limit, "USD")


RULES = (
    leverage,
    stop_distance,
    stop_before_liquidation,
    max_loss,
    min_profit,
    min_notional,
    precision,
    min_margin,
)

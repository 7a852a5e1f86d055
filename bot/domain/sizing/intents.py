"""The three ways to make an `Intent`: open, reduce, protect.

The only module that calls `Intent(...)`; permits nothing (that is `risk`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from bot.domain.instrument import Instrument
from bot.domain.orders import client_id
from bot.domain.reasons import Check, CheckCode
from bot.domain.sizing.plan import plan_of
from bot.domain.sizing.quantity import checks_of, leverage_of, quantity_of
from bot.domain.sizing.wish import TRIGGER_SLIPPAGE, SizingPolicy, Wish, exact
from bot.domain.types import (
    ExitReason,
    Intent,
    Leg,
    Market,
    Position,
    Refused,
    Side,
    TraceId,
)


def size(
    wish: Wish,
    instrument: Instrument,
    market: Market,
    capital: Decimal,
    policy: SizingPolicy,
    trace_id: TraceId,
    attempt: int = 0,
    room: Decimal | None = None,
) -> Intent | Refused:
    """Turn a wish into an entry, or say which bounds forbid it.

    `capital` is `portfolio.sizing_capital`; `room` the notional that is still free under the
    exposure caps (None: not limited here). All prices derive from the mark, on which stops are
    judged.
    """
    if not (math.isfinite(market.mark) and market.mark > 0):
        return Refused((Check(CheckCode.DATA_FRESH, False, str(market.mark), "> 0", "mark"),))
    reference = exact(market.mark)
    plan = plan_of(wish, reference, instrument, policy)
    leverage = leverage_of(wish, plan, instrument, capital, policy)
    quantity = quantity_of(wish, plan, instrument, capital, policy, leverage, room)
    limit = _entry_limit(wish.signal.side, reference, instrument, policy)
    checks = checks_of(plan, quantity, limit, leverage, instrument, policy)
    if not all(check.ok for check in checks):
        return Refused(checks)
    is_buy_to_close = wish.signal.side is Side.SHORT
    return Intent(
        trace_id=trace_id,
        symbol=instrument.symbol,
        leg=Leg.ENTRY,
        side=wish.signal.side,
        quantity=quantity,
        limit=limit,
        reference=reference,
        attempt=attempt,
        cloid=client_id(trace_id, Leg.ENTRY, attempt),
        leverage=leverage,
        stop=plan.stop,
        target=plan.target,
        stop_cloid=client_id(trace_id, Leg.STOP, attempt),
        target_cloid=client_id(trace_id, Leg.TARGET, attempt),
        stop_limit=beyond_trigger(plan.stop, is_buy_to_close, instrument),
        target_limit=beyond_trigger(plan.target, is_buy_to_close, instrument),
    )


def reward_to_risk(intent: Intent) -> float:
    """Target distance over stop distance of an entry, gross of fees; 0 without both."""
    if intent.stop is None or intent.target is None or intent.stop == intent.reference:
        return 0.0
    reward = abs(intent.target - intent.reference)
    return float(reward / abs(intent.reference - intent.stop))


def reduce(
    position: Position,
    market: Market | None,
    instrument: Instrument,
    reason: ExitReason,
    attempt: int,
    slippage_frac: float,
    trace_id: TraceId | None = None,
) -> Intent:
    """Make the exit of a whole position, immediate-or-cancel.

    The limit is measured from the worse of mark and book, so that a mark away from the book
    cannot make the exit miss it; with no usable price it is measured from the entry.
    """
    buys = position.side is Side.SHORT
    reference = _exit_reference(position, market, buys)
    slip = exact(slippage_frac)
    worst = reference * (1 + slip if buys else 1 - slip)
    trace = position.trace_id if trace_id is None else trace_id
    return Intent(
        trace_id=trace,
        symbol=position.symbol,
        leg=Leg.EXIT,
        side=position.side,
        quantity=instrument.round_size(position.quantity) or position.quantity,
        limit=_rounded(worst, buys, instrument),
        reference=reference,
        attempt=attempt,
        cloid=client_id(trace, Leg.EXIT, attempt),
        reason=reason,
    )


def rest(
    position: Position,
    market: Market,
    instrument: Instrument,
    reason: ExitReason,
    attempt: int,
) -> Intent | None:
    """Make the exit that waits at the best price of its own side of the book; None without one.

    For a market that takes no other order for a while.
    """
    buys = position.side is Side.SHORT
    touch = market.bid if buys else market.ask
    if not (math.isfinite(touch) and touch > 0):
        return None
    made = reduce(position, market, instrument, reason, attempt, 0.0)
    return replace(made, limit=_rounded(exact(touch), not buys, instrument), post_only=True)


def protect(
    position: Position,
    leg: Leg,
    trigger: Decimal | float,
    instrument: Instrument,
    attempt: int,
    fixed: bool = False,
) -> Intent:
    """Make a resting stop or target for the whole position; its limit lies 10 % beyond.

    It follows the position at the venue; `fixed`, it is of our quantity alone, for an account
    on which somebody else holds some of the coin.
    Raises ValueError for another leg than STOP or TARGET.
    """
    if leg not in (Leg.STOP, Leg.TARGET):
        raise ValueError(f"protect: leg must be stop or target, is {leg}")
    wished = trigger if isinstance(trigger, Decimal) else exact(trigger)
    price = _rounded(wished, position.side is Side.LONG, instrument)
    return Intent(
        trace_id=position.trace_id,
        symbol=position.symbol,
        leg=leg,
        side=position.side,
        quantity=instrument.round_size(position.quantity) or position.quantity,
        limit=beyond_trigger(price, position.side is Side.SHORT, instrument),
        reference=price,
        attempt=attempt,
        cloid=client_id(position.trace_id, leg, attempt),
        trigger=price,
        fixed=fixed,
    )


def beyond_trigger(trigger: Decimal, is_buy: bool, instrument: Instrument) -> Decimal:
    """Worst price of a market trigger: 10 % beyond it, rounded outward."""
    factor = 1 + TRIGGER_SLIPPAGE if is_buy else 1 - TRIGGER_SLIPPAGE
    return _rounded(trigger * factor, is_buy, instrument)


def _rounded(price: Decimal, up: bool, instrument: Instrument) -> Decimal:
    """Round to the tick, never to nothing: an exit under one tick is sold at one tick."""
    rounded = instrument.round_price(price, ROUND_CEILING if up else ROUND_FLOOR)
    return max(rounded, instrument.tick(price))


def _entry_limit(
    side: Side, reference: Decimal, instrument: Instrument, policy: SizingPolicy
) -> Decimal:
    slip = exact(policy.entry_slippage_frac)
    if side is Side.LONG:
        return instrument.round_price(reference * (1 + slip), ROUND_FLOOR)
    return instrument.round_price(reference * (1 - slip), ROUND_CEILING)


def _exit_reference(position: Position, market: Market | None, buys: bool) -> Decimal:
    if market is None:
        return position.entry_price
    touch = market.ask if buys else market.bid
    usable = [price for price in (market.mark, touch) if math.isfinite(price) and price > 0]
    if not usable:
        return position.entry_price
    return exact(max(usable) if buys else min(usable))

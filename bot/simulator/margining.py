"""Equity, margin and leverage of an account: the algebra of facts 1.4 over live prices.

Owns the sums; changes nothing and knows no message.
"""

from __future__ import annotations

from decimal import Decimal

from bot.domain.margin import (
    initial_margin,
    isolated_margin,
    liquidation_price,
    maintenance_margin,
)
from bot.domain.types import ZERO
from bot.simulator.accounts import DEFAULT_LEVERAGE, AccountState, Holding, SimOrder
from bot.simulator.prices import Prices

TRANSFER_SHARE = Decimal("0.1")  # of notional must stay behind (docs, "Margining")


def leverage_of(account: AccountState, coin: str, prices: Prices) -> tuple[bool, int]:
    """(isolated, value) as set for a coin; cross 20x, or the coin's most, by default."""
    most = prices.instruments[coin].max_leverage
    return account.leverage.get(coin, (False, min(DEFAULT_LEVERAGE, most)))


def value(held: Holding, prices: Prices) -> Decimal:
    """Signed notional at mark."""
    return held.size * prices.mark(held.coin)


def margin_used(held: Holding, prices: Prices) -> Decimal:
    """Isolated: its own equity; cross: initial margin at the set leverage."""
    if held.isolated:
        return isolated_margin(held.raw_usd, held.size, prices.mark(held.coin))
    return initial_margin(held.size, prices.mark(held.coin), held.leverage)


def maintenance(held: Holding, prices: Prices) -> Decimal:
    """Maintenance margin of one position at mark."""
    tiers = prices.instruments[held.coin].tiers
    return maintenance_margin(abs(value(held, prices)), tiers)


def cross(account: AccountState) -> list[Holding]:
    return [held for held in account.holdings.values() if not held.isolated]


def cross_equity(account: AccountState, prices: Prices) -> Decimal:
    """Cash and cross positions at mark."""
    return account.cash + sum((value(held, prices) for held in cross(account)), ZERO)


def cross_maintenance(account: AccountState, prices: Prices) -> Decimal:
    return sum((maintenance(held, prices) for held in cross(account)), ZERO)


def reserved(account: AccountState, prices: Prices) -> Decimal:
    """Margin that resting orders hold back: of each coin the heavier side's increase."""
    total = ZERO
    sides: dict[tuple[str, bool], list[SimOrder]] = {}
    for order in account.live.values():
        if order.in_book and not order.reduce_only:
            sides.setdefault((order.coin, order.is_buy), []).append(order)
    for coin in dict.fromkeys(coin for coin, _ in sides):
        leverage = leverage_of(account, coin, prices)[1]
        heavier = ZERO
        for is_buy in (True, False):
            orders = sides.get((coin, is_buy), [])
            sizes = sum((order.remaining for order in orders), ZERO)
            if sizes == 0:
                continue
            usd = sum((order.remaining * order.limit for order in orders), ZERO)
            more = increase(account.size(coin), is_buy, sizes)
            heavier = max(heavier, usd * more / sizes / leverage)
        total += heavier
    return total


def increase(position: Decimal, is_buy: bool, size: Decimal) -> Decimal:
    """The part of an order that makes the position larger (on either side)."""
    change = size if is_buy else -size
    return max(ZERO, abs(position + change) - abs(position))


def free(account: AccountState, prices: Prices) -> Decimal:
    """Margin that a new order may use; negative when losses have eaten it."""
    used = sum((margin_used(held, prices) for held in cross(account)), ZERO)
    return cross_equity(account, prices) - used - reserved(account, prices)


def withdrawable(account: AccountState, prices: Prices) -> Decimal:
    """What may leave the account: equity less initial margins, or less 10 % of notional."""
    used = sum((margin_used(held, prices) for held in cross(account)), ZERO)
    notional = sum((abs(value(held, prices)) for held in cross(account)), ZERO)
    kept = max(used + reserved(account, prices), TRANSFER_SHARE * notional)
    return max(ZERO, cross_equity(account, prices) - kept)


def account_value(account: AccountState, prices: Prices) -> Decimal:
    """Cross equity and the equity of isolated positions."""
    apart = sum(
        (margin_used(held, prices) for held in account.holdings.values() if held.isolated), ZERO
    )
    return cross_equity(account, prices) + apart


def liquidation(account: AccountState, held: Holding, prices: Prices) -> Decimal | None:
    """Mark at which this position is liquidated, other prices standing still."""
    mark = prices.mark(held.coin)
    tiers = prices.instruments[held.coin].tiers
    if held.isolated:
        margin = isolated_margin(held.raw_usd, held.size, mark)
    else:
        others = cross_maintenance(account, prices) - maintenance(held, prices)
        margin = cross_equity(account, prices) - others
    return liquidation_price(held.size, mark, margin, tiers)


def perp_cash(account: AccountState) -> Decimal:
    """Cash as `clearinghouseState` shows it; a unified account keeps its own in spot.

    There what is left is the cost of cross positions with its sign turned, so that account
    value is still cash plus signed notionals.
    """
    if not account.is_unified:
        return account.cash
    return -sum((held.size * held.entry for held in cross(account)), ZERO)


def unified(account: AccountState, prices: Prices) -> tuple[Decimal, Decimal]:
    """(total, hold) of USDC in a unified account: settled money, and what margin binds.

    An open profit or loss is in neither (a guess: see docs/simulator.md).
    """
    total, hold = account.cash, reserved(account, prices)
    for held in account.holdings.values():
        settled = held.size * held.entry + (held.raw_usd if held.isolated else ZERO)
        total += settled
        hold += settled if held.isolated else margin_used(held, prices)
    return total, hold

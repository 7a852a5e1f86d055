"""What a fill does to an account: position, cash, margin, fee, and the row about it.

Owns the money side of an execution; knows neither book nor order rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.margin import Netted, fee, net
from bot.domain.types import ZERO
from bot.simulator import margining
from bot.simulator.accounts import AccountState, Holding, Row, SimOrder
from bot.simulator.rows import direction, side
from bot.simulator.wire import number, usd
from bot.simulator.world import World

TAKER = Decimal("0.00045")  # docs, "Fees", lowest tier
MAKER = Decimal("0.00015")


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of one order."""

    price: Decimal
    size: Decimal
    crossed: bool
    liquidation: Row | None = None
    settles: bool = False  # of a market that is no more


def book_fill(world: World, order: SimOrder, done: Execution) -> None:
    """Apply one execution to its owner's account and tell about it."""
    account = world.accounts[order.owner]
    change = done.size if order.is_buy else -done.size
    before = account.size(order.coin)
    after = _apply(world, account, order.coin, change, done.price)
    share = ZERO if done.settles else TAKER if done.crossed else MAKER
    charge = fee(done.size * done.price, share)
    account.cash -= charge
    account.volume += done.size * done.price
    order.remaining -= done.size
    row: Row = {
        "coin": order.coin,
        "px": number(done.price),
        "sz": number(done.size),
        "side": side(order.is_buy),
        "time": world.now,
        "startPosition": number(before),
        "dir": "Settlement" if done.settles else direction(before, after.size),
        "closedPnl": usd(after.closed_pnl),
        "hash": world.hash(),
        "oid": order.oid,
        "crossed": done.crossed,
        "fee": usd(charge),
        "tid": world.next_tid(),
        "feeToken": "USDC",
        "twapId": None,
    }
    if order.cloid is not None:
        row["cloid"] = order.cloid
    if done.liquidation is not None:
        row["liquidation"] = done.liquidation
    world.tell(account.address, "fill", row)
    world.touched(account)


def pay_funding(world: World, account: AccountState, held: Holding, usdc: Decimal) -> None:
    """Book a funding payment (negative: paid) on the position's own margin or the cash."""
    if held.isolated:
        held.raw_usd += usdc
    else:
        account.cash += usdc
    held.funding_open += usdc
    held.funding_change += usdc
    account.funding_all[held.coin] = account.funding_all.get(held.coin, ZERO) + usdc
    world.touched(account)


def _apply(
    world: World, account: AccountState, coin: str, change: Decimal, price: Decimal
) -> Netted:
    held = account.holdings.get(coin)
    if held is None:
        isolated, leverage = margining.leverage_of(account, coin, world.prices)
        held = Holding(coin, ZERO, ZERO, isolated, leverage)
        account.holdings[coin] = held
    result = net(held.size, held.entry, change, price)
    if held.isolated:
        _move_isolated(account, held, change, price, result)
    else:
        account.cash -= change * price
    opened_anew = held.size == 0 or (held.size > 0) != (result.size > 0)
    held.size, held.entry = result.size, result.entry
    held.funding_change = ZERO
    if opened_anew:
        held.funding_open = ZERO
    if held.size == 0:
        account.cash += held.raw_usd  # what is left of the isolated margin comes home
        del account.holdings[coin]
    return result


def _move_isolated(
    account: AccountState, held: Holding, change: Decimal, price: Decimal, result: Netted
) -> None:
    """Move margin between cash and position: out with what closes, in with what opens."""
    if result.closed > 0:
        equity = held.raw_usd + held.size * price
        released = equity * result.closed / abs(held.size)
        account.cash += released
        held.raw_usd -= released
    opened = abs(change) - result.closed
    if opened > 0:
        margin = opened * price / held.leverage
        account.cash -= margin
        held.raw_usd += margin
    held.raw_usd -= change * price

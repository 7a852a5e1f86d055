"""What the venue accepts: the checks of an order before it is placed, and its words.

Owns texts and limits (facts 2.3); changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bot.domain.instrument import Instrument
from bot.domain.margin import fee, initial_margin, max_leverage_at
from bot.domain.matching import is_triggered, reducible
from bot.simulator import margining
from bot.simulator.accounts import AccountState
from bot.simulator.booking import TAKER
from bot.simulator.errors import Denial, Error, Refused, denial
from bot.simulator.prices import Prices

BAND = Decimal("0.8")  # of the reference price; 0.95 has been seen too (facts 10)
MAX_BATCH = 200
FREE_OPEN_ORDERS = 1_000  # plus one for each 5 M USDC traded (docs, "Rate limits")
VOLUME_AN_ORDER = 5_000_000
MAX_OPEN_ORDERS = 5_000


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """One order as wished for; `size` 0 with `whole` means all of the position."""

    market: Instrument
    is_buy: bool
    price: Decimal
    size: Decimal
    reduce_only: bool
    tif: str | None
    cloid: str | None = None
    trigger: Decimal | None = None
    is_market: bool = False
    is_stop: bool = False
    whole: bool = False

    @property
    def coin(self) -> str:
        return self.market.venue_symbol


def judge_batch(prices: Prices, specs: Sequence[OrderSpec], grouping: str) -> None:
    """Raise Refused with the answer for the whole batch, where the venue has one."""
    if not specs:
        raise Refused(Error.EMPTY)
    if len(specs) > MAX_BATCH:
        raise Refused(Error.WEIGHT, limit=MAX_BATCH)
    triggers = [spec for spec in specs if spec.trigger is not None]
    if (grouping == "normalTpsl" and len(triggers) != len(specs) - 1) or (
        grouping == "normalTpsl" and specs[0].trigger is not None
    ):
        raise Refused(Error.TRIGGERS)
    if grouping == "positionTpsl" and len(triggers) != len(specs):
        raise Refused(Error.TRIGGERS)
    if any(not spec.reduce_only for spec in triggers):
        raise Refused(Error.NOT_REDUCING)
    for spec in specs:
        reference = prices.mark(spec.coin)
        if spec.price > 0 and abs(spec.price - reference) > reference * BAND:
            raise Refused(Error.FAR, asset=spec.market.asset_id)


def judge_form(spec: OrderSpec) -> Denial | None:
    """Price and size by themselves."""
    if spec.price <= 0:
        return denial(Error.INVALID_PRICE)
    if not spec.market.price_is_valid(spec.price):
        return denial(Error.TICK)
    if spec.trigger is not None and not (
        spec.trigger > 0 and spec.market.price_is_valid(spec.trigger)
    ):
        return denial(Error.TPSL)
    if spec.whole and spec.size == 0:
        return None
    if spec.size == 0:
        return denial(Error.ZERO_SIZE)
    return None if spec.market.size_is_valid(spec.size) else denial(Error.INVALID_SIZE)


def judge_trigger(spec: OrderSpec, mark: Decimal, entry_limit: Decimal | None) -> Denial | None:
    """A trigger must lie ahead of the mark; a child may also go by its parent's price."""
    if spec.trigger is None:
        return None
    references = [mark] if entry_limit is None else [mark, entry_limit]
    ahead = any(
        not is_triggered(
            is_buy=spec.is_buy, is_stop=spec.is_stop, trigger=spec.trigger, mark=reference
        )
        for reference in references
    )
    return None if ahead else denial(Error.TPSL)


def judge_account(prices: Prices, account: AccountState, spec: OrderSpec) -> Denial | None:
    """Position, minimum value, margin; for orders that are no children."""
    position = account.size(spec.coin)
    most = min(MAX_OPEN_ORDERS, FREE_OPEN_ORDERS + int(account.volume) // VOLUME_AN_ORDER)
    most = FREE_OPEN_ORDERS if spec.reduce_only else most
    if len(account.live) >= most:
        return denial(Error.TOO_MANY_ORDERS)
    if spec.reduce_only:
        if reducible(position, spec.is_buy, Decimal(1)) == 0:
            return denial(Error.REDUCE_ONLY)
        closes_all = spec.whole or spec.size >= abs(position)
        small = spec.size * spec.price < spec.market.min_notional
        return denial(Error.MINIMUM) if small and not closes_all else None
    if spec.size * spec.price < spec.market.min_notional:
        return denial(Error.MINIMUM)
    return _judge_margin(prices, account, spec, position)


def judge_child(spec: OrderSpec) -> Denial | None:
    """A child is judged without a position: the parent will make one."""
    small = spec.size * spec.price < spec.market.min_notional
    return denial(Error.MINIMUM) if small and not spec.whole else None


def _judge_margin(
    prices: Prices, account: AccountState, spec: OrderSpec, position: Decimal
) -> Denial | None:
    more = margining.increase(position, spec.is_buy, spec.size)
    if more == 0:
        return None
    mark = prices.mark(spec.coin)
    leverage = margining.leverage_of(account, spec.coin, prices)[1]
    needed = initial_margin(more, mark, leverage) + fee(more * mark, TAKER)
    if needed > margining.free(account, prices):
        return denial(Error.MARGIN)
    change = spec.size if spec.is_buy else -spec.size
    notional = abs(position + change) * mark
    if leverage > max_leverage_at(notional, spec.market.tiers):
        return denial(Error.TIER)
    return None

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
from bot.simulator.prices import Prices
from bot.simulator.signing import Refused

BAND = Decimal("0.8")  # of the reference price; 0.95 has been seen too (facts 10)
MAX_BATCH = 200
MAX_OPEN_ORDERS = 1_000


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


@dataclass(frozen=True, slots=True)
class Denial:
    """Why one order is refused, and the status it is kept under."""

    text: str
    status: str = "rejected"


NO_PRICE = Denial("Order has invalid price.", "tickRejected")
NO_SIZE = Denial("Order has zero size.")
BAD_SIZE = Denial("Order has invalid size.")
TICK = Denial("Price must be divisible by tick size.", "tickRejected")
MINIMUM = Denial("Order must have minimum value of $10.", "minTradeNtlRejected")
MARGIN = Denial("Insufficient margin to place order.", "perpMarginRejected")
REDUCE_ONLY = Denial("Reduce only order would increase position.", "reduceOnlyRejected")
NO_MATCH = Denial(
    "Order could not immediately match against any resting orders.", "iocCancelRejected"
)
NO_LIQUIDITY = Denial("No liquidity available for market order.", "marketOrderNoLiquidityRejected")
TPSL = Denial("Invalid TP/SL price.", "badTriggerPxRejected")
TIER = Denial(
    "Order would cause position to exceed margin tier limit at current leverage",
    "perpMarginRejected",
)
TOO_MANY = Denial("Too many open orders.", "tooManyOpenOrdersRejected")


def post_only(bid: Decimal, ask: Decimal) -> Denial:
    text = f"Post only order would have immediately matched, bbo was {bid}@{ask}."
    return Denial(text, "badAloPxRejected")


def judge_batch(prices: Prices, specs: Sequence[OrderSpec], grouping: str) -> None:
    """Raise Refused with the answer for the whole batch, where the venue has one."""
    if not specs:
        raise Refused("Order batch is empty.")
    if len(specs) > MAX_BATCH:
        raise Refused(f"Signed action over weight limit of {MAX_BATCH}.")
    triggers = [spec for spec in specs if spec.trigger is not None]
    if (grouping == "normalTpsl" and len(triggers) != len(specs) - 1) or (
        grouping == "normalTpsl" and specs[0].trigger is not None
    ):
        raise Refused("Unexpected number of trigger orders")
    if grouping == "positionTpsl" and len(triggers) != len(specs):
        raise Refused("Unexpected number of trigger orders")
    if any(not spec.reduce_only for spec in triggers):
        raise Refused("TP/SL orders must be reduce only.")
    for spec in specs:
        reference = prices.mark(spec.coin)
        if spec.price > 0 and abs(spec.price - reference) > reference * BAND:
            raise Refused(
                "Order price cannot be more than 80% away from the reference price"
                f" asset={spec.market.asset_id}"
            )


def judge_form(spec: OrderSpec) -> Denial | None:
    """Price and size by themselves."""
    if spec.price <= 0:
        return NO_PRICE
    if not spec.market.price_is_valid(spec.price):
        return TICK
    if spec.trigger is not None and not (
        spec.trigger > 0 and spec.market.price_is_valid(spec.trigger)
    ):
        return TPSL
    if spec.whole and spec.size == 0:
        return None
    if spec.size == 0:
        return NO_SIZE
    return None if spec.market.size_is_valid(spec.size) else BAD_SIZE


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
    return None if ahead else TPSL


def judge_account(prices: Prices, account: AccountState, spec: OrderSpec) -> Denial | None:
    """Position, minimum value, margin; for orders that are no children."""
    position = account.size(spec.coin)
    if len(account.live) >= MAX_OPEN_ORDERS:
        return TOO_MANY
    if spec.reduce_only:
        if reducible(position, spec.is_buy, Decimal(1)) == 0:
            return REDUCE_ONLY
        closes_all = spec.whole or spec.size >= abs(position)
        small = spec.size * spec.price < spec.market.min_notional
        return MINIMUM if small and not closes_all else None
    if spec.size * spec.price < spec.market.min_notional:
        return MINIMUM
    return _judge_margin(prices, account, spec, position)


def judge_child(spec: OrderSpec) -> Denial | None:
    """A child is judged without a position: the parent will make one."""
    small = spec.size * spec.price < spec.market.min_notional
    return MINIMUM if small and not spec.whole else None


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
        return MARGIN
    change = spec.size if spec.is_buy else -spec.size
    notional = abs(position + change) * mark
    if leverage > max_leverage_at(notional, spec.market.tiers):
        return TIER
    return None

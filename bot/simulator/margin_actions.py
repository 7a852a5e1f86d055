"""Actions on leverage and margin.

Owns their checks and what they move; knows no order. Source: facts 2.1 to 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.domain.margin import initial_margin
from bot.simulator import margining
from bot.simulator.accounts import AccountState, Row
from bot.simulator.errors import Error, Refused
from bot.simulator.fields import field
from bot.simulator.order_actions import DEFAULT, market_of
from bot.simulator.world import World


class MarginActions:
    """Carries out changes of leverage and isolated margin."""

    def __init__(self, world: World) -> None:
        self._world = world

    def leverage(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """Set leverage and margin mode of a coin, of an open position too."""
        market = market_of(self._world, field(action, "asset", int))
        is_cross, value = field(action, "isCross", bool), field(action, "leverage", int)
        coin, prices = market.venue_symbol, self._world.prices
        if not 1 <= value <= market.max_leverage:
            raise Refused(Error.LEVERAGE)
        if is_cross and market.only_isolated:
            raise Refused(Error.NO_CROSS)
        held = account.holdings.get(coin)
        before = account.leverage.get(coin)
        if held is not None:
            if held.isolated == is_cross:
                raise Refused(Error.MODE_SWITCH)
            needed = initial_margin(held.size, prices.mark(coin), value)
            if held.isolated and needed > margining.margin_used(held, prices) > 0:
                self._add_margin(account, coin, needed)
            held.leverage = value
        account.leverage[coin] = (not is_cross, value)
        if is_cross and margining.free(account, prices) < 0:
            self._undo_leverage(account, coin, before)
            raise Refused(Error.CROSS_LEVERAGE)
        self._world.touched(account)
        return DEFAULT

    def _add_margin(self, account: AccountState, coin: str, needed: Decimal) -> None:
        """Lower leverage of an isolated position takes the missing margin from the cash."""
        held, prices = account.holdings[coin], self._world.prices
        missing = needed - margining.margin_used(held, prices)
        if missing > margining.free(account, prices):
            raise Refused(Error.ISOLATED_LEVERAGE)
        account.cash -= missing
        held.raw_usd += missing

    def _undo_leverage(
        self, account: AccountState, coin: str, before: tuple[bool, int] | None
    ) -> None:
        if before is None:
            del account.leverage[coin]
        else:
            account.leverage[coin] = before
        held = account.holdings.get(coin)
        if held is not None:
            held.leverage = margining.leverage_of(account, coin, self._world.prices)[1]

    def isolated_margin(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """Move cash into an isolated position, or out of it."""
        market = market_of(self._world, field(action, "asset", int))
        amount = Decimal(field(action, "ntli", int)).scaleb(-6)
        held, prices = account.holdings.get(market.venue_symbol), self._world.prices
        if amount == 0:
            raise Refused(Error.NO_CHANGE)
        if held is None:
            raise Refused(Error.NO_POSITION)
        if not held.isolated:
            raise Refused(Error.NOT_ISOLATED)
        if amount > margining.free(account, prices):
            raise Refused(Error.NO_INCREASE)
        notional = abs(margining.value(held, prices))
        kept = max(notional / held.leverage, notional * margining.TRANSFER_SHARE)
        if amount < 0 and margining.margin_used(held, prices) + amount < kept:
            raise Refused(Error.NO_REDUCTION)
        account.cash -= amount
        held.raw_usd += amount
        self._world.touched(account)
        return DEFAULT

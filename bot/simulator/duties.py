"""What the venue does by itself at each tick: funding, liquidation, scheduled cancels.

Owns these duties and their order; knows no request of a client.
"""

from __future__ import annotations

from bot.domain.margin import BACKSTOP_SHARE, funding_payment
from bot.domain.types import ZERO, Ms
from bot.simulator import margining
from bot.simulator.accounts import AccountState, Holding, Row
from bot.simulator.bars import Quote
from bot.simulator.booking import Execution, book_fill, pay_funding
from bot.simulator.engine import Engine
from bot.simulator.prices import HOUR_MS, funding_due
from bot.simulator.wire import number, usd
from bot.simulator.world import World


class Duties:
    """Plays one tick."""

    def __init__(self, world: World, engine: Engine) -> None:
        self._world = world
        self._engine = engine

    def tick(self, index: int, at: int) -> list[Quote]:
        """Go to tick `index` at market time `at`; returns the new prices."""
        world = self._world
        world.now = Ms(max(world.now, at))
        world.index = index
        self._fund()
        quotes = world.prices.advance(index)
        busy = any(world.live[quote.coin] for quote in quotes)
        if busy:
            world.next_block()
            for quote in quotes:
                self._engine.on_price(quote.coin)
        for account in world.accounts.values():
            if account.holdings:
                self._guard(account)
            if account.cancel_at is not None and account.cancel_at <= world.now:
                self._cancel_all(account)
        return quotes

    def _fund(self) -> None:
        """Charge the funding of every full hour that has passed, at the oracle."""
        world = self._world
        while True:
            hour = world.next_funding
            due = funding_due(hour, world.options.seed)
            if due > world.now:
                return
            world.next_funding = hour + HOUR_MS
            world.next_block()
            for coin in world.prices.coins:
                self._charge(coin, hour, due)

    def _charge(self, coin: str, hour: int, due: int) -> None:
        world = self._world
        rate = world.prices.rate(coin, hour)
        for account in world.accounts.values():
            held = account.holdings.get(coin)
            if held is None:
                continue
            payment = funding_payment(held.size, world.prices.oracle(coin), rate)
            row: Row = {
                "time": due,
                "hash": world.hash(),
                "delta": {
                    "type": "funding",
                    "coin": coin,
                    "usdc": usd(payment),
                    "szi": number(held.size),
                    "fundingRate": number(rate),
                    "nSamples": None,
                },
            }
            pay_funding(world, account, held, payment)
            world.tell(account.address, "funding", row)

    def _guard(self, account: AccountState) -> None:
        """Liquidate what its margin no longer carries."""
        prices = self._world.prices
        for held in list(account.holdings.values()):
            if not held.isolated:
                continue
            equity = margining.margin_used(held, prices)
            needed = margining.maintenance(held, prices)
            if equity < needed:
                self._liquidate(account, [held], backstop=equity < needed * BACKSTOP_SHARE)
        held_cross = margining.cross(account)
        if not held_cross:
            return
        equity = margining.cross_equity(account, prices)
        needed = margining.cross_maintenance(account, prices)
        if equity < needed:
            self._liquidate(account, held_cross, backstop=equity < needed * BACKSTOP_SHARE)

    def _liquidate(self, account: AccountState, doomed: list[Holding], *, backstop: bool) -> None:
        world, prices = self._world, self._world.prices
        world.next_block()
        notional = sum((abs(margining.value(held, prices)) for held in doomed), ZERO)
        lost_value = margining.account_value(account, prices)
        sizes = [{"coin": held.coin, "szi": number(held.size)} for held in doomed]
        crossed = not doomed[0].isolated
        cash = account.cash
        for order in account.open_orders():
            if crossed or order.coin == doomed[0].coin:
                self._engine.end(order, "liquidatedCanceled")
        for held in doomed:
            method = "backstop" if backstop else "market"
            about: Row = {
                "liquidatedUser": account.address,
                "markPx": number(prices.mark(held.coin)),
                "method": method,
            }
            if backstop:
                self._take_over(account, held, about)
            else:
                self._engine.force(account, held.coin, about)
        if not crossed:
            account.cash = max(account.cash, cash)  # no more is lost than the margin put apart
        elif not account.holdings:
            account.cash = max(account.cash, ZERO)  # the venue bears what is below nothing
        world.touched(account)
        delta: Row = {
            "type": "liquidation",
            "liquidatedNtlPos": usd(notional),
            "accountValue": usd(lost_value),
            "leverageType": "Cross" if crossed else "Isolated",
            "liquidatedPositions": sizes,
        }
        self._tell_liquidation(account, delta)

    def _take_over(self, account: AccountState, held: Holding, about: Row) -> None:
        """The backstop takes position and margin at the mark."""
        world = self._world
        if held.isolated:
            held.raw_usd = -held.size * world.prices.mark(held.coin)
        order = self._engine.taken_over(account, held.coin)
        size, mark = abs(held.size), world.prices.mark(held.coin)
        isolated = held.isolated
        book_fill(world, order, Execution(mark, size, True, about))
        if not isolated and not margining.cross(account):
            account.cash = ZERO
        self._engine.end(order, "filled")

    def _tell_liquidation(self, account: AccountState, delta: Row) -> None:
        world = self._world
        event: Row = {
            "lid": world.block,
            "liquidator": "0x" + "0" * 40,
            "liquidated_user": account.address,
            "liquidated_ntl_pos": delta["liquidatedNtlPos"],
            "liquidated_account_value": delta["accountValue"],
        }
        world.tell(account.address, "user", {"liquidation": event})
        row: Row = {"time": world.now, "hash": world.hash(), "delta": delta}
        world.tell(account.address, "update", row)

    def _cancel_all(self, account: AccountState) -> None:
        account.cancel_at = None
        for order in account.open_orders():
            if order.is_open:
                self._engine.end(order, "scheduledCancel")
        self._world.touched(account)

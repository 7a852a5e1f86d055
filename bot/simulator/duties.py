"""What the venue does by itself at each tick: funding, liquidation, scheduled cancels.

Owns these duties and their order; knows no request of a client.
"""

from __future__ import annotations

from decimal import Decimal

from bot.domain.margin import BACKSTOP_SHARE, funding_payment, liquidated_size
from bot.domain.types import ZERO, Ms
from bot.simulator import margining
from bot.simulator.accounts import AccountState, Holding, Row
from bot.simulator.bars import Quote
from bot.simulator.booking import Execution, book_fill, pay_funding
from bot.simulator.engine import Engine
from bot.simulator.prices import HOUR_MS, funding_due
from bot.simulator.wire import number, usd
from bot.simulator.world import World

DAY_MS = 86_400_000
COOLDOWN_MS = 30_000  # after a part of a position was liquidated (docs, "Liquidations")


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
        self.fund()
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

    def fund(self) -> None:
        """Charge the funding of every full hour that has passed, at the oracle.

        Before each action too: a position of after the payment must not pay it, and one that
        closes now must.
        """
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
            # Booked as it is told: the venue's cash is the sum of its own rows.
            payment = Decimal(usd(funding_payment(held.size, world.prices.oracle(coin), rate)))
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

    def liquidate(self, account: AccountState, held: Holding, *, backstop: bool = False) -> None:
        """Liquidate one position, or all of cross margin, whatever its margin."""
        doomed = [held] if held.isolated else margining.cross(account)
        self._liquidate(account, doomed, backstop=backstop)

    def _liquidate(self, account: AccountState, doomed: list[Holding], *, backstop: bool) -> None:
        """One round: orders are cancelled, then positions go, the largest first."""
        world, prices = self._world, self._world.prices
        world.next_block()
        worth = margining.account_value(account, prices)
        crossed = not doomed[0].isolated
        for order in account.open_orders():
            if crossed or order.coin == doomed[0].coin:
                self._engine.end(order, "liquidatedCanceled")
        doomed = sorted(doomed, key=lambda held: -abs(margining.value(held, prices)))
        sent: list[tuple[Holding, Decimal]] = []
        for held in doomed:
            if backstop:
                sent.append((held, held.size))
                self._take_over(account, held)
            elif not crossed or not sent or self._is_short_of_margin(account):
                sent.append((held, self._sell(account, held)))
        if crossed and not account.holdings:
            account.cash = max(account.cash, ZERO)  # the venue bears what is below nothing
        world.touched(account)
        notional = sum((abs(size) * prices.mark(held.coin) for held, size in sent), ZERO)
        delta: Row = {
            "type": "liquidation",
            "liquidatedNtlPos": usd(notional),
            "accountValue": usd(worth),
            "leverageType": "Cross" if crossed else "Isolated",
            "liquidatedPositions": [
                {"coin": held.coin, "szi": number(size)} for held, size in sent
            ],
        }
        self._tell_liquidation(account, delta)

    def _is_short_of_margin(self, account: AccountState) -> bool:
        prices = self._world.prices
        needed = margining.cross_maintenance(account, prices)
        return margining.cross_equity(account, prices) < needed

    def _sell(self, account: AccountState, held: Holding) -> Decimal:
        """Send a position, or a fifth of a large one, to the book; the signed size sent."""
        world, prices = self._world, self._world.prices
        before, cash = held.size, account.cash
        whole = world.now < account.whole_until
        size = abs(before)
        if not whole:
            size = liquidated_size(size, prices.mark(held.coin), prices.instruments[held.coin].lot)
        self._engine.force(account, held.coin, size, self._about(account, held, "market"))
        if size < abs(before):
            account.whole_until = world.now + COOLDOWN_MS
        if held.isolated and held.size == 0:
            account.cash = max(account.cash, cash)  # no more is lost than what was put apart
        elif held.isolated:  # the margin stays with what is left of the position
            held.raw_usd += account.cash - cash
            account.cash = cash
        return size if before > 0 else -size

    def _about(self, account: AccountState, held: Holding, method: str) -> Row:
        return {
            "liquidatedUser": account.address,
            "markPx": number(self._world.prices.mark(held.coin)),
            "method": method,
        }

    def _take_over(self, account: AccountState, held: Holding) -> None:
        """The backstop takes position and margin at the mark."""
        world = self._world
        cash, about = account.cash, self._about(account, held, "backstop")
        if held.isolated:
            held.raw_usd = -held.size * world.prices.mark(held.coin)
        order = self._engine.taken_over(account, held.coin)
        size, mark = abs(held.size), world.prices.mark(held.coin)
        isolated = held.isolated
        book_fill(world, order, Execution(mark, size, True, about))
        if isolated:
            account.cash = max(account.cash, cash)  # no more is lost than what was put apart
        elif not margining.cross(account):
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
        day, fired = account.cancels_fired
        today = self._world.now // DAY_MS
        account.cancels_fired = (today, fired + 1 if day == today else 1)
        for order in account.open_orders():
            if order.is_open:
                self._engine.end(order, "scheduledCancel")
        self._world.touched(account)

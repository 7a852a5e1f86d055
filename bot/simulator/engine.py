"""The life of an order at the venue: placed, matched, triggered, cancelled, swept.

Owns transitions of orders; leaves money to `booking` and judgement to `rules`; knows no
JSON that a client sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from bot.domain.matching import (
    Match,
    Resting,
    average_price,
    crosses,
    is_triggered,
    kept_reduce_only,
    match,
    reducible,
)
from bot.simulator import margining, rows, rules
from bot.simulator.accounts import AccountState, Row, SimOrder
from bot.simulator.booking import Execution, book_fill
from bot.simulator.errors import Denial, Error, denial
from bot.simulator.rules import OrderSpec
from bot.simulator.wire import number
from bot.simulator.world import World

AVERAGE_STEP = Decimal("1e-8")
Reply = Row | str  # one entry of `statuses`
BeforeOrder = Callable[[AccountState, list[OrderSpec], str], None]


class Engine:
    """Places, matches and ends orders of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.prices = world.prices
        self.before_order: BeforeOrder | None = None  # faults strike here

    # --- commands ---------------------------------------------------------------------

    def place(
        self, account: AccountState, specs: Sequence[OrderSpec], grouping: str
    ) -> list[Reply]:
        """Place a batch; one answer an order. Raises Refused for the whole of it."""
        rules.judge_batch(self.prices, specs, grouping)
        self.world.conditions.judge(specs)
        if self.before_order is not None:
            self.before_order(account, list(specs), grouping)
        if grouping == "normalTpsl":
            return self._place_bracket(account, specs)
        group = self.world.oid + 1 if grouping == "positionTpsl" else None
        return [self._place_one(account, spec, group)[0] for spec in specs]

    def modify(self, account: AccountState, key: int | str, spec: OrderSpec) -> Reply:
        """Cancel an order and place another in its stead: a new oid, the old group.

        A client id that is not said again is kept. When the new one is refused the old one
        is gone all the same.
        """
        order = self.find(account, key)
        if order is None or not (order.is_open and order.armed) or order.coin != spec.coin:
            return _error(denial(Error.UNMODIFIABLE), spec)
        self.end(order, "canceled")
        spec = replace(spec, cloid=spec.cloid or order.cloid, whole=order.whole)
        reply, _ = self._place_one(account, spec, order.group)
        if isinstance(reply, dict) and "error" in reply:
            return {"error": Error.REPLACEMENT.says(error=reply["error"])}
        return reply

    def cancel(self, order: SimOrder | None, asset: int, *, fast: bool = False) -> Reply:
        """Cancel one order; one that is gone is answered with the venue's words."""
        if order is None or not order.is_open:
            return {"error": f"{Error.GONE.says()} asset={asset}"}
        if fast and order.waits_for_mark:
            return {"error": f"{Error.FAST_CANCEL.says()} asset={asset}"}
        self.end(order, "canceled")
        return "success"

    def find(self, account: AccountState, key: int | str) -> SimOrder | None:
        """An order of the account by oid or client id."""
        oid = account.cloids.get(key.lower()) if isinstance(key, str) else key
        return None if oid is None else account.orders.get(oid)

    def end(self, order: SimOrder, state: str) -> None:
        """Take an order off the venue, and with an unfilled parent its children."""
        self._status(order, state)
        if state not in ("canceled", "filled"):
            cancelled: Row = {"nonUserCancel": [{"coin": order.coin, "oid": order.oid}]}
            self.world.tell(order.owner, "user", cancelled)
        if state == "filled":
            return
        for oid in order.children:
            child = self.world.accounts[order.owner].live.get(oid)
            if child is not None and not child.armed:
                self.end(child, "canceled")

    # --- the market moves -------------------------------------------------------------

    def on_price(self, coin: str) -> None:
        """Let a new price meet the orders of its coin: resting ones first, then triggers."""
        if not self.world.live[coin]:
            return
        for order in self._live(coin):
            if order.in_book:
                self._meet(order)
        mark = self.prices.mark(coin)
        for order in self._live(coin):
            if not (order.is_open and order.armed and order.waits_for_mark):
                continue
            trigger = order.trigger
            if trigger is not None and is_triggered(
                is_buy=order.is_buy, is_stop=order.is_stop, trigger=trigger, mark=mark
            ):
                self.fire(order)

    def force(self, account: AccountState, coin: str, size: Decimal, about: Row) -> None:
        """Close so much of a position at whatever the book gives, as a liquidation does."""
        market = self.prices.instruments[coin]
        is_buy = account.size(coin) < 0
        edge = self.prices.book(coin).facing(is_buy)
        limit = edge[-1].price if edge else self.prices.mark(coin)
        spec = OrderSpec(market, is_buy, limit, size, True, "LiquidationMarket")
        order = self._new(account, spec)
        self._execute(order, about)
        if order.is_open:
            self.end(order, "canceled" if order.filled > 0 else "iocCancelRejected")
        self.settle(account, coin)

    def taken_over(self, account: AccountState, coin: str, part: Decimal | None = None) -> SimOrder:
        """The order under which the venue books a position, or a part of it, away."""
        held = account.size(coin)
        size = abs(held) if part is None else part
        market, mark = self.prices.instruments[coin], self.prices.mark(coin)
        spec = OrderSpec(market, held < 0, mark, size, True, "LiquidationMarket")
        return self._new(account, spec)

    def settle(self, account: AccountState, coin: str) -> None:
        """After a position changed: reduce-only orders shrink with it, or end."""
        position = account.size(coin)
        live = [order for order in account.open_orders(coin) if order.reduce_only]
        for order in live:
            stays = self.world.conditions.leave_triggers
            waiting = order.waits_for_mark and order.armed and not stays
            if waiting and reducible(position, order.is_buy, order.original or Decimal(1)) == 0:
                self.end(order, "reduceOnlyCanceled")
        resting = [self._resting(order) for order in live if order.in_book]
        for oid, size in kept_reduce_only(position, resting).items():
            order = account.live[oid]
            if size == 0:
                self.end(order, "reduceOnlyCanceled")
            elif size < order.remaining:
                order.remaining = size
                self.world.changed(order)

    # --- placing ----------------------------------------------------------------------

    def _place_bracket(self, account: AccountState, specs: Sequence[OrderSpec]) -> list[Reply]:
        parent_spec, children = specs[0], specs[1:]
        for spec in children:
            mark = self.prices.mark(spec.coin)
            refused = (
                rules.judge_form(spec)
                or rules.judge_child(spec)
                or rules.judge_trigger(spec, mark, parent_spec.price)
            )
            if refused is not None:
                return [_error(refused, spec)] * len(specs)
        reply, parent = self._place_one(account, parent_spec, None)
        if parent is None or isinstance(reply, str) or "error" in reply:
            return [reply] * len(specs)
        complete = parent.status == "filled"
        armed = []
        for spec in children:
            child = self._new(account, spec, armed=complete, parent=parent.oid, group=parent.oid)
            armed.append(child)
        parent.children = tuple(child.oid for child in armed)
        self.world.changed(parent)
        if not parent.is_open and not complete:
            for child in armed:
                self.end(child, "canceled")
        word = "waitingForTrigger" if complete else "waitingForFill"
        return [reply, *([word] * len(children))]

    def _place_one(
        self, account: AccountState, spec: OrderSpec, group: int | None
    ) -> tuple[Reply, SimOrder | None]:
        """Judge, match and rest one order; the answer and the order, if one came to be."""
        refused = (
            rules.judge_form(spec)
            or self.world.conditions.judge_one(spec)
            or rules.judge_account(self.prices, account, spec)
            or rules.judge_trigger(spec, self.prices.mark(spec.coin), None)
            or self._judge_book(account, spec)
        )
        order = self._new(account, spec, group=group, told=refused is None)
        if refused is not None:
            self._status(order, refused.status)
            return _error(refused, spec), order
        if order.waits_for_mark:
            return "waitingForTrigger", order
        if spec.reduce_only:
            order.remaining = reducible(account.size(spec.coin), spec.is_buy, spec.size)
        takes = self._execute(order)
        self.settle(account, spec.coin)
        if order.is_open and order.tif in ("Ioc", "FrontendMarket"):
            self.end(order, "canceled")
        ids: Row = {"oid": order.oid} | ({"cloid": order.cloid} if order.cloid else {})
        if not takes.takes:
            return {"resting": ids}, order
        average = average_price(takes.takes)
        shown = number(average.quantize(AVERAGE_STEP))
        return {"filled": {"totalSz": number(takes.filled), "avgPx": shown} | ids}, order

    def _judge_book(self, account: AccountState, spec: OrderSpec) -> Denial | None:
        """Post-only must not trade, immediate-or-cancel must."""
        if spec.trigger is not None:
            return None
        met = self._match(account.address, spec.coin, spec.is_buy, spec.size, spec.price)
        if spec.tif == "Alo" and met.takes:
            bid, ask = self.best(spec.coin)
            return denial(Error.POST_ONLY, bid=bid, ask=ask)
        if spec.tif == "Ioc" and not met.takes:
            return denial(Error.NO_MATCH)
        if spec.tif == "FrontendMarket" and not met.takes:
            return denial(Error.NO_LIQUIDITY)
        return None

    def _new(
        self,
        account: AccountState,
        spec: OrderSpec,
        *,
        armed: bool = True,
        parent: int | None = None,
        group: int | None = None,
        told: bool = True,
    ) -> SimOrder:
        order = SimOrder(
            oid=self.world.next_oid(),
            owner=account.address,
            coin=spec.coin,
            is_buy=spec.is_buy,
            limit=spec.price,
            original=spec.size,
            remaining=spec.size,
            reduce_only=spec.reduce_only,
            tif=spec.tif,
            cloid=spec.cloid,
            at=self.world.now,
            trigger=spec.trigger,
            is_stop=spec.is_stop,
            is_market=spec.is_market,
            whole=spec.whole,
            armed=armed,
            parent=parent,
            group=group,
            status_at=self.world.now,
        )
        account.remember(order)
        self.world.changed(order)
        if told:
            self._tell(order, "open")
        return order

    # --- matching ---------------------------------------------------------------------

    def best(self, coin: str) -> tuple[Decimal, Decimal]:
        """Best bid and ask of the book with the orders that rest in it."""
        bid, ask = self.prices.touch(coin)
        for order in self.world.live[coin].values():
            if order.in_book and order.is_buy:
                bid = max(bid, order.limit)
            elif order.in_book:
                ask = min(ask, order.limit)
        return bid, ask

    def _match(self, owner: str, coin: str, is_buy: bool, size: Decimal, limit: Decimal) -> Match:
        resting = [self._resting(o) for o in self.world.live[coin].values() if o.in_book]
        book = self.prices.book(coin)
        return match(book, resting, owner=owner, is_buy=is_buy, size=size, limit=limit)

    def _execute(self, order: SimOrder, about: Row | None = None) -> Match:
        """Take what the book gives an order that arrives or was triggered."""
        coin = order.coin
        met = self._match(order.owner, coin, order.is_buy, order.remaining, order.limit)
        for oid in met.own:
            if oid != order.oid:
                self.end(self.world.live[coin][oid], "selfTradeCanceled")
        self.prices.eaten(coin, met.book)
        for take in met.takes:
            maker = self.world.live[coin].get(take.maker) if take.maker is not None else None
            book_fill(self.world, order, Execution(take.price, take.size, True, about))
            if maker is not None:
                self._filled_as_maker(maker, take.size)
        if met.takes:
            self._after_fill(order)
        return met

    def _meet(self, order: SimOrder) -> None:
        """Fill a resting order at its own price as far as the ladder has come through it."""
        bid, ask = self.prices.touch(order.coin)
        if not order.is_open or not crosses(
            order.is_buy, order.limit, ask if order.is_buy else bid
        ):
            return
        met = match(
            self.prices.book(order.coin),
            (),
            owner=order.owner,
            is_buy=order.is_buy,
            size=order.remaining,
            limit=order.limit,
        )
        if met.filled > 0 and self._still_bears(order):
            self.prices.eaten(order.coin, met.book)
            self._filled_as_maker(order, met.filled)

    def _still_bears(self, order: SimOrder) -> bool:
        """Whether the account can bear a resting order now; if not, it is cancelled."""
        account = self.world.accounts[order.owner]
        if order.reduce_only or margining.free(account, self.prices) >= 0:
            return True
        if margining.increase(account.size(order.coin), order.is_buy, order.remaining) == 0:
            return True
        self.end(order, "marginCanceled")
        return False

    def _filled_as_maker(self, order: SimOrder, size: Decimal) -> None:
        book_fill(self.world, order, Execution(order.limit, size, False))
        self._after_fill(order)
        self.settle(self.world.accounts[order.owner], order.coin)

    def _after_fill(self, order: SimOrder) -> None:
        """A fill may end an order, arm its children and cancel its siblings."""
        account = self.world.accounts[order.owner]
        if order.remaining > 0:
            self.world.changed(order)
            return
        self.end(order, "filled")
        for oid in order.children:
            child = account.live.get(oid)
            if child is not None and not child.armed:
                child.armed = True
                self.world.changed(child)
        if order.group is None:
            return
        for other in account.open_orders(order.coin):
            if other.group == order.group:
                self.end(other, "siblingFilledCanceled")

    def fire(self, order: SimOrder) -> None:
        """The mark has reached a trigger: it becomes an order at its limit price."""
        account = self.world.accounts[order.owner]
        position = account.size(order.coin)
        wished = abs(position) if order.whole else order.remaining
        size = reducible(position, order.is_buy, wished)
        if size == 0:
            self.end(order, "reduceOnlyCanceled")
            return
        if order.whole:
            order.original = size
        order.remaining = size
        order.fired = True
        order.tif = "Gtc"
        order.status = "triggered"
        order.status_at = self.world.now
        self.world.next_block()
        self._tell(order, "triggered")
        self._execute(order)
        self.settle(account, order.coin)
        if order.is_open:
            self._status(order, "open")

    # --- records ----------------------------------------------------------------------

    def _live(self, coin: str) -> list[SimOrder]:
        return list(self.world.live[coin].values())

    def _resting(self, order: SimOrder) -> Resting:
        return Resting(order.oid, order.owner, order.is_buy, order.limit, order.remaining)

    def _status(self, order: SimOrder, state: str) -> None:
        order.status = state
        order.status_at = self.world.now
        self.world.changed(order)
        self._tell(order, state)

    def _tell(self, order: SimOrder, state: str) -> None:
        account = self.world.accounts[order.owner]
        self.world.tell(order.owner, "order", rows.update(account, order, state))


def _error(refusal: Denial, spec: OrderSpec) -> Row:
    return {"error": f"{refusal.text} asset={spec.market.asset_id}"}

"""What a fault does to the market and to accounts: the venue acts, or stands still.

Owns the acts; when they come is the injector's.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

from bot.domain.instrument import MarginTier
from bot.domain.matching import reducible
from bot.domain.types import ZERO
from bot.simulator.accounts import AccountState, SimOrder
from bot.simulator.booking import Execution, book_fill
from bot.simulator.duties import Duties
from bot.simulator.engine import Engine
from bot.simulator.faults.kinds import FaultKind
from bot.simulator.faults.plan import Fault
from bot.simulator.rules import OrderSpec
from bot.simulator.stream import Key
from bot.simulator.world import World

ACCOUNT_ANSWERS = ("clearinghouseState", "frontendOpenOrders", "openOrders")
PRICE_FRAMES = ("activeAssetCtx", "bbo", "l2Book", "trades", "candle", "allMids")
FAR = Decimal("0.9")  # of the mark: where a stranger's order rests


class Events:
    """Begins and ends what lasts, and does what happens once."""

    def __init__(self, world: World, engine: Engine, duties: Duties) -> None:
        self._world = world
        self._engine = engine
        self._duties = duties
        self._silent: list[Fault] = []
        self._stale: dict[str, object] = {}  # of the account: answers as they were
        self._stale_account = False
        self._stale_coins: dict[str, bool] = {}  # also by request
        self._prices: dict[str, dict[str, object]] = {}

    @property
    def mute(self) -> bool:
        return any(not fault.flag("heartbeats") for fault in self._silent)

    # --- what lasts -----------------------------------------------------------------------

    def begin(self, fault: Fault) -> None:
        """Let a fault of a while begin."""
        conditions, prices = self._world.conditions, self._world.prices
        coins = [fault.coin] if fault.coin else list(prices.coins)
        match fault.kind:
            case FaultKind.SILENT_SOCKET:
                self._silent.append(fault)
            case FaultKind.STALE_ACCOUNT:
                self._stale_account = True
            case FaultKind.STALE_PRICES:
                self._stale_coins |= dict.fromkeys(coins, fault.flag("by_request"))
            case FaultKind.POST_ONLY:
                conditions.post_only = True
            case FaultKind.HALT:
                conditions.halted |= {*coins}
            case FaultKind.OPEN_INTEREST_CAP:
                conditions.capped |= {*coins}
            case FaultKind.THIN_BOOK:
                conditions.depth |= dict.fromkeys(coins, Decimal(str(fault.real("depth"))))
                prices.forget_books()
            case FaultKind.FUNDING_SPIKE:
                conditions.funding |= dict.fromkeys(coins, Decimal(str(fault.real("hourly"))))
            case FaultKind.CLOCK_SKEW:
                conditions.skew_ms = fault.count("skew_ms")
            case FaultKind.LEAVE_TRIGGERS:
                conditions.leave_triggers = True
            case FaultKind.MARK_APART:
                conditions.apart |= dict.fromkeys(coins, Decimal(str(fault.real("by"))))
                self._mark_moved(coins)
            case _:
                self._delist(coins, settles=fault.flag("settle"))

    def end(self, fault: Fault) -> None:
        """Let it end."""
        conditions, prices = self._world.conditions, self._world.prices
        coins = [fault.coin] if fault.coin else list(prices.coins)
        match fault.kind:
            case FaultKind.SILENT_SOCKET:
                self._silent.remove(fault)
            case FaultKind.STALE_ACCOUNT:
                self._stale_account, self._stale = False, {}
            case FaultKind.STALE_PRICES:
                for coin in coins:
                    self._stale_coins.pop(coin, None)
                    self._prices.pop(coin, None)
            case FaultKind.POST_ONLY:
                conditions.post_only = False
            case FaultKind.HALT:
                conditions.halted -= {*coins}
            case FaultKind.OPEN_INTEREST_CAP:
                conditions.capped -= {*coins}
            case FaultKind.THIN_BOOK:
                for coin in coins:
                    conditions.depth.pop(coin, None)
                prices.forget_books()
            case FaultKind.FUNDING_SPIKE:
                for coin in coins:
                    conditions.funding.pop(coin, None)
            case FaultKind.CLOCK_SKEW:
                conditions.skew_ms = 0
            case FaultKind.LEAVE_TRIGGERS:
                conditions.leave_triggers = False
            case FaultKind.MARK_APART:
                for coin in coins:
                    conditions.apart.pop(coin, None)
                self._mark_moved(coins)
            case _:
                conditions.delisted -= {*coins}

    def _mark_moved(self, coins: list[str]) -> None:
        """Triggers meet the new mark at once; margin does at the next tick."""
        for coin in coins:
            self._engine.on_price(coin)

    def withheld(self, key: Key, *, of_account: bool) -> bool:
        """Whether a frame is lost in a silent socket, or its coin's prices stand still."""
        if key.coin in self._stale_coins and key.kind in PRICE_FRAMES:
            return True
        for fault in self._silent:
            channels = fault.text("channels")
            mine = channels == "all" or (channels == "account") == of_account
            if mine and fault.coin in ("", key.coin):
                return True
        return False

    def stale_answer(self, body: object, answer: object) -> object:
        """The answer of /info as it was when the fault began."""
        kind = body.get("type") if isinstance(body, dict) else None
        if self._stale_account and kind in ACCOUNT_ANSWERS:
            name = f"{kind} {body.get('user')}" if isinstance(body, dict) else ""
            return self._stale.setdefault(name, copy.deepcopy(answer))
        if kind == "metaAndAssetCtxs" and any(self._stale_coins.values()):
            return self._with_old_prices(answer)
        return answer

    def _with_old_prices(self, answer: object) -> object:
        if not isinstance(answer, list):
            return answer
        meta, contexts = answer
        shown = [
            self._prices.setdefault(coin, context) if self._stale_coins.get(coin) else context
            for coin, context in zip(self._world.prices.coins, contexts, strict=True)
        ]
        return [meta, shown]

    def _delist(self, coins: list[str], *, settles: bool) -> None:
        """Nothing can be opened any more; where the venue settles, nothing is left of it."""
        self._world.conditions.delisted |= {*coins}
        for coin in coins:
            for order in list(self._world.live[coin].values()):
                if settles or not order.reduce_only:
                    self._engine.end(order, "delistedCanceled")
            for account, name in self._held(coin) if settles else ():
                self._settle_delisted(account, name)

    def _settle_delisted(self, account: AccountState, coin: str) -> None:
        """Close a position at the oracle, free of fees, under no order of the user's."""
        world = self._world
        world.next_block()
        order = self._engine.taken_over(account, coin)
        done = Execution(world.prices.oracle(coin), order.remaining, True, settles=True)
        book_fill(world, order, done)
        self._engine.end(order, "filled")
        self._engine.settle(account, coin)

    # --- what happens once ----------------------------------------------------------------

    def happens(self, fault: Fault) -> bool:
        """Do it; False while there is nothing that it could hit."""
        match fault.kind:
            case FaultKind.LIQUIDATE:
                return self._liquidate(fault.coin, fault.text("method"))
            case FaultKind.MARGIN_CANCEL:
                return self._margin_cancel(fault.coin, fault.text("order"))
            case FaultKind.DELEVERAGE:
                return self._deleverage(fault.coin, Decimal(str(fault.real("fraction"))))
            case FaultKind.ACCOUNT_MODE:
                return self._mode(fault.text("mode"))
            case FaultKind.META_DRIFT:
                return self._drift(fault)
            case FaultKind.FOREIGN_TRADE | FaultKind.FOREIGN_ORDER:
                return self._stranger(fault)
            case _:
                return False

    def race(self, account: AccountState, coin: str) -> None:
        """The position goes just before an order that would have reduced it."""
        stops = [o for o in account.open_orders(coin) if o.is_stop and o.armed and not o.fired]
        if stops:
            self._engine.fire(stops[0])
        if account.size(coin) != 0:
            self._take_away(account, coin, Decimal(1))

    def _held(self, coin: str) -> list[tuple[AccountState, str]]:
        return [
            (account, held)
            for account in self._world.accounts.values()
            for held in list(account.holdings)
            if coin in ("", held)
        ]

    def _liquidate(self, coin: str, method: str) -> bool:
        found = self._held(coin)
        for account, name in found[:1]:
            self._duties.liquidate(account, account.holdings[name], backstop=method == "backstop")
        return bool(found)

    def _margin_cancel(self, coin: str, kind: str) -> bool:
        """Cancel one resting order, as the venue does where margin no longer bears it."""
        for account in self._world.accounts.values():
            for order in account.open_orders(coin or None):
                rests = order.in_book if kind == "book" else order.armed and not order.fired
                if rests and kind == _kind_of(order):
                    self._world.next_block()
                    self._engine.end(order, "marginCanceled")
                    self._world.touched(account)
                    return True
        return False

    def _deleverage(self, coin: str, fraction: Decimal) -> bool:
        found = self._held(coin)
        for account, name in found[:1]:
            self._take_away(account, name, fraction)
        return bool(found)

    def _take_away(self, account: AccountState, coin: str, fraction: Decimal) -> None:
        """Reduce a position at the mark, without an order of the user's."""
        world = self._world
        world.next_block()
        market, mark = world.prices.instruments[coin], world.prices.mark(coin)
        whole = abs(account.size(coin))
        size = market.round_size(whole * fraction) or whole
        order = self._engine.taken_over(account, coin, size)
        book_fill(world, order, Execution(mark, size, True))
        self._engine.end(order, "filled")
        self._engine.settle(account, coin)

    def _mode(self, mode: str) -> bool:
        for account in self._world.accounts.values():
            account.abstraction = mode
            self._world.touched(account)
        return bool(self._world.accounts)

    def _drift(self, fault: Fault) -> bool:
        prices = self._world.prices
        market = prices.instruments[fault.coin]
        if fault.count("size_decimals") >= 0:
            market = replace(market, size_decimals=fault.count("size_decimals"))
        if fault.count("max_leverage"):
            tiers = (MarginTier(ZERO, fault.count("max_leverage")),)
            market = replace(market, max_leverage=fault.count("max_leverage"), tiers=tiers)
        prices.instruments[fault.coin] = market
        prices.forget_books()
        return True

    def _stranger(self, fault: Fault) -> bool:
        """Somebody else uses the account: an order without our client id."""
        world, coin = self._world, fault.coin
        if not world.accounts:
            return False
        account = next(iter(world.accounts.values()))
        market, mark = world.prices.instruments[coin], world.prices.mark(coin)
        buys, usd = fault.real("usd") > 0, Decimal(str(abs(fault.real("usd"))))
        size = market.round_size(usd / mark) or market.lot
        rests = fault.kind is FaultKind.FOREIGN_ORDER
        factor = FAR if rests else (2 - FAR if buys else FAR)
        price = market.round_price(mark * factor, ROUND_HALF_EVEN)
        less = reducible(account.size(coin), buys, size) == size
        spec = OrderSpec(market, buys, price, size, less, "Gtc" if rests else "Ioc")
        self._world.next_block()
        self._engine.place(account, [spec], "na")
        return True


def _kind_of(order: SimOrder) -> str:
    if order.trigger is None:
        return "book"
    return "stop" if order.is_stop else "target"

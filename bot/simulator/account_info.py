"""What the venue says of one account: state, orders, fills, limits.

Owns these answers' shapes; changes nothing. Source: facts 1.3 and 1.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from bot.domain.margin import unrealized
from bot.domain.types import ZERO
from bot.simulator import margining, rows
from bot.simulator.accounts import AccountState, Holding, Row
from bot.simulator.booking import MAKER, TAKER
from bot.simulator.exchange import request_cap
from bot.simulator.wire import number, usd
from bot.simulator.world import World

MOST_FILLS = 2_000
MOST_ROWS = 500
PERIODS = ("day", "week", "month", "allTime")


class AccountInfo:
    """Answers about one user at a time."""

    def __init__(self, world: World) -> None:
        self._world = world

    def state(self, account: AccountState) -> Row:
        """`clearinghouseState`."""
        prices = self._world.prices
        held = list(account.holdings.values())
        cross, apart = margining.cross(account), [one for one in held if one.isolated]
        cash = margining.perp_cash(account)
        worth = cash + sum((margining.value(one, prices) for one in cross), ZERO)
        isolated = sum((margining.margin_used(one, prices) for one in apart), ZERO)
        whole_cash = cash + sum((one.raw_usd for one in apart), ZERO)
        free = ZERO if account.is_unified else margining.withdrawable(account, prices)
        return {
            "marginSummary": self._summary(worth + isolated, held, whole_cash),
            "crossMarginSummary": self._summary(worth, cross, cash),
            "crossMaintenanceMarginUsed": usd(margining.cross_maintenance(account, prices)),
            "withdrawable": usd(free),
            "assetPositions": [
                {"type": "oneWay", "position": self._position(account, one)} for one in held
            ],
            "time": self._world.now,
        }

    def open_orders(self, account: AccountState) -> list[Row]:
        return [rows.basic(account, order) for order in reversed(account.open_orders())]

    def frontend_orders(self, account: AccountState) -> list[Row]:
        return [rows.full(account, order) for order in reversed(account.open_orders())]

    def order_status(self, account: AccountState, key: int | str) -> Row:
        oid = account.cloids.get(key.lower()) if isinstance(key, str) else key
        order = account.orders.get(oid) if oid is not None else None
        if order is None:
            return {"status": "unknownOid"}
        return {"status": "order", "order": rows.status(account, order)}

    def history(self, account: AccountState) -> list[Row]:
        """`historicalOrders`, newest first."""
        return [rows.status(account, order) for order in reversed(account.orders.values())]

    def fills(self, account: AccountState) -> list[Row]:
        """`userFills`, newest first."""
        return list(account.fills)[: -MOST_FILLS - 1 : -1]

    def fills_between(self, account: AccountState, start: int, end: int) -> list[Row]:
        """`userFillsByTime`, oldest first."""
        return [row for row in account.fills if start <= row["time"] <= end][:MOST_FILLS]

    def between(self, kept: Iterable[Row], start: int, end: int) -> list[Row]:
        return [row for row in kept if start <= row["time"] <= end][:MOST_ROWS]

    def spot_state(self, account: AccountState) -> Row:
        """`spotClearinghouseState`: USDC apart, or all collateral of a unified account."""
        total, hold = account.spot, ZERO
        if account.is_unified:
            total, hold = margining.unified(account, self._world.prices)
        if total == 0:
            return {"balances": []}
        row = {"coin": "USDC", "token": 0, "total": usd(total), "hold": usd(hold)}
        return {"balances": [row | {"entryNtl": "0.0"}]}

    def agents(self, account: AccountState) -> list[Row]:
        """`extraAgents`: those with a name."""
        return [
            {"name": agent.name, "address": agent.address, "validUntil": agent.until}
            for agent in account.agents
            if agent.name
        ]

    def rate_limit(self, account: AccountState) -> Row:
        return {
            "cumVlm": number(account.volume),
            "nRequestsUsed": account.requests,
            "nRequestsCap": request_cap(account),
            "nRequestsSurplus": 0,
        }

    def asset_data(self, account: AccountState, coin: str) -> Row:
        """`activeAssetData`: leverage, and what may be traded each way."""
        prices = self._world.prices
        market, mark = prices.instruments[coin], prices.mark(coin)
        leverage = margining.leverage_of(account, coin, prices)[1]
        free = max(ZERO, margining.free(account, prices))
        position = account.size(coin)
        held = account.holdings.get(coin)
        back = margining.margin_used(held, prices) if held else ZERO
        available = [free + (2 * back if position * sign < 0 else ZERO) for sign in (1, -1)]
        sizes = [market.round_size(usable * leverage / mark) for usable in available]
        return {
            "user": account.address,
            "coin": coin,
            "leverage": self._leverage(account, coin),
            "maxTradeSzs": [number(size) for size in sizes],
            "availableToTrade": [usd(usable) for usable in available],
            "markPx": number(mark),
        }

    def fees(self, account: AccountState) -> Row:
        """`userFees`: the lowest tier."""
        return {
            "dailyUserVlm": [],
            "feeSchedule": {
                "cross": number(TAKER),
                "add": number(MAKER),
                "spotCross": "0.0007",
                "spotAdd": "0.0004",
                "tiers": {"vip": [], "mm": []},
                "referralDiscount": "0.04",
                "stakingDiscountTiers": [],
            },
            "userCrossRate": number(TAKER),
            "userAddRate": number(MAKER),
            "userSpotCrossRate": "0.0007",
            "userSpotAddRate": "0.0004",
            "activeReferralDiscount": "0.0",
            "trial": None,
            "stakingLink": None,
            "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
        }

    def portfolio(self, account: AccountState) -> list[list[object]]:
        """`portfolio`: the value of this moment for every period."""
        worth = usd(margining.account_value(account, self._world.prices))
        start = Decimal(str(self._world.options.balance))
        gain = usd(margining.account_value(account, self._world.prices) - start)
        now = self._world.now
        entry: Mapping[str, Any] = {
            "accountValueHistory": [[now, worth]],
            "pnlHistory": [[now, gain]],
            "vlm": number(account.volume),
        }
        names = [*PERIODS, *(f"perp{name[0].upper()}{name[1:]}" for name in PERIODS)]
        return [[name, entry] for name in names]

    def web_data(self, account: AccountState, meta: Row, contexts: list[Row]) -> Row:
        """`webData2`: the venue's older page in one message."""
        return {
            "clearinghouseState": self.state(account),
            "leadingVaults": [],
            "totalVaultEquity": "0.0",
            "openOrders": self.frontend_orders(account),
            "agentAddress": None,
            "agentValidUntil": None,
            "cumLedger": usd(self._world.options.balance),
            "meta": meta,
            "assetCtxs": contexts,
            "serverTime": self._world.now,
            "isVault": False,
            "user": account.address,
            "twapStates": [],
            "spotState": self.spot_state(account),
            "spotAssetCtxs": [],
        }

    # --- parts ------------------------------------------------------------------------

    def _summary(self, worth: Decimal, held: list[Holding], cash: Decimal) -> Row:
        prices = self._world.prices
        notional = sum((abs(margining.value(one, prices)) for one in held), ZERO)
        used = sum((margining.margin_used(one, prices) for one in held), ZERO)
        return {
            "accountValue": usd(worth),
            "totalNtlPos": usd(notional),
            "totalRawUsd": usd(cash),
            "totalMarginUsed": usd(used),
        }

    def _position(self, account: AccountState, held: Holding) -> Row:
        prices = self._world.prices
        mark = prices.mark(held.coin)
        gain = unrealized(held.size, held.entry, mark)
        cost = abs(held.size) * held.entry / held.leverage
        price = margining.liquidation(account, held, prices)
        leverage: Row = {"type": "cross", "value": held.leverage}
        if held.isolated:
            leverage = {"type": "isolated", "value": held.leverage, "rawUsd": usd(held.raw_usd)}
        return {
            "coin": held.coin,
            "szi": number(held.size),
            "leverage": leverage,
            "entryPx": number(held.entry.quantize(Decimal("1e-8")).normalize()),
            "positionValue": usd(abs(margining.value(held, prices))),
            "unrealizedPnl": usd(gain),
            "returnOnEquity": number((gain / cost).quantize(Decimal("1e-8"))),
            "liquidationPx": None if price is None else number(price.quantize(Decimal("1e-8"))),
            "marginUsed": usd(margining.margin_used(held, prices)),
            "maxLeverage": prices.instruments[held.coin].max_leverage,
            "cumFunding": {  # the venue counts what was paid as positive
                "allTime": usd(-account.funding_all.get(held.coin, ZERO)),
                "sinceOpen": usd(-held.funding_open),
                "sinceChange": usd(-held.funding_change),
            },
        }

    def _leverage(self, account: AccountState, coin: str) -> Row:
        isolated, value = margining.leverage_of(account, coin, self._world.prices)
        held = account.holdings.get(coin)
        row: Row = {"type": "isolated" if isolated else "cross", "value": value}
        if isolated:
            row["rawUsd"] = usd(held.raw_usd if held is not None else ZERO)
        return row

"""POST /info: which question it is, what it weighs, who answers.

Owns the vocabulary of questions and the rate windows' weights; the answers' shapes are in
`market_info` and `account_info`. Source: facts 1 and 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bot.domain.types import ZERO
from bot.simulator.account_info import AccountInfo
from bot.simulator.accounts import AccountState
from bot.simulator.errors import Malformed
from bot.simulator.market_info import INTERVALS, OTHER_INTERVALS, MarketInfo
from bot.simulator.options import is_address
from bot.simulator.world import World

FOREVER = 2**62
LIGHT = 2
HEAVY = 60
USUAL = 20
WEIGHTS = {
    "l2Book": LIGHT,
    "allMids": LIGHT,
    "clearinghouseState": LIGHT,
    "orderStatus": LIGHT,
    "spotClearinghouseState": LIGHT,
    "exchangeStatus": LIGHT,
    "userRole": HEAVY,
}
ROWS_A_POINT = {
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "candleSnapshot": 60,
}
# What the SDK's `Info` asks besides, of things that are not simulated: the answer of who has none.
NOTHING: Mapping[str, object] = {
    "subAccounts": None,
    "delegations": [],
    "delegatorHistory": [],
    "delegatorRewards": [],
    "delegatorSummary": {
        "delegated": "0.0",
        "undelegated": "0.0",
        "totalPendingWithdrawal": "0.0",
        "nPendingWithdrawals": 0,
    },
    "referral": {
        "referredBy": None,
        "cumVlm": "0.0",
        "unclaimedRewards": "0.0",
        "claimedRewards": "0.0",
        "builderRewards": "0.0",
        "referrerState": None,
        "rewardHistory": [],
    },
    "userDexAbstraction": False,
    "userToMultiSigSigners": None,
    "userTwapSliceFills": [],
    "userVaultEquities": [],
}


class Info:
    """Answers questions; naming a user makes the account."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.market = MarketInfo(world)
        self.account = AccountInfo(world)

    def weight(self, body: object) -> int:
        kind = body.get("type") if isinstance(body, dict) else None
        return WEIGHTS.get(kind, USUAL) if isinstance(kind, str) else USUAL

    def extra_weight(self, body: Mapping[str, Any], answer: object) -> int:
        """Weight by rows returned."""
        rows = ROWS_A_POINT.get(str(body.get("type")))
        return len(answer) // rows if rows and isinstance(answer, list) else 0

    async def answer(self, body: object) -> object:
        """Answer one question. Raises Malformed for one the venue does not know."""
        if not isinstance(body, dict) or not isinstance(body.get("type"), str):
            raise Malformed
        if body["type"] == "candleSnapshot":
            return await self._candles(body)
        if "user" in body:
            return self._of_user(body, self._user(body))
        return self._of_market(body)

    def _of_market(self, body: Mapping[str, Any]) -> object:
        market = self.market
        match body["type"]:
            case "meta":
                return market.meta()
            case "metaAndAssetCtxs":
                return [market.meta(), market.contexts()]
            case "allMids":
                return market.mids()
            case "l2Book":
                coin = self._coin(body)
                return None if coin is None else market.book(coin)
            case "recentTrades":
                coin = self._coin(body)
                return [] if coin is None else market.trades(coin)
            case "fundingHistory":
                coin = self._coin(body)
                start, end = self._span(body)
                return [] if coin is None else market.funding_history(coin, start, end)
            case "spotMeta":
                return {"universe": [], "tokens": []}
            case "spotMetaAndAssetCtxs":
                return [{"universe": [], "tokens": []}, []]
            case "perpDexs":
                return [None]
            case "exchangeStatus":
                skewed = self._world.now + self._world.conditions.skew_ms
                return {"time": skewed, "specialStatuses": None}
            case _:
                raise Malformed

    def _of_user(self, body: Mapping[str, Any], account: AccountState) -> object:
        answers = self.account
        match body["type"]:
            case "clearinghouseState":
                return answers.state(account)
            case "spotClearinghouseState":
                return answers.spot_state(account)
            case "openOrders":
                return answers.open_orders(account)
            case "frontendOpenOrders":
                return answers.frontend_orders(account)
            case "orderStatus":
                key = body.get("oid")
                if isinstance(key, bool) or not isinstance(key, int | str):
                    raise Malformed
                return answers.order_status(account, key)
            case "historicalOrders":
                return answers.history(account)
            case "userFills":
                return answers.fills(account)
            case "userFillsByTime":
                return answers.fills_between(account, *self._span(body))
            case "userFunding":
                return answers.between(account.fundings, *self._span(body))
            case "userNonFundingLedgerUpdates":
                return answers.between(account.updates, *self._span(body))
            case _:
                return self._of_user_settings(body, account)

    def _of_user_settings(self, body: Mapping[str, Any], account: AccountState) -> object:
        answers = self.account
        match body["type"]:
            case "userRateLimit":
                return answers.rate_limit(account)
            case "userFees":
                return answers.fees(account)
            case "userRole":
                master = self._world.master(account.address)
                if master is not None:
                    return {"role": "agent", "data": {"user": master.address}}
                return {"role": "user"}
            case "userAbstraction":
                return account.abstraction
            case "extraAgents":
                return answers.agents(account)
            case "activeAssetData":
                coin = self._coin(body)
                return None if coin is None else answers.asset_data(account, coin)
            case "portfolio":
                return answers.portfolio(account)
            case "maxBuilderFee":
                return 0
            case kind if kind in NOTHING:
                return NOTHING[kind]
            case _:
                raise Malformed

    async def _candles(self, body: Mapping[str, Any]) -> object:
        wish = body.get("req")
        if not isinstance(wish, dict):
            raise Malformed
        interval = wish.get("interval")
        if interval not in INTERVALS and interval not in OTHER_INTERVALS:
            raise Malformed
        coin = self._coin(wish)
        start, end = self._span(wish)
        if coin is None:
            return []
        for _ in self.market.prepare(coin, interval, start, end):
            await asyncio.sleep(0)  # lets others run between days of prices
        return self.market.candles(coin, interval, start, end)

    def _user(self, body: Mapping[str, Any]) -> AccountState:
        address = body["user"]
        if not isinstance(address, str) or not is_address(address):
            raise Malformed
        if self._world.master(address.lower()) is not None:
            return AccountState(address.lower(), ZERO)  # an agent's own answers are empty
        return self._world.admit(address)

    def _coin(self, body: Mapping[str, Any]) -> str | None:
        coin = body.get("coin")
        if not isinstance(coin, str):
            raise Malformed
        return coin if coin in self._world.prices.instruments else None

    def _span(self, body: Mapping[str, Any]) -> tuple[int, int]:
        start, end = body.get("startTime"), body.get("endTime")
        if not isinstance(start, int) or isinstance(start, bool):
            raise Malformed
        return start, end if isinstance(end, int) else FOREVER

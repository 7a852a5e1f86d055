"""Questions to the venue, typed: one method a question.

Owns request bodies and paging; knows no state of ours and no socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeVar

from bot.adapters.venues.hyperliquid import parse_account, parse_market, parse_transfers
from bot.adapters.venues.hyperliquid.limiter import Priority
from bot.adapters.venues.hyperliquid.parse_account import AccountMode, Clearinghouse
from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.adapters.venues.hyperliquid.shapes import Row, unreadable
from bot.adapters.venues.hyperliquid.transport import Transport
from bot.domain.types import Cloid, Fill, Funding, Ms, Timeframe, Transfer, VenueOrder

_FULL_PAGE = 500  # docs: "only 500 elements or distinct blocks"; fills come by up to 2,000
_MAX_PAGES = 50


class _Timed(Protocol):
    @property
    def at(self) -> Ms: ...


_T = TypeVar("_T", bound=_Timed)


@dataclass(frozen=True, slots=True)
class AddressBudget:
    """Actions used of those allowed, as the venue counts them (docs, address limits)."""

    used: int
    cap: int


class Queries:
    """Asks /info in the name of one account."""

    def __init__(self, transport: Transport, account: str) -> None:
        self._transport = transport
        self._account = account
        self._reading = asyncio.Lock()

    async def meta(self) -> object:
        """Raw `meta`, for `parse_market.instruments`."""
        return await self._transport.info({"type": "meta"}, Priority.ACCOUNT)

    async def contexts(self) -> object:
        """Raw `metaAndAssetCtxs`."""
        return await self._transport.info({"type": "metaAndAssetCtxs"}, Priority.POLLING)

    async def candles(self, coin: str, timeframe: Timeframe, first: Ms, last: Ms) -> list[Candle]:
        """Candles that touch [first, last], oldest first, the open one included."""
        span = {
            "coin": coin,
            "interval": timeframe.value,
            "startTime": first,
            "endTime": last,
        }
        request = {"type": "candleSnapshot", "req": span}
        answer = await self._transport.info(request, Priority.POLLING)
        found: list[Candle] = []
        for part in parse_market.candle_parts(answer):
            # One part a turn of the loop, whoever asked: a start fetches for every symbol.
            async with self._reading:
                found += parse_market.candles(part)
                await asyncio.sleep(0)
        return parse_market.by_time(found)

    async def account_mode(self) -> AccountMode:
        return parse_account.account_mode(await self._user("userAbstraction"))

    async def clearinghouse(self) -> Clearinghouse:
        return parse_account.clearinghouse(await self._user("clearinghouseState"))

    async def spot_usdc(self) -> tuple[Decimal, Decimal]:
        """(total, hold) of the account's USDC."""
        return parse_account.spot_usdc(await self._user("spotClearinghouseState"))

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        return parse_account.open_orders(await self._user("frontendOpenOrders"))

    async def order_status(self, cloid: Cloid) -> VenueOrder | None:
        """Before all other questions: the next try of an exit may wait for it."""
        request = {"type": "orderStatus", "user": self._account, "oid": cloid.lower()}
        return parse_account.order_status(await self._transport.info(request, Priority.EXIT))

    async def leverage(self, coin: str) -> tuple[int, bool]:
        """(leverage, isolated) of a coin, also while nothing is open in it.

        As urgent as the entry that waits for it.
        """
        request = {"type": "activeAssetData", "user": self._account, "coin": coin}
        return parse_account.leverage_of(await self._transport.info(request, Priority.ENTRY))

    async def fills_since(self, at: Ms) -> tuple[Fill, ...]:
        """Fills from `at` on, oldest first, without duplicates."""
        found = await self._paged(
            "userFillsByTime", at, lambda page: parse_account.fills(page, self._account)
        )
        once = {(each.symbol, each.at, each.fill_id): each for each in found}
        return tuple(sorted(once.values(), key=parse_account.fill_order))

    async def funding_since(self, at: Ms) -> tuple[Funding, ...]:
        """Funding payments from `at` on, oldest first, without duplicates."""
        found = await self._paged("userFunding", at, parse_account.fundings)
        once = {(each.at, each.symbol): each for each in found}
        return tuple(once[key] for key in sorted(once))

    async def transfers_since(self, at: Ms, *, unified: bool) -> tuple[Transfer, ...]:
        """Collateral moved in or out from `at` on, oldest first."""

        def read(page: object) -> tuple[Transfer, ...]:
            return parse_transfers.transfers(page, self._account, unified=unified)

        # Rows have no key of their own, so only whole pages of distinct times are taken.
        return tuple(await self._paged("userNonFundingLedgerUpdates", at, read, overlap=False))

    async def address_budget(self) -> AddressBudget:
        """How much of the address's budget of actions is used."""
        row = Row.of("userRateLimit", await self._user("userRateLimit"))
        return AddressBudget(row.integer("nRequestsUsed"), row.integer("nRequestsCap"))

    async def server_time(self) -> Ms:
        """The venue's clock, ms."""
        answer = await self._transport.info({"type": "exchangeStatus"}, Priority.ACCOUNT)
        return Ms(Row.of("exchangeStatus", answer).integer("time"))

    async def _user(self, kind: str, **fields: object) -> object:
        request = {"type": kind, "user": self._account, **fields}
        return await self._transport.info(request, Priority.ACCOUNT)

    async def _paged(
        self,
        kind: str,
        at: Ms,
        read: Callable[[object], tuple[_T, ...]],
        *,
        overlap: bool = True,
    ) -> list[_T]:
        """All pages of a time range; each begins where the one before ended.

        Without `overlap` the last time of a full page is left to the next one.
        """
        found: list[_T] = []
        start = at
        for _ in range(_MAX_PAGES):
            answer = await self._user(kind, startTime=start)
            if not isinstance(answer, list):
                raise unreadable(kind, "answer", "a list", answer)
            page = read(answer)
            if len(answer) < _FULL_PAGE:
                found.extend(page)
                break
            newest = max(Row.of(kind, item).integer("time") for item in answer)
            found.extend(each for each in page if overlap or each.at < newest or newest == start)
            # A full page of one millisecond cannot be passed by asking from it again.
            start = Ms(max(newest, start + 1))
        return [each for each in found if each.at >= at]

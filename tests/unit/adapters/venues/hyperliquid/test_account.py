"""The account as the venue port tells it: of one moment, of every mode, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from bot.domain.errors import ConfigError, TransientError
from tests.unit.adapters.venues.hyperliquid.fake_venue import (
    ETH,
    NOW,
    STATE,
    FakeVenue,
    position,
    started,
)

STOP_OF_ETH = {
    "coin": "ETH",
    "side": "A",
    "limitPx": "1400",
    "triggerPx": "1500",
    "sz": "0.5",
    "origSz": "0.5",
    "oid": 7,
    "timestamp": NOW,
    "isTrigger": True,
    "orderType": "Stop Market",
    "reduceOnly": True,
    "isPositionTpsl": False,
    "children": [],
}
HOLDING = STATE | {"assetPositions": [position()]}


async def test_account_of_a_classic_account() -> None:
    """Equity and free margin of the perpetuals' own balance, with positions and orders."""
    venue = FakeVenue()
    venue.info["clearinghouseState"] = STATE | {"assetPositions": [position()]}
    async with started(venue) as hyperliquid:
        account = await hyperliquid.venue.account()
    assert account.equity == account.free_margin == 1000
    assert account.positions[ETH].isolated
    assert account.positions[ETH].signed_size == Decimal("0.5")
    assert account.at == STATE["time"]


async def test_an_account_is_of_one_moment() -> None:
    """A fill between the two questions would show a position without its stop: asked again."""
    venue = FakeVenue()
    async with started(venue) as hyperliquid:
        stream = hyperliquid.venue._account_stream

        def orders(body: dict[str, Any]) -> list[object]:
            stream.fills_delivered += 1 if venue.asked["frontendOpenOrders"] == 1 else 0
            return []

        venue.info["frontendOpenOrders"] = orders
        before = venue.asked["clearinghouseState"]
        await hyperliquid.venue.account()
    assert venue.asked["frontendOpenOrders"] == 2
    assert venue.asked["clearinghouseState"] == before + 2


async def test_a_stop_that_fires_between_the_questions_is_not_missing() -> None:
    """Before the stream has told of it: a position is never shown without the stop it had."""
    venue = FakeVenue()
    async with started(venue) as hyperliquid:
        before = {"frontendOpenOrders": [STOP_OF_ETH], "clearinghouseState": HOLDING}
        after = {"frontendOpenOrders": [], "clearinghouseState": STATE}

        def once(question: str) -> Callable[[dict[str, Any]], object]:
            def answer(body: dict[str, Any]) -> object:
                venue.info.update(after)
                return before[question]

            return answer

        venue.info.update({question: once(question) for question in before})
        account = await hyperliquid.venue.account()
    assert [order.is_stop for order in account.orders] == [True]
    assert account.positions == {}


async def test_account_of_a_unified_account_is_its_spot_usdc() -> None:
    """The clearinghouse state is then no equity; an open loss binds collateral."""
    venue = FakeVenue()
    venue.info["userAbstraction"] = "unifiedAccount"
    venue.info["clearinghouseState"] = STATE | {"assetPositions": [position()]}
    balance = {"coin": "USDC", "token": 0, "total": "500.0", "hold": "100.0", "entryNtl": "0"}
    venue.info["spotClearinghouseState"] = {"balances": [balance]}
    async with started(venue) as hyperliquid:
        account = await hyperliquid.venue.account()
    assert (account.equity, account.free_margin) == (Decimal("497.5"), Decimal("397.5"))


async def test_a_portfolio_margin_account_is_refused_at_start() -> None:
    """Its equity is not one number: the operator must switch it."""
    venue = FakeVenue()
    venue.info["userAbstraction"] = "portfolioMargin"
    with pytest.raises(ConfigError, match="portfolioMargin"):
        async with started(venue):
            raise AssertionError("started")


async def test_questions_name_the_account_not_the_agent() -> None:
    """An agent's own address answers empty but valid data."""
    master = "0x" + "AB" * 20
    venue = FakeVenue()
    async with started(venue, account=master) as hyperliquid:
        await hyperliquid.venue.account()
        assert hyperliquid.account == master.lower() != hyperliquid.signer_address
    asked = {body["user"] for body in venue.requests if "user" in body}
    assert asked == {master.lower()}


async def test_a_failed_question_is_no_empty_account() -> None:
    """It raises; it never looks flat."""
    venue = FakeVenue()
    async with started(venue) as hyperliquid:
        venue.info["frontendOpenOrders"] = None
        with pytest.raises(TransientError, match="frontendOpenOrders"):
            await hyperliquid.venue.account()

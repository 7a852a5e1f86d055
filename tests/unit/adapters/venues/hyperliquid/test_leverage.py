"""Leverage and margin mode before an entry: what stands at the venue, whoever set it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.domain.errors import VenueRejected
from tests.unit.adapters.venues.hyperliquid.fake_venue import (
    ETH,
    STATE,
    FakeVenue,
    position,
    started,
)

DONE = {"status": "ok", "response": {"type": "default"}}


def at_venue(kind: str, leverage: int) -> dict[str, Any]:
    return {"leverage": {"type": kind, "value": leverage}}


async def test_leverage_is_set_only_when_it_must_change() -> None:
    """Isolated; what stands is asked before each entry, and what is right is left alone."""
    venue = FakeVenue()
    venue.exchange = [DONE]
    venue.info["activeAssetData"] = at_venue("cross", 3)
    async with started(venue) as hyperliquid:
        await hyperliquid.venue.set_leverage(ETH, 3)  # cross 3 is not isolated 3
        assert [body["action"] for body in venue.actions] == [
            {"type": "updateLeverage", "asset": 2, "isCross": False, "leverage": 3}
        ]
        venue.info["activeAssetData"] = at_venue("isolated", 3)
        await hyperliquid.venue.set_leverage(ETH, 3)
        assert len(venue.actions) == 1
        await hyperliquid.venue.set_leverage(ETH, 2)
        assert len(venue.actions) == 2
        assert venue.asked["activeAssetData"] == 3


@pytest.mark.parametrize("changed", [("isolated", 20), ("cross", 3)], ids=["leverage", "mode"])
async def test_what_a_person_changed_between_two_entries_is_set_again(
    changed: tuple[str, int],
) -> None:
    """The stop of the next entry was judged against the liquidation price of what was planned."""
    venue = FakeVenue()
    venue.exchange = [DONE]
    venue.info["clearinghouseState"] = STATE | {"assetPositions": [position(leverage=3)]}
    venue.info["activeAssetData"] = at_venue("isolated", 3)
    async with started(venue) as hyperliquid:
        await hyperliquid.venue.account()
        await hyperliquid.venue.set_leverage(ETH, 3)
        assert venue.actions == []
        venue.info["activeAssetData"] = at_venue(*changed)
        await hyperliquid.venue.set_leverage(ETH, 3)
    assert [body["action"]["leverage"] for body in venue.actions] == [3]
    assert venue.actions[0]["action"]["isCross"] is False


async def test_leverage_that_the_venue_refused_is_no_leverage() -> None:
    """The error goes to the entry, which is not sent; the next one asks anew."""
    venue = FakeVenue()
    venue.info["activeAssetData"] = at_venue("isolated", 2)
    venue.exchange = [{"status": "err", "response": "Invalid leverage value"}, DONE]
    async with started(venue) as hyperliquid:
        with pytest.raises(VenueRejected):
            await hyperliquid.venue.set_leverage(ETH, 30)
        await hyperliquid.venue.set_leverage(ETH, 2)
        assert len(venue.actions) == 1
        venue.info["activeAssetData"] = at_venue("isolated", 30)
        await hyperliquid.venue.set_leverage(ETH, 2)
    assert len(venue.actions) == 2


async def test_the_question_for_leverage_goes_as_its_entry_does() -> None:
    """Other questions may use less of the minute's weight than an entry: it waits for none."""
    venue = FakeVenue()
    venue.info["activeAssetData"] = at_venue("isolated", 3)
    async with started(venue) as hyperliquid:
        limiter = hyperliquid.limiter
        limiter.charge(1_200 * 93 // 100 - limiter.used)
        async with asyncio.timeout(5):
            await hyperliquid.venue.set_leverage(ETH, 3)
    assert venue.asked["activeAssetData"] == 1


async def test_a_node_without_leverage_answers_gets_it_set() -> None:
    """Not knowing is no reason not to set."""
    venue = FakeVenue()
    venue.exchange = [DONE]
    async with started(venue) as hyperliquid:
        await hyperliquid.venue.set_leverage(ETH, 2)
    assert len(venue.actions) == 1

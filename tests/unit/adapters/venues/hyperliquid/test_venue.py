"""The venue port: orders out, acknowledgements and account in, over real sockets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hyperliquid.utils.signing import action_hash, construct_phantom_agent, l1_payload

from bot.domain.errors import AmbiguousOutcome, TransientError, VenueRejected
from bot.domain.types import (
    Cleared,
    Cloid,
    ExitReason,
    Intent,
    Leg,
    Ms,
    OrderStatus,
    Side,
    Symbol,
    TraceId,
)
from tests.unit.adapters.venues.hyperliquid.fake_venue import (
    ETH,
    NOW,
    FakeVenue,
    a_fill,
    funding_row,
    started,
)

ENTRY, STOP = (Cloid("0x4b45454c" + digit * 24) for digit in "12")


def cleared(leg: Leg = Leg.ENTRY, **changes: Any) -> Cleared:
    fields: dict[str, Any] = {
        "trace_id": TraceId("ETH-20260101T0000-1"),
        "symbol": ETH,
        "leg": leg,
        "side": Side.LONG,
        "quantity": Decimal("0.5"),
        "limit": Decimal("1600"),
        "reference": Decimal("1590"),
        "attempt": 0,
        "cloid": ENTRY,
    }
    if leg is Leg.ENTRY:
        fields |= {"stop": Decimal("1500"), "stop_cloid": STOP}
    elif leg is Leg.EXIT:
        fields |= {"reason": ExitReason.MANUAL}
    else:
        fields |= {"trigger": Decimal("1500")}
    return Cleared(Intent(**(fields | changes)), ())


def statuses(*values: object) -> dict[str, object]:
    return {
        "status": "ok",
        "response": {"type": "order", "data": {"statuses": list(values)}},
    }


def filled(size: str) -> dict[str, object]:
    return {"filled": {"totalSz": size, "avgPx": "1590.5", "oid": 5}}


async def test_an_entry_is_signed_by_the_account_and_expires() -> None:
    """What arrives recovers to our address; a delayed entry cannot fill late."""
    venue = FakeVenue()
    venue.exchange = [statuses(filled("0.5"), "waitingForTrigger")]
    async with started(venue) as hyperliquid:
        acks = await hyperliquid.venue.submit(cleared())
    assert [ack.status for ack in acks] == [OrderStatus.FILLED, OrderStatus.OPEN]
    (body,) = venue.actions
    assert body["expiresAfter"] == NOW + 8000
    assert body["nonce"] == NOW
    digest = action_hash(body["action"], None, body["nonce"], body["expiresAfter"])
    data = encode_typed_data(full_message=l1_payload(construct_phantom_agent(digest, False)))
    signature = body["signature"]
    vrs = (signature["v"], int(signature["r"], 16), int(signature["s"], 16))
    assert EthAccount.recover_message(data, vrs=vrs).lower() == hyperliquid.account


@pytest.mark.parametrize("leg", [Leg.EXIT, Leg.STOP, Leg.TARGET])
async def test_what_reduces_cannot_land_late_either(leg: Leg) -> None:
    """An exit that hung on the way must not meet a later position."""
    venue = FakeVenue()
    venue.exchange = [statuses(filled("0.5"))]
    async with started(venue) as hyperliquid:
        await hyperliquid.venue.submit(cleared(leg))
    assert venue.actions[0]["expiresAfter"] == NOW + 8000


async def test_an_exit_that_came_too_late_by_the_venues_clock_goes_without_an_end() -> None:
    """A clock of ours that is behind must not keep a position open; an entry is refused."""
    late = {"status": "err", "response": "Action already expired"}
    venue = FakeVenue()
    venue.exchange = [late, statuses(filled("0.5")), late]
    async with started(venue) as hyperliquid:
        (ack,) = await hyperliquid.venue.submit(cleared(Leg.EXIT))
        assert ack.status is OrderStatus.FILLED
        assert [body["expiresAfter"] for body in venue.actions] == [NOW + 8000, None]
        with pytest.raises(VenueRejected, match="already expired"):
            await hyperliquid.venue.submit(cleared())
    assert len(venue.actions) == 3


async def test_a_refusal_of_the_batch_is_raised_with_the_venues_words() -> None:
    """Nothing exists then, of no leg."""
    venue = FakeVenue()
    venue.exchange = [{"status": "err", "response": "Order price cannot be more than 80% away"}]
    async with started(venue) as hyperliquid:
        with pytest.raises(VenueRejected, match="80% away"):
            await hyperliquid.venue.submit(cleared())
    assert len(venue.actions) == 1


async def test_an_answer_that_does_not_tell_is_ambiguous_and_not_repeated() -> None:
    """The order may exist: it must be asked for."""
    venue = FakeVenue()
    venue.exchange = [statuses({"odd": 1}, {"odd": 1})]
    async with started(venue) as hyperliquid:
        with pytest.raises(AmbiguousOutcome, match=ENTRY):
            await hyperliquid.venue.submit(cleared())
    assert len(venue.actions) == 1


async def test_an_unknown_symbol_sends_nothing() -> None:
    """Without an asset id there is no order."""
    venue = FakeVenue()
    async with started(venue) as hyperliquid:
        with pytest.raises(TransientError, match="nothing was sent"):
            await hyperliquid.venue.submit(cleared(symbol=Symbol("NOPE")))
    assert venue.actions == []


async def test_cancelling_what_is_gone_is_true() -> None:
    """By client id; "already gone" counts as done."""
    venue = FakeVenue()
    gone = "Order was never placed, already canceled, or filled. asset=2"
    venue.exchange = [statuses("success"), statuses({"error": gone})]
    async with started(venue) as hyperliquid:
        assert await hyperliquid.venue.cancel(ETH, ENTRY)
        assert await hyperliquid.venue.cancel(ETH, ENTRY)
    assert venue.actions[0]["action"]["cancels"] == [{"asset": 2, "cloid": ENTRY}]


async def test_fills_are_paged_sorted_and_each_is_there_once() -> None:
    """Pages overlap at their boundary and come in any order."""
    rows = [a_fill(n, NOW + n // 3) for n in range(1200)]

    def page(body: dict[str, Any]) -> list[dict[str, Any]]:
        later = [row for row in rows if row["time"] >= body["startTime"]][:500]
        return list(reversed(later))

    venue = FakeVenue()
    venue.info["userFillsByTime"] = page
    async with started(venue) as hyperliquid:
        fills = await hyperliquid.venue.fills_since(Ms(NOW))
    assert [fill.fill_id for fill in fills] == list(range(1200))
    assert venue.asked["userFillsByTime"] == 3


async def test_a_full_page_of_one_moment_does_not_loop() -> None:
    """It is passed by a millisecond instead of being asked for again and again."""
    venue = FakeVenue()
    rows = [a_fill(n, NOW) for n in range(600)]
    venue.info["userFillsByTime"] = lambda body: rows if body["startTime"] <= NOW else []
    async with started(venue) as hyperliquid:
        fills = await hyperliquid.venue.fills_since(Ms(NOW))
    assert len(fills) == 600
    assert venue.asked["userFillsByTime"] == 2


async def test_funding_is_sorted_and_each_payment_is_there_once() -> None:
    """As fills are."""
    venue = FakeVenue()
    venue.info["userFunding"] = [funding_row(NOW + 9), funding_row(NOW + 3), funding_row(NOW + 9)]
    async with started(venue) as hyperliquid:
        found = await hyperliquid.venue.funding_since(Ms(NOW))
    assert [each.at for each in found] == [NOW + 3, NOW + 9]


async def test_clock_skew_is_the_venues_time_minus_ours() -> None:
    """Positive when the venue is ahead."""
    venue = FakeVenue()
    venue.info["exchangeStatus"] = {"time": NOW + 750, "specialStatuses": None}
    async with started(venue) as hyperliquid:
        assert await hyperliquid.venue.clock_skew_ms() == 750


async def test_health_follows_stream_and_requests() -> None:
    """Without a stream, or after failed requests, the venue is not healthy."""
    venue = FakeVenue()
    async with started(venue) as hyperliquid:
        assert not hyperliquid.venue.healthy()
        hyperliquid.stream.connected = True
        assert hyperliquid.venue.healthy()
        venue.info["frontendOpenOrders"] = 0  # unreadable, but answered
        hyperliquid.transport.condition.failing = 3
        assert not hyperliquid.venue.healthy()
        await hyperliquid.venue.fills_since(Ms(0))
        assert hyperliquid.venue.healthy()


async def test_the_address_budget_is_metered() -> None:
    """Each order of a batch counts; the venue's own count can be asked for."""
    venue = FakeVenue()
    venue.exchange = [statuses(filled("0.5"), "waitingForTrigger")]
    venue.info["userRateLimit"] = {"cumVlm": "1.0", "nRequestsUsed": 7, "nRequestsCap": 10001}
    async with started(venue) as hyperliquid:
        await hyperliquid.venue.submit(cleared())
        assert hyperliquid.venue.actions_sent == 2
        budget = await hyperliquid.venue.address_budget()
    assert (budget.used, budget.cap) == (7, 10001)

"""Frames that are lost, late or twice, and answers that are old.

The real adapter and the acting half; docs/faults.md in tests.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.reasons import Reason
from bot.domain.types import ExitReason, TradingState
from tests.acting import ETH, Acting, acting


@pytest.mark.parametrize("kind", ["duplicate", "reorder", "drop"])
async def test_frames_that_come_twice_late_or_never_change_nothing_in_the_books(
    tmp_path: Path, kind: str
) -> None:
    """A fill counts once, by its number; what the stream kept is asked for."""
    async with acting(tmp_path, {"kind": kind, "times": 0, "rate": 0.6}, seed=3) as half:
        for _ in range(3):
            await half.enter()
            await half.play(40)
            half.desk.close(ETH, ExitReason.MANUAL)
            await half.play(40)
        assert half.struck()[0] > 3
        half.faults()
        await half.play(40)
        assert half.books.positions == {}
        assert half.books.closed_trades == 3
        await half.in_order()


async def test_a_silent_account_stream_is_made_up_for_by_asking(tmp_path: Path) -> None:
    """Heartbeats are answered, no fill is told: it is known and protected all the same."""
    silence = {"kind": "silent_socket", "channels": "account"}
    async with acting(tmp_path, silence) as half:
        assert await half.enter() is Reason.EXECUTED
        await half.play(5)
        assert ETH in half.books.positions
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(35)
        assert half.books.positions == {}
        await half.in_order()


@pytest.mark.parametrize("stop", ["placed", "refused"])
async def test_a_part_filled_entry_that_nobody_tells_of_is_covered_by_its_answer(
    tmp_path: Path, stop: str
) -> None:
    """Silent stream, and 429 to every question after that for the leverage: the answer alone
    says what needs a stop.
    """
    script: list[dict[str, object]] = [
        {"kind": "silent_socket", "channels": "account"},
        {"kind": "too_many_requests", "on": "info", "times": 0, "after": 1},
        {"kind": "partial_entry", "fraction": 0.5},
    ]
    if stop == "refused":
        script.append({"kind": "budget", "on": "stop"})
    async with acting(tmp_path) as half:
        await half.hyperliquid.venue.set_leverage(ETH, 3)
        half.faults(*script)
        entering = asyncio.ensure_future(half.enter())
        await half.play(8)
        held = half.account.size(ETH)
        if stop == "placed":
            assert held > 0
            assert [order.remaining for order in half.stops()] == [held]
        else:
            assert held == 0
        half.faults()
        await half.play(60)
        assert entering.done()
        assert (ETH in half.books.positions) == (stop == "placed")
        if stop == "placed":
            assert len(half.stops()) == 1
            live = half.account.open_orders(ETH)
            assert len([order for order in live if not order.is_stop]) == 1, "its target"
        await half.in_order()


async def test_lost_price_frames_with_a_living_heartbeat_are_found_out(tmp_path: Path) -> None:
    """The price by request has moved and no frame told it: the connection is given up."""
    async with acting(tmp_path, {"kind": "silent_socket", "channels": "market"}) as half:
        before = half.hyperliquid.stream.connections
        half.move(ETH=3_050.0)
        await half.play(40)
        assert half.hyperliquid.stream.connections > before
        assert half.hyperliquid.feed.confirmed_age_s(ETH) >= 0
        half.faults()
        half.move(ETH=3_060.0)
        await half.play(40)
        market = half.hyperliquid.feed.market(ETH)
        assert market is not None and market.mark == 3_060.0


async def test_a_socket_without_heartbeats_is_given_up(tmp_path: Path) -> None:
    """No pong within its limit; what happened meanwhile is asked for."""
    async with acting(tmp_path) as half:
        half.hyperliquid.stream._timing = _impatient(half)
        before = half.hyperliquid.stream.connections
        half.faults({"kind": "silent_socket", "heartbeats": False, "for_s": 45})
        assert await half.enter() is Reason.EXECUTED
        await half.play(90)
        assert half.hyperliquid.stream.connections > before
        await half.in_order()


def _impatient(half: Acting) -> Any:
    """A pong's limit is machine time: a short one."""
    return replace(half.hyperliquid.stream._timing, pong_s=0.2)


async def test_cut_sockets_come_back_with_what_happened_meanwhile(tmp_path: Path) -> None:
    """Subscribed again, fills asked for, compared at once."""
    async with acting(tmp_path) as half:
        await half.enter()
        before = half.hyperliquid.stream.connections
        half.faults({"kind": "cut_sockets"})
        half.move(ETH=2_600.0)  # the stop fires while nobody listens
        await half.play(20)
        assert half.hyperliquid.stream.connections > before
        assert half.books.positions == {}
        assert half.books.trades[-1].exit_reason is ExitReason.STOP
        await half.in_order()


async def test_stale_prices_are_found_out_when_the_venue_still_answers(tmp_path: Path) -> None:
    """One coin's frames stand still; by request it has moved."""
    async with acting(tmp_path, {"kind": "stale_prices", "coin": "ETH"}) as half:
        before = half.hyperliquid.stream.connections
        half.move(ETH=3_100.0)
        await half.play(40)
        assert half.hyperliquid.stream.connections > before


async def test_a_stale_account_proves_nothing_and_after_two_minutes_opens_nothing(
    tmp_path: Path,
) -> None:
    """An account of before our last fill is no account: no drift, no halt; entries wait."""
    async with acting(tmp_path, {"kind": "stale_account", "for_s": 240}) as half:
        await half.hyperliquid.venue.account()  # the answer that will be repeated
        await half.play(10)
        assert await half.enter() is Reason.EXECUTED
        await half.play(60)
        assert half.books.gone == set()
        assert half.books.safety.state is TradingState.ACTIVE
        facts = half.health.facts(ETH, half.clock.now())
        assert facts is not None and facts.venue_healthy
        await half.play(100)
        facts = half.health.facts(ETH, half.clock.now())
        assert facts is not None and not facts.venue_healthy
        await half.play(90)
        facts = half.health.facts(ETH, half.clock.now())
        assert facts is not None and facts.venue_healthy
        await half.in_order()

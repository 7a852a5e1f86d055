"""A scan steps aside for an exit on its way out, and only for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.app.world import Pace, _lockstep_pace
from bot.domain.types import ExitReason
from bot.pipeline.desk import Desk
from bot.pipeline.haste import GIVE_WAY_S, Haste
from bot.runtime.clock import ManualClock
from tests.unit.pipeline.given import BTC, ETH, START, kit, running
from tests.unit.pipeline.thinking import thinking

LIMIT_S = 1.0


def passed(haste: Haste) -> asyncio.Task[None]:
    return asyncio.create_task(haste.give_way())


async def test_without_an_exit_nobody_waits() -> None:
    clock = ManualClock(START)
    await Haste(clock, LIMIT_S).give_way()
    assert clock.sleepers() == 0


async def test_one_waits_until_the_last_exit_is_sent() -> None:
    clock = ManualClock(START)
    haste = Haste(clock, LIMIT_S)
    haste.begin(BTC)
    haste.begin(ETH)
    scan = passed(haste)
    await clock.run_for(100)
    haste.end(BTC)
    await clock.run_for(100)
    assert not scan.done()
    haste.end(ETH)
    await clock.run_for(0)
    assert scan.done()


async def test_an_exit_that_hangs_is_not_waited_for() -> None:
    """Also when it is asked for again: each exit is waited for once."""
    clock = ManualClock(START)
    haste = Haste(clock, LIMIT_S)
    haste.begin(BTC)
    scan = passed(haste)
    await clock.run_for(900)
    haste.begin(BTC)
    assert not scan.done()
    await clock.run_for(100)
    assert scan.done()
    again = passed(haste)
    await clock.run_for(0)
    assert again.done()


async def test_in_lockstep_nobody_waits() -> None:
    """There machine time decides nothing: the limit is 0, and nothing is noted."""
    assert _lockstep_pace(None).give_way_s == 0
    assert Pace().give_way_s == GIVE_WAY_S
    clock = ManualClock(START)
    haste = Haste(clock, 0.0)
    haste.begin(BTC)
    scan = passed(haste)
    await clock.run_for(0)
    assert scan.done()


ASKS: dict[str, Callable[[Desk], None]] = {
    "exit": lambda desk: desk.close(BTC, ExitReason.MANUAL),
    "move": lambda desk: desk.move_stop(BTC, 99.5),
    "defence": lambda desk: desk.defend(BTC),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
async def test_what_reduces_is_in_haste_until_it_is_sent(ask: Callable[[Desk], None]) -> None:
    """From the wish on; the venue's answer is nothing that a scan could delay."""
    made = kit()
    made.execution.haste = haste = Haste(made.clock, 3_600.0)
    async with running(made):
        await made.enter()
        for leg in ("exit", "stop"):
            made.venue.gates[f"submit:{leg}"] = asyncio.Event()
        ask(made.desk)
        scan = passed(haste)
        await asyncio.sleep(0)
        assert not scan.done()
        sent = len(made.venue.sent)
        await made.play(200)
        assert scan.done() and len(made.venue.sent) > sent
        for gate in made.venue.gates.values():
            gate.set()
        await made.play(1_000)


async def test_a_wish_that_comes_to_nothing_holds_nobody_up() -> None:
    """The position was gone when its turn came."""
    made = kit()
    made.execution.haste = haste = Haste(made.clock, 3_600.0)
    async with running(made):
        await made.enter()
        made.desk.move_stop(BTC, 99.5)
        del made.books.guards[BTC]
        await made.play(200)
        scan = passed(haste)
        await made.play(200)
        assert scan.done()
        haste.end(BTC)


async def test_a_scan_waits_for_it() -> None:
    """No symbol is computed meanwhile."""
    made = thinking()
    haste = made.road._haste = Haste(made.kit.clock, LIMIT_S)
    haste.begin(BTC)
    cycle = asyncio.create_task(made.road.cycle([ETH]))
    await made.kit.clock.run_for(500)
    assert made.offers == []
    haste.end(BTC)
    await made.kit.clock.run_for(500)
    assert [offer.symbol for offer in made.offers] == [ETH]
    await cycle

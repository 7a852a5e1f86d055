"""What the desk writes of an entry, when, and in how long a stretch."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.reasons import Reason, Stage
from bot.domain.types import TradingState
from bot.pipeline.entry_lane import ENTRY_LANE
from bot.ports import TraceRecord
from tests.stretches import counted
from tests.unit.pipeline.given import BTC, kit, offer, running
from tests.unit.pipeline.test_desk import ended, many
from tests.until import until


@pytest.mark.parametrize("halted", [True, False], ids=["halted", "active"])
async def test_no_two_entries_are_looked_at_or_written_in_one_stretch(halted: bool) -> None:
    """What eight entries take at once nobody else may have to wait for, least of all an exit."""
    made = kit()
    for symbol in many(made, ENTRY_LANE):
        made.desk.offer(await offer(made, symbol))
    made.books.safety.state = TradingState.HALTED if halted else TradingState.ACTIVE
    written: list[int] = []
    put = made.traces.put

    def noted(record: TraceRecord) -> None:
        written.append(len(stretches.calls))
        put(record)

    made.traces.put = noted  # type: ignore[method-assign]
    with counted() as stretches:
        async with running(made):
            await until(lambda: len(made.traces.records) == ENTRY_LANE)
    assert len(set(written)) == len(written) >= ENTRY_LANE


async def test_an_entry_on_its_way_is_traced_as_such() -> None:
    """Should the process die before the venue answers, the trace says that it had gone."""
    made = kit()
    one = await offer(made)
    made.venue.gates["submit"] = asyncio.Event()
    async with running(made):
        made.desk.offer(one)
        await until(lambda: made.desk.works_on(BTC))
        await made.play(100)
        assert ended(made, one) == (Stage.EXECUTE, Reason.UNKNOWN_OUTCOME)
        made.venue.gates["submit"].set()
        await made.play(1_000)
    assert ended(made, one) == (Stage.PROTECT, Reason.EXECUTED)


async def test_an_entry_is_traced_to_its_protection() -> None:
    """The trace ends at PROTECT with what the desk saw, sized and cleared."""
    made = kit()
    one = await offer(made)
    async with running(made):
        made.desk.offer(one)
        await made.play(1_000)
    assert ended(made, one) == (Stage.PROTECT, Reason.EXECUTED)
    body = made.traces.records[one.trail.id].body
    assert set(body) >= {"desk", "orders", "durations_ms"}
    assert made.books.reservations == {}

"""A process that stood still: what it believes is old until it was compared."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.pipeline.given import kit, offer, running


@pytest.mark.parametrize("clock_set", [False, True], ids=["late", "clock set"])
@pytest.mark.parametrize("under_way", [False, True], ids=["none", "one under way"])
async def test_after_standing_still_nothing_is_opened_before_a_comparison(
    under_way: bool, clock_set: bool
) -> None:
    """Compared at once; a comparison that had begun before does not count."""
    made = kit()
    async with running(made, made.reconcile.run()):
        gate = made.venue.gates["account"] = asyncio.Event()
        early = asyncio.ensure_future(made.reconcile.step()) if under_way else None
        await made.play(100)
        (made.reconcile.clock_set if clock_set else made.reconcile.stood_still)(7.0)
        if early is not None:
            gate.set()
            assert await made.finish(early)
        made.venue.gates["account"] = gate = asyncio.Event()
        made.desk.offer(await offer(made))
        await made.play(3_000)
        assert made.venue.sent == []
        gate.set()
        await made.play(2_000)
        made.desk.offer(await offer(made, cycle=2))
        await made.play(2_000)
        assert len(made.venue.sent) == 1

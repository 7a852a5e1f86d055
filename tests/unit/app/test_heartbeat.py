"""The curve's rows in the database: what is read after a stop is what the account was worth."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, cast

import pytest

from bot.app.heartbeat import Heartbeat
from bot.domain.types import ExitReason, Ms
from bot.ports import EquityPoint
from tests.unit.app.given import parts
from tests.unit.app.test_view import holding
from tests.unit.pipeline.given import BTC
from tests.until import until


def points(made: Any) -> list[EquityPoint]:
    """What is in the database, oldest first."""
    return [point for changes in made.store.journal.written for point in changes.equity]


@pytest.mark.parametrize("known", [True, False])
async def test_the_stop_writes_what_the_account_is_worth(known: bool) -> None:
    """As the last row; nothing where the account was never read."""
    made, _, _, clock = parts()
    ready = asyncio.Event()
    writing = asyncio.create_task(made.rows.run())
    if known:
        ready.set()
    await Heartbeat(made, ready).stop()
    writing.cancel()
    worth = Decimal(1000)
    expected = [EquityPoint(clock.now(), worth, worth, Decimal(0), Decimal(0))] if known else []
    assert points(cast(Any, made)) == expected


async def test_a_closed_trade_brings_its_point() -> None:
    """In one transaction with its row, so neither is there without the other."""
    async with holding() as (made, venue, feed):
        made.books.baseline_known = True
        venue.prices[BTC] += 5
        feed.price(BTC, 105.0, Ms(made.world.clock.now()))
        task = asyncio.ensure_future(made.execution.leave(BTC, ExitReason.MANUAL))
        await until(task.done)
        await made.rows.drained()
        journal = cast(Any, made.store.journal)
        (closing,) = [changes for changes in journal.written if changes.trades]
        (point,) = closing.equity
        assert (point.equity, point.unrealised) == (made.books.equity(), 0)
        assert points(made) == [point]


async def test_a_trade_that_a_start_finds_closed_has_no_point() -> None:
    """The account has not been read yet: its worth would be a guess."""
    async with holding() as (made, venue, _):
        venue.prices[BTC] += 5
        task = asyncio.ensure_future(made.execution.leave(BTC, ExitReason.MANUAL))
        await until(task.done)
        await made.rows.drained()
        assert points(made) == []

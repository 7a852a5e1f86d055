"""Who writes next: money, before everything that is in no hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store import StoreOptions, open_store
from bot.adapters.store.gate import Behind
from tests.unit.adapters.store.fakes import FakeClock
from tests.until import until


async def _write(gate: Any, name: str, done: list[str]) -> None:
    async with gate:
        done.append(name)
        await asyncio.sleep(0)


async def _turns() -> None:
    """As many turns of the loop as two tasks need to come to a lock."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_money_waits_for_one_transaction_at_most() -> None:
    """However many rows stand behind, an exit's row is next."""
    gate, done = asyncio.Lock(), list[str]()
    behind = Behind(gate)
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(_write(behind, f"candles {number}", done))
        await asyncio.sleep(0)  # the first is through
        group.create_task(_write(gate, "money", done))
    assert done[:2] == ["candles 0", "money"]
    assert len(done) == 6


async def test_who_gives_up_before_the_gate_leaves_the_line() -> None:
    """A cancelled transaction must not hold up those that come after it."""
    gate, done = asyncio.Lock(), list[str]()
    behind = Behind(gate)
    async with gate:
        task = asyncio.create_task(_write(behind, "given up", done))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    async with asyncio.timeout(5):
        await _write(behind, "next", done)
    assert done == ["next"]


async def test_the_store_lets_money_in_first(tmp_path: Path) -> None:
    """Its two databases meet at one gate, and traces and candles stand behind at it."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'keel.db'}"
    store = await open_store(StoreOptions(url, tmp_path), FakeClock())
    begun: list[str] = []
    go = asyncio.Event()

    def work(name: str) -> Callable[[AsyncConnection], Any]:
        async def write(_: AsyncConnection) -> None:
            begun.append(name)
            await go.wait()

        return write

    try:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(store._behind.write(work("first")))
            await until(lambda: bool(begun), 5)
            group.create_task(store._behind.write(work("second")))
            await _turns()
            group.create_task(store._money.write(work("money")))
            await _turns()
            go.set()
    finally:
        await store.close()
    assert begun == ["first", "money", "second"]

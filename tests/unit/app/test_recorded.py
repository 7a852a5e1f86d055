"""What the API says of a trace that has gone to the archive, and of one that is there."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from bot.adapters.store import StoreOptions, open_store
from bot.app.recorded import RecordedTraces
from bot.domain.types import Ms, OrderStatus
from bot.ports import Changes
from bot.runtime.clock import SystemClock
from bot.web.encode import encode
from tests.unit.adapters.store.fakes import AT, TRACE, FakeClock, order, record


async def test_an_archived_trace_is_called_archived(tmp_path: Path) -> None:
    """With the file it is in; one that never was is still none."""
    options = StoreOptions(f"sqlite+aiosqlite:///{tmp_path / 'keel.db'}", tmp_path)
    store = await open_store(options, FakeClock())
    try:
        store.traces.put(record(1))
        await store.traces.flush()
        await store.archive.move_older(Ms(AT + 1000))
        view = RecordedTraces(store, "source", SystemClock(), tmp_path)
        found = await view.trace(record(1).trace_id)
        assert found is not None
        assert (found["archived"], found["file"]) == (True, "archive/traces-202609.jsonl.gz")
        assert await view.trace(record(2).trace_id) is None
    finally:
        await store.close()


async def test_an_average_of_its_orders_is_shown_to_the_eighth_decimal(tmp_path: Path) -> None:
    """The journal keeps what the division gave."""
    options = StoreOptions(f"sqlite+aiosqlite:///{tmp_path / 'keel.db'}", tmp_path)
    store = await open_store(options, FakeClock())
    try:
        third = Decimal(100) / 3
        kept = (order(1), order(2, OrderStatus.FILLED, average_price=third))
        store.traces.put(replace(record(1), trace_id=TRACE))
        await store.journal.record(Changes(orders=kept))
        view = RecordedTraces(store, "source", SystemClock(), tmp_path)
        found = await view.trace(TRACE)
        assert found is not None
        shown = json.loads(encode(found))["orders"]
        assert [one["average_price"] for one in shown] == [None, "33.33333333"]
        assert await store.journal.orders_of(TRACE) == kept
    finally:
        await store.close()

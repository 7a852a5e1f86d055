"""What the API says of a trace that has gone to the archive."""

from __future__ import annotations

from pathlib import Path

from bot.adapters.store import StoreOptions, open_store
from bot.app.recorded import RecordedTraces
from bot.domain.types import Ms
from bot.runtime.clock import SystemClock
from tests.unit.adapters.store.fakes import AT, FakeClock, record


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

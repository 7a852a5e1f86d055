"""What a stop could not write is counted, queue by queue."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bot.app.last_rows import write_behind
from bot.domain.errors import TransientError
from bot.pipeline.keep import CandleKeeper


class _Queue:
    """Traces or candles; `fault` is what a flush meets, None for a disk that never answers."""

    def __init__(self, rows: int, fault: Exception | None = None, *, well: bool = False) -> None:
        self.waiting = [None] * rows
        self._fault, self._well = fault, well

    def backlog(self) -> int:
        return len(self.waiting)

    async def flush(self) -> None:
        if self._fault is not None:
            raise self._fault
        if not self._well:
            await asyncio.Event().wait()
        self.waiting.clear()


async def left(traces: _Queue, candles: _Queue) -> list[Any]:
    with capture_logs() as lines:
        await write_behind(traces, cast(CandleKeeper, candles), 0.01)
    return list(lines)


async def test_nothing_is_said_where_all_was_written() -> None:
    """The usual stop."""
    assert await left(_Queue(3, well=True), _Queue(2, well=True)) == []


@pytest.mark.parametrize(
    ("traces", "candles", "counts", "error"),
    [
        (_Queue(3, well=True), _Queue(2), (0, 2), "no time left"),
        (_Queue(3), _Queue(2), (3, 2), "no time left"),
        (_Queue(4, TransientError("locked")), _Queue(1), (4, 1), "locked"),
    ],
)
async def test_what_was_not_written_is_counted(
    traces: _Queue, candles: _Queue, counts: tuple[int, int], error: str
) -> None:
    """Which queue, and how many: a replay that lacks bars has its reason in the log."""
    (line,) = await left(traces, candles)
    assert line["event"] == "stopped_before_all_was_written"
    assert (line["traces"], line["candle_windows"]) == counts
    assert line["error"] == error

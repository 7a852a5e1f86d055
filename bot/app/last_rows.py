"""The rows that a stop may leave behind: traces and candles, as far as its time allows.

Owns their order and the line that says what was not written; knows no other stage of a stop.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from bot.domain.errors import TransientError
from bot.pipeline.keep import CandleKeeper

log = structlog.get_logger(__name__)


class Traces(Protocol):
    """The part of the trace store that a stop needs."""

    async def flush(self) -> None: ...

    def backlog(self) -> int: ...


async def write_behind(traces: Traces, candles: CandleKeeper, limit_s: float) -> None:
    """Write both queues within `limit_s`, traces first, and tell how much of each is left.

    Traces that are left go to the spool; windows of candles are lost, and a decision on bars
    that nobody stored cannot be replayed.
    """
    try:
        async with asyncio.timeout(limit_s):
            await traces.flush()
            await candles.flush()
    except (TimeoutError, TransientError) as error:
        log.warning(
            "stopped_before_all_was_written",
            traces=traces.backlog(),
            candle_windows=len(candles.waiting),
            error=str(error) or "no time left",
        )

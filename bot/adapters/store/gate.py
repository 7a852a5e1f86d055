"""The gate before the writer of a database: money waits for one transaction at most.

Owns who goes first; knows no transaction.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Behind:
    """The way through `gate` for those who are in no hurry: one of them at a time stands at it.

    So whoever takes the gate itself (money, and an exit waits for its row) has nobody before it
    but the one who is through already.
    """

    def __init__(self, gate: asyncio.Lock) -> None:
        self._gate = gate
        self._line = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._line.acquire()
        try:
            await self._gate.acquire()
        except BaseException:
            self._line.release()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate.release()
        self._line.release()

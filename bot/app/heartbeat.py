"""Rows of the equity curve: one a beat and one at the stop; a closed trade brings its own.

Owns when they are written; the books know what the account is worth.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.app.parts import Parts
from bot.ports import Changes


class Heartbeat:
    """A service; breakers see equity with each beat, and their memory goes along."""

    def __init__(self, parts: Parts, known: asyncio.Event) -> None:
        """`known`: set when the account has been read, so that its worth is true."""
        self._parts = parts
        self._known = known

    async def run(self) -> None:
        """Service: beat until cancelled."""
        clock = self._parts.world.clock
        await self._known.wait()
        while True:
            with clock.busy():
                self.beat()
            await clock.pause(self._parts.world.pace.heartbeat_s)

    def beat(self) -> None:
        """One row now."""
        books = self._parts.books
        if books.priced:
            books.safety.equity(books.equity())
        point = (books.point(),) if books.priced else ()
        self._parts.rows.behind(replace(books.safety.changes(), equity=point))

    async def stop(self) -> None:
        """The last row, so that what is read later is what was left; then all rows are written."""
        if self._known.is_set():
            self._parts.rows.behind(Changes(equity=(self._parts.books.point(),)))
        await self._parts.rows.drained()

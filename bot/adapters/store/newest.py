"""Which bars are newer than everything that was ever traced or asked about.

Owns what is remembered of it, so that a bar just closed needs no question to the database; of
the numbers of an older bar it knows nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select

from bot.adapters.store.model_tables import decisions
from bot.adapters.store.rows import ReadRow
from bot.adapters.store.tables import traces
from bot.domain.types import Ms, Symbol

Ask = Callable[[Select[Any]], Awaitable[Sequence[ReadRow]]]

_CLOSE = "%Y%m%dT%H%M"  # of a trace id, `{symbol}-{bar close}-{n}`
_BYTEWISE = {"postgresql": "C"}  # SQLite compares so by itself


class NewestBars:
    """The newest bar by symbol: stored when the symbol is first asked for, or met since.

    Only this process writes traces, so what is newer than both is nowhere.
    """

    def __init__(self, ask: Ask, dialect: str) -> None:
        self._ask = ask
        self._collation = _BYTEWISE.get(dialect)
        self._stored: dict[Symbol, Ms] = {}
        self._met: dict[Symbol, Ms] = {}

    def met(self, symbol: Symbol, bar_close: Ms) -> None:
        """Know of a bar that is being traced."""
        self._met[symbol] = max(bar_close, self._met.get(symbol, Ms(0)))

    def knows(self, symbol: Symbol) -> bool:
        """Whether `look` was called for this symbol."""
        return symbol in self._stored

    def is_new(self, symbol: Symbol, bar_close: Ms) -> bool:
        """Whether nothing of this bar, or of a newer one, can be stored; no for a stranger."""
        if symbol not in self._stored:
            return False
        return bar_close > max(self._stored[symbol], self._met.get(symbol, Ms(0)))

    async def look(self, symbol: Symbol) -> None:
        """Ask for the newest bar of a symbol. Raises TransientError."""
        newest = select(func.max(traces.c.bar_close).label("at")).where(traces.c.symbol == symbol)
        traced = (await self._ask(newest))[0]["at"]
        ident = decisions.c.trace_id
        if self._collation is not None:
            ident = ident.collate(self._collation)  # type: ignore[assignment]
        asked = select(func.max(ident).label("id")).where(
            ident > f"{symbol}-", ident < f"{symbol}."
        )
        found = (await self._ask(asked))[0]["id"]
        self._stored[symbol] = Ms(max(traced or 0, _end_of_minute(symbol, found)))


def _end_of_minute(symbol: Symbol, ident: str | None) -> int:
    """The last ms of the minute that a trace id names; beyond all time for a strange one."""
    if ident is None:
        return 0
    close = ident.removeprefix(f"{symbol}-").partition("-")[0]
    try:
        at = datetime.strptime(close, _CLOSE).replace(tzinfo=UTC)
    except ValueError:
        return 2**62
    return int(at.timestamp() * 1000) + 59_999

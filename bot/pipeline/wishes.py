"""A person's wish to be out of a position: it stands until that is so, also after a crash.

Owns the wishes, their rows, and that nothing is opened meanwhile where one stands; sends no
order and follows none (`closing` does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from bot.domain.types import ExitReason, Ms, Symbol
from bot.pipeline.blocks import BlockKind
from bot.pipeline.books import Books
from bot.pipeline.rows import Rows
from bot.ports import Changes, Clock

log = structlog.get_logger(__name__)

STATE = "leave"  # how the state rows begin, before ":SYMBOL"
ALL = Symbol("*")  # in the place of a symbol: whatever is held, before that is known


@dataclass(frozen=True, slots=True)
class ExitWish:
    """To hold nothing of `symbol` any more; `by` is who asked, for the audit."""

    symbol: Symbol
    reason: ExitReason
    by: str
    asked_at: Ms


class ExitWishes:
    """One wish a symbol, each a state row.

    A symbol holds one position at a time and is closed to entries while its wish stands, so
    the wish is about that one position and about no later one.
    """

    def __init__(
        self, books: Books, rows: Rows, clock: Clock, compared: Callable[[], bool]
    ) -> None:
        """`compared`: whether books and venue were compared in this life."""
        self._books = books
        self._rows = rows
        self._clock = clock
        self._compared = compared
        self._standing: dict[Symbol, ExitWish] = {}
        self.some = asyncio.Event()  # set while at least one stands

    @property
    def standing(self) -> Mapping[Symbol, ExitWish]:
        """What is still wished, in the order of asking."""
        return self._standing

    @property
    def known(self) -> bool:
        """Whether the books tell what is held: a crash may have taken a fill along."""
        return self._compared()

    def recover(self, state: Mapping[str, object]) -> None:
        """Take up what an earlier life was asked for and did not end."""
        for key, value in state.items():
            kind, _, name = key.partition(":")
            if kind == STATE and isinstance(value, Mapping):
                self._take(_from_row(Symbol(name), value))
        if self._standing:
            log.warning("closing_goes_on", symbols=list(self._standing))

    def put(self, symbols: Iterable[Symbol], reason: ExitReason, by: str) -> None:
        """Wish to be out of these, where something is held or on its way, or may be.

        The first wish of a symbol stands.
        """
        concerned, now = self._books.symbols(), self._clock.now()
        wished = [
            ExitWish(symbol, reason, by, now)
            for symbol in symbols
            if (symbol in concerned or not self.known) and symbol not in self._standing
        ]
        for wish in wished:
            self._take(wish)
        self._write({wish.symbol: _row(wish) for wish in wished})

    def spread(self) -> None:
        """Once it is known what is held: the wish for all of it becomes one a symbol."""
        wish = self._standing.get(ALL)
        if wish is not None and self.known:
            self.put(self._books.symbols(), wish.reason, wish.by)
            self.end((ALL,))

    def end(self, symbols: Iterable[Symbol]) -> None:
        """These are done with, or no longer wished."""
        ended = [symbol for symbol in symbols if self._standing.pop(symbol, None) is not None]
        for symbol in ended:
            self._books.safety.blocks.lift_kind(symbol, BlockKind.LEAVING)
        self._write(dict.fromkeys(ended))
        if not self._standing:
            self.some.clear()

    def _take(self, wish: ExitWish) -> None:
        self._standing[wish.symbol] = wish
        if wish.symbol != ALL:  # nothing is opened anywhere before it is known what is held
            self._books.safety.block(wish.symbol, "is being closed by hand", BlockKind.LEAVING)
        self.some.set()

    def _write(self, rows: Mapping[Symbol, object]) -> None:
        if rows:
            state = {f"{STATE}:{symbol}": row for symbol, row in rows.items()}
            self._rows.behind(Changes(state=state))


def _row(wish: ExitWish) -> Mapping[str, object]:
    return {"reason": wish.reason.value, "by": wish.by, "asked_at": int(wish.asked_at)}


def _from_row(symbol: Symbol, row: Mapping[object, object]) -> ExitWish:
    asked_at = Ms(int(str(row["asked_at"])))
    return ExitWish(symbol, ExitReason(str(row["reason"])), str(row["by"]), asked_at)

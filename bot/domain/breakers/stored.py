"""The breaker book as JSON and back; what cannot be read is an error, never an empty book.

Owns the durable form; knows no measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bot.domain.breakers.book import BreakerBook, BreakerCode, OpenBreaker
from bot.domain.errors import InvariantBroken
from bot.domain.types import Ms


def book_to_mapping(book: BreakerBook) -> dict[str, object]:
    """JSON-able form, decimals as text."""
    return {
        "day": book.day,
        "day_open_equity": str(book.day_open_equity),
        "day_base": str(book.day_base),
        "peak": str(book.peak),
        "equity": str(book.equity),
        "losses_in_row": book.losses_in_row,
        "seen_at": int(book.seen_at),
        "last_opened": {code.value: int(at) for code, at in book.last_opened},
        "open": [
            {
                "code": breaker.code.value,
                "since": int(breaker.since),
                "until": None if breaker.until is None else int(breaker.until),
                "value": str(breaker.value),
                "threshold": str(breaker.threshold),
                "calm_s": breaker.calm_s,
            }
            for breaker in book.open
        ],
    }


def book_from_mapping(stored: Mapping[str, object]) -> BreakerBook:
    """Read a book back. Raises InvariantBroken when the mapping is not one.

    Books of before `day_base`, `seen_at`, `last_opened` and `calm_s` are read too.
    """
    try:
        rows = stored["open"]
        if not isinstance(rows, list):
            raise TypeError("`open` is not a list")
        day, opened = stored["day"], stored.get("last_opened", {})
        if not isinstance(opened, Mapping):
            raise TypeError("`last_opened` is not a mapping")
        opening = Decimal(str(stored["day_open_equity"]))
        return BreakerBook(
            day=None if day is None else int(str(day)),
            day_open_equity=opening,
            peak=Decimal(str(stored["peak"])),
            equity=Decimal(str(stored["equity"])),
            losses_in_row=int(str(stored["losses_in_row"])),
            open=tuple(_breaker_from(row) for row in rows),
            day_base=Decimal(str(stored.get("day_base", opening))),
            seen_at=Ms(int(str(stored.get("seen_at", 0)))),
            last_opened=tuple((BreakerCode(str(k)), Ms(int(str(at)))) for k, at in opened.items()),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InvariantBroken(f"stored breaker book cannot be read: {error!r}") from error


def _breaker_from(row: Mapping[str, object]) -> OpenBreaker:
    until, calm_s = row["until"], row.get("calm_s")
    return OpenBreaker(
        code=BreakerCode(str(row["code"])),
        since=Ms(int(str(row["since"]))),
        until=None if until is None else Ms(int(str(until))),
        value=Decimal(str(row["value"])),
        threshold=Decimal(str(row["threshold"])),
        calm_s=None if calm_s is None else float(str(calm_s)),
    )

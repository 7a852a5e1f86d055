"""Trading breakers: daily loss, drawdown, losses in a row. They stop entries, never exits.

Knows no clock and no database: a book and an observation give a new book and its events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from bot.domain.errors import InvariantBroken
from bot.domain.types import ZERO, Ms, Trade

DAY_MS = 86_400_000


class BreakerCode(StrEnum):
    """Which breaker."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    LOSSES_IN_ROW = "losses_in_row"
    VOLATILITY = "volatility"
    DATA = "data"
    API_ERRORS = "api_errors"


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When the account's breakers open. Fractions, not percent; cool-down in market ms."""

    daily_loss_frac: float
    drawdown_frac: float
    losses_in_row: int
    cooldown_ms: int


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A breaker that holds; `until` None: only a person closes it."""

    code: BreakerCode
    since: Ms
    until: Ms | None
    value: Decimal
    threshold: Decimal


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """One opening or closing, as a row of `circuit_breaker_events`."""

    at: Ms
    event_type: str  # BreakerCode
    trigger_value: Decimal
    threshold_value: Decimal
    action_taken: str  # ENTRIES_STOPPED or ENTRIES_RESUMED


ENTRIES_STOPPED = "entries_stopped"
ENTRIES_RESUMED = "entries_resumed"


@dataclass(frozen=True, slots=True)
class BreakerBook:
    """What the breakers remember; durable. `day` counts UTC days since the epoch."""

    day: int | None = None
    day_open_equity: Decimal = ZERO
    peak: Decimal = ZERO
    equity: Decimal = ZERO
    losses_in_row: int = 0
    open: tuple[OpenBreaker, ...] = ()


Observed = tuple[BreakerBook, tuple[BreakerEvent, ...]]


def observe_equity(book: BreakerBook, equity: Decimal, at: Ms, limits: BreakerLimits) -> Observed:
    """Take the account's equity: rolls the day at 00:00 UTC, opens daily loss and drawdown."""
    book, events = _rolled(book, equity, at)
    book = replace(book, equity=equity, peak=max(book.peak, equity))
    daily = _fall(book.day_open_equity, equity)
    deep = _fall(book.peak, equity)
    midnight = Ms((at // DAY_MS + 1) * DAY_MS)
    for code, value, limit, until in (
        (BreakerCode.DAILY_LOSS, daily, limits.daily_loss_frac, midnight),
        (BreakerCode.DRAWDOWN, deep, limits.drawdown_frac, None),
    ):
        threshold = Decimal(repr(limit))
        if value >= threshold:
            book, opened = trip(book, code, value, threshold, at, until)
            events = (*events, *opened)
    return book, events


def observe_trade(book: BreakerBook, trade: Trade, limits: BreakerLimits) -> Observed:
    """Take a closed trade, once: the last of too many losses in a row starts the cool-down.

    The count starts anew with the cool-down; a trade without a loss ends the row.
    """
    if trade.net_pnl >= 0:
        return replace(book, losses_in_row=0), ()
    losses = book.losses_in_row + 1
    if losses < limits.losses_in_row:
        return replace(book, losses_in_row=losses), ()
    until = Ms(trade.closed_at + limits.cooldown_ms)
    return trip(
        replace(book, losses_in_row=0),
        BreakerCode.LOSSES_IN_ROW,
        Decimal(losses),
        Decimal(limits.losses_in_row),
        trade.closed_at,
        until,
    )


def trip(
    book: BreakerBook,
    code: BreakerCode,
    value: Decimal,
    threshold: Decimal,
    at: Ms,
    until: Ms | None,
) -> Observed:
    """Open a breaker; one that holds already is kept, and only ever prolonged."""
    held = next((breaker for breaker in book.open if breaker.code is code), None)
    if held is not None and _holds(held, at):
        longer = replace(held, until=_later(held.until, until))
        return replace(book, open=(*_without(book, code), longer)), ()
    opened = OpenBreaker(code, at, until, value, threshold)
    event = BreakerEvent(at, code.value, value, threshold, ENTRIES_STOPPED)
    return replace(book, open=(*_without(book, code), opened)), (event,)


def sweep(book: BreakerBook, at: Ms) -> Observed:
    """Close the breakers whose time is over, with an event for each."""
    over = [breaker for breaker in book.open if not _holds(breaker, at)]
    kept = tuple(breaker for breaker in book.open if _holds(breaker, at))
    return replace(book, open=kept), tuple(_closing(breaker, at) for breaker in over)


def reset(book: BreakerBook, code: BreakerCode, at: Ms) -> Observed:
    """Close a breaker by hand; what it measures starts anew from the equity of now."""
    held = next((breaker for breaker in book.open if breaker.code is code), None)
    if held is None:
        return book, ()
    book = replace(book, open=_without(book, code))
    match code:
        case BreakerCode.DAILY_LOSS:
            book = replace(book, day_open_equity=book.equity)
        case BreakerCode.DRAWDOWN:
            book = replace(book, peak=book.equity)
        case BreakerCode.LOSSES_IN_ROW:
            book = replace(book, losses_in_row=0)
        case BreakerCode.VOLATILITY | BreakerCode.DATA | BreakerCode.API_ERRORS:
            book = replace(book)
    return book, (_closing(held, at),)


def open_breakers(book: BreakerBook, now: Ms) -> tuple[OpenBreaker, ...]:
    """The breakers that hold at `now`, in the order of their codes."""
    held = [breaker for breaker in book.open if _holds(breaker, now)]
    return tuple(sorted(held, key=lambda breaker: breaker.code.value))


def book_to_mapping(book: BreakerBook) -> dict[str, object]:
    """JSON-able form, decimals as text."""
    return {
        "day": book.day,
        "day_open_equity": str(book.day_open_equity),
        "peak": str(book.peak),
        "equity": str(book.equity),
        "losses_in_row": book.losses_in_row,
        "open": [
            {
                "code": breaker.code.value,
                "since": int(breaker.since),
                "until": None if breaker.until is None else int(breaker.until),
                "value": str(breaker.value),
                "threshold": str(breaker.threshold),
            }
            for breaker in book.open
        ],
    }


def book_from_mapping(stored: Mapping[str, object]) -> BreakerBook:
    """Read a book back. Raises InvariantBroken when the mapping is not one."""
    try:
        rows = stored["open"]
        if not isinstance(rows, list):
            raise TypeError("`open` is not a list")
        day = stored["day"]
        return BreakerBook(
            day=None if day is None else int(str(day)),
            day_open_equity=Decimal(str(stored["day_open_equity"])),
            peak=Decimal(str(stored["peak"])),
            equity=Decimal(str(stored["equity"])),
            losses_in_row=int(str(stored["losses_in_row"])),
            open=tuple(_breaker_from(row) for row in rows),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InvariantBroken(f"stored breaker book cannot be read: {error!r}") from error


def _breaker_from(row: Mapping[str, object]) -> OpenBreaker:
    until = row["until"]
    return OpenBreaker(
        code=BreakerCode(str(row["code"])),
        since=Ms(int(str(row["since"]))),
        until=None if until is None else Ms(int(str(until))),
        value=Decimal(str(row["value"])),
        threshold=Decimal(str(row["threshold"])),
    )


def _rolled(book: BreakerBook, equity: Decimal, at: Ms) -> Observed:
    """Close what is over and begin the UTC day of `at`; time never runs back."""
    book, events = sweep(book, at)
    day = at // DAY_MS
    if book.day is None or day > book.day:
        book = replace(book, day=day, day_open_equity=equity)
    return book, events


def _fall(start: Decimal, now: Decimal) -> Decimal:
    """Loss from `start` as a fraction of it; no start, no loss."""
    return max(ZERO, (start - now) / start) if start > 0 else ZERO


def _holds(breaker: OpenBreaker, now: Ms) -> bool:
    return breaker.until is None or now < breaker.until


def _later(one: Ms | None, other: Ms | None) -> Ms | None:
    return None if one is None or other is None else max(one, other)


def _without(book: BreakerBook, code: BreakerCode) -> tuple[OpenBreaker, ...]:
    return tuple(breaker for breaker in book.open if breaker.code is not code)


def _closing(breaker: OpenBreaker, at: Ms) -> BreakerEvent:
    return BreakerEvent(at, breaker.code.value, breaker.value, breaker.threshold, ENTRIES_RESUMED)

"""The breaker book: which trading breakers hold, since when, and what lifts each.

Owns opening and closing and the event that each of them is; knows neither what is measured
(`measures`) nor any clock: time comes in with every call.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from bot.domain.types import ZERO, Ms

DAY_MS = 86_400_000
ENTRIES_STOPPED = "entries_stopped"
ENTRIES_RESUMED = "entries_resumed"


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
    """When the breakers open. Fractions, not percent; `_ms` market time, `_s` machine time.

    The defaults are spec 05's, the same for every profile; `stale_*` see ADR 13.
    """

    daily_loss_frac: float
    drawdown_frac: float
    losses_in_row: int
    cooldown_ms: int
    volatility_x: float = 3.0  # 1h ATR % over its own median
    volatility_cooldown_ms: int = 3_600_000  # one bar of it
    stale_share: float = 0.5  # of the watched symbols
    stale_cooldown_s: float = 30.0
    api_errors: int = 5
    api_window_s: float = 60.0
    api_cooldown_s: float = 120.0


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A breaker that holds.

    `until` (market time) closes it, or `calm_s` machine seconds without its cause; with
    neither only a person does. `calm_from` is machine time of this process and is not kept:
    after a restart the calm begins anew, so it never ends early.
    """

    code: BreakerCode
    since: Ms
    until: Ms | None
    value: Decimal
    threshold: Decimal
    calm_s: float | None = None
    calm_from: float | None = field(default=None, compare=False)

    @property
    def by_hand(self) -> bool:
        """Whether only a person lifts it."""
        return self.until is None and self.calm_s is None


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """A row of `circuit_breaker_events`: written at the opening, and again when it closed.

    `at` is the opening; with `event_type` it names the row. `action_taken` is the last step.
    """

    at: Ms
    event_type: str  # BreakerCode
    trigger_value: Decimal
    threshold_value: Decimal
    action_taken: str  # ENTRIES_STOPPED, then ENTRIES_RESUMED
    cleared_at: Ms | None = None


@dataclass(frozen=True, slots=True)
class BreakerBook:
    """What the breakers remember; durable. `day` counts UTC days since the epoch.

    `day_open_equity` and `peak` are what losses are a fraction of: a transfer scales them
    (see `measures.transferred`). `day_base` is the day's opening in USD with the transfers
    since added: equity less it is the day's profit. `seen_at` is the newest market time at
    which the book was looked at, `last_opened` the newest opening of each breaker.
    """

    day: int | None = None
    day_open_equity: Decimal = ZERO
    peak: Decimal = ZERO
    equity: Decimal = ZERO
    losses_in_row: int = 0
    open: tuple[OpenBreaker, ...] = ()
    day_base: Decimal = ZERO
    seen_at: Ms = Ms(0)
    last_opened: tuple[tuple[BreakerCode, Ms], ...] = ()


Observed = tuple[BreakerBook, tuple[BreakerEvent, ...]]


def trip(
    book: BreakerBook,
    code: BreakerCode,
    value: Decimal,
    threshold: Decimal,
    at: Ms,
    until: Ms | None,
    calm_s: float | None = None,
) -> Observed:
    """Open a breaker; one that holds already is kept, and only ever prolonged."""
    held = holding(book, code)
    if held is not None and not _over(held, at):
        longer = replace(
            held, until=_later(held.until, until), calm_s=_longer(held, calm_s), calm_from=None
        )
        return replace(book, open=(*_without(book, code), longer)), ()
    before = () if held is None else (closing(held, at),)
    # Two openings never share a row, not even within one millisecond.
    last = dict(book.last_opened)
    since = last[code] = Ms(max(at, last.get(code, -1) + 1))
    opened = OpenBreaker(code, since, until, value, threshold, calm_s)
    event = BreakerEvent(since, code.value, value, threshold, ENTRIES_STOPPED)
    book = replace(
        book, open=(*_without(book, code), opened), last_opened=tuple(sorted(last.items()))
    )
    return book, (*before, event)


def sweep(book: BreakerBook, at: Ms) -> Observed:
    """Close the breakers whose market time is over, with an event for each."""
    over = [breaker for breaker in book.open if _over(breaker, at)]
    kept = tuple(breaker for breaker in book.open if not _over(breaker, at))
    return replace(book, open=kept), tuple(closing(breaker, at) for breaker in over)


def calm(book: BreakerBook, code: BreakerCode, machine_s: float, at: Ms) -> Observed:
    """The cause of `code` is away now: count the calm, and close the breaker when it is over.

    `machine_s` is machine time; one that runs backwards starts the calm anew.
    """
    held = holding(book, code)
    if held is None or held.calm_s is None:
        return book, ()
    began = held.calm_from
    if began is None or began > machine_s:
        counting = replace(held, calm_from=machine_s)
        return replace(book, open=(*_without(book, code), counting)), ()
    if machine_s - began < held.calm_s:
        return book, ()
    return replace(book, open=_without(book, code)), (closing(held, at),)


def reset(book: BreakerBook, code: BreakerCode, at: Ms) -> Observed:
    """Close a breaker by hand; what it measures starts anew from the equity of now."""
    held = holding(book, code)
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
    return book, (closing(held, at),)


def holding(book: BreakerBook, code: BreakerCode) -> OpenBreaker | None:
    """The open breaker of this code, also one whose time is over and that nobody swept yet."""
    return next((breaker for breaker in book.open if breaker.code is code), None)


def open_breakers(book: BreakerBook, now: Ms) -> tuple[OpenBreaker, ...]:
    """The breakers that hold at `now`, in the order of their codes."""
    held = [breaker for breaker in book.open if not _over(breaker, now)]
    return tuple(sorted(held, key=lambda breaker: breaker.code.value))


def closing(breaker: OpenBreaker, at: Ms) -> BreakerEvent:
    """The row of an opening, closed at `at` (never before it was opened)."""
    return BreakerEvent(
        breaker.since,
        breaker.code.value,
        breaker.value,
        breaker.threshold,
        ENTRIES_RESUMED,
        Ms(max(at, breaker.since)),
    )


def _over(breaker: OpenBreaker, now: Ms) -> bool:
    return breaker.until is not None and now >= breaker.until


def _later(one: Ms | None, other: Ms | None) -> Ms | None:
    return None if one is None or other is None else max(one, other)


def _longer(held: OpenBreaker, calm_s: float | None) -> float | None:
    """Prolonged by an opening without calm, a person must lift it; never the other way."""
    if held.calm_s is None or calm_s is None:
        return None
    return max(held.calm_s, calm_s)


def _without(book: BreakerBook, code: BreakerCode) -> tuple[OpenBreaker, ...]:
    return tuple(breaker for breaker in book.open if breaker.code is not code)

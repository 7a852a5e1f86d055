"""What opens the trading breakers: equity, trades, and how the world outside behaves.

Owns the comparison of a reading with its limit; knows no clock, no venue and no row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

from bot.domain.breakers.book import (
    DAY_MS,
    BreakerBook,
    BreakerCode,
    BreakerLimits,
    Observed,
    calm,
    sweep,
    trip,
)
from bot.domain.types import ZERO, Ms, Trade


@dataclass(frozen=True, slots=True)
class Readings:
    """The world at one look.

    `stale_share`: fraction of the watched symbols whose price or newest bar is too old; 0
    with nothing watched. `api_errors`: failed requests within the window. `volatility_x`:
    the middle symbol's 1h ATR % over its median, None while no symbol has the bars.
    """

    stale_share: float = 0.0
    api_errors: int = 0
    volatility_x: float | None = None


def begun(book: BreakerBook, equity: Decimal) -> BreakerBook:
    """Measure losses from `equity`, as on the first day: what was seen before was no balance."""
    return replace(book, day_open_equity=equity, day_base=equity, peak=equity, equity=equity)


def observe_equity(book: BreakerBook, equity: Decimal, at: Ms, limits: BreakerLimits) -> Observed:
    """Take the account's equity: rolls the day at 00:00 UTC, opens daily loss and drawdown."""
    book, events = _rolled(book, equity, at)
    book = replace(book, equity=equity, peak=max(book.peak, equity))
    midnight = Ms((book.seen_at // DAY_MS + 1) * DAY_MS)
    for code, value, limit, until in (
        (BreakerCode.DAILY_LOSS, day_loss(book), limits.daily_loss_frac, midnight),
        (BreakerCode.DRAWDOWN, drawdown(book), limits.drawdown_frac, None),
    ):
        threshold = Decimal(repr(limit))
        if value >= threshold:
            book, opened = trip(book, code, value, threshold, book.seen_at, until)
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


def observe_world(
    book: BreakerBook, seen: Readings, at: Ms, machine_s: float, limits: BreakerLimits
) -> Observed:
    """Take a look at the world: data and API errors close after a calm of machine time.

    Volatility holds for its cool-down of market time after it was last seen over its limit.
    """
    book, events = sweep(book, at)
    for code, value, limit, calm_s in (
        (BreakerCode.DATA, seen.stale_share, limits.stale_share, limits.stale_cooldown_s),
        (BreakerCode.API_ERRORS, seen.api_errors, limits.api_errors, limits.api_cooldown_s),
    ):
        if value > 0 and value >= limit:
            step = trip(book, code, _plain(value), _plain(limit), at, None, calm_s)
        else:
            step = calm(book, code, machine_s, at)
        book, events = step[0], (*events, *step[1])
    ratio = seen.volatility_x
    # A ratio that is no number opens too: what cannot be compared is not calm.
    if ratio is not None and not ratio <= limits.volatility_x:
        until = Ms(at + limits.volatility_cooldown_ms)
        found = _plain(round(ratio, 4)) if math.isfinite(ratio) else ZERO
        over = _plain(limits.volatility_x)
        book, opened = trip(book, BreakerCode.VOLATILITY, found, over, at, until)
        events = (*events, *opened)
    return book, events


def transferred(book: BreakerBook, usd: Decimal) -> BreakerBook:
    """Take a deposit (or withdrawal, negative) out of the measures: it is no profit or loss.

    What losses are a fraction of is scaled as equity is, as the value of a fund's unit would
    be: a fall of 10 % stays a fall of 10 %, whatever is added or taken. Where nothing is left
    the measures begin anew.
    """
    after = book.equity + usd
    if book.equity <= 0 or after <= 0:
        return begun(book, max(ZERO, after))
    factor = after / book.equity
    return replace(
        book,
        day_open_equity=book.day_open_equity * factor,
        peak=book.peak * factor,
        equity=after,
        day_base=book.day_base + usd,
    )


def day_loss(book: BreakerBook) -> Decimal:
    """Loss since 00:00 UTC as a fraction of the day's opening equity; never negative."""
    return _fall(book.day_open_equity, book.equity)


def drawdown(book: BreakerBook) -> Decimal:
    """Fall from the highest equity as a fraction of it; never negative."""
    return _fall(book.peak, book.equity)


def _rolled(book: BreakerBook, equity: Decimal, at: Ms) -> Observed:
    """Close what is over and begin the UTC day of `at`; time never runs back."""
    at = Ms(max(at, book.seen_at))
    book, events = sweep(replace(book, seen_at=at), at)
    day = at // DAY_MS
    if book.day is None or day > book.day:
        book = replace(book, day=day, day_open_equity=equity, day_base=equity)
    return book, events


def _fall(start: Decimal, now: Decimal) -> Decimal:
    """Loss from `start` as a fraction of it; no start, no loss."""
    return max(ZERO, (start - now) / start) if start > 0 else ZERO


def _plain(value: float) -> Decimal:
    return Decimal(repr(value))

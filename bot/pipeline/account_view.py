"""The account as sizing and the risk gate see it: the books at the prices of now.

Owns how equity, free margin and exposure are read off the books; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.domain.portfolio import PortfolioView, sizing_capital
from bot.domain.types import ZERO, Ms, Symbol
from bot.pipeline.books import Books

HOUR_MS = 3_600_000


def account_view(
    books: Books, now: Ms, correlations: Iterable[tuple[Symbol, Symbol, float]] = ()
) -> PortfolioView:
    """Take it at `now`; `correlations` are those that matter for the wish at hand."""
    worth, safety = books.equity(), books.safety
    used = sum(
        (
            position.quantity * position.entry_price / _leverage(books, symbol)
            for symbol, position in books.positions.items()
        ),
        ZERO,
    )
    return PortfolioView(
        equity=worth,
        capital=sizing_capital(books.initial, worth, books.ledger.net, books.closed_trades),
        free_margin=worth - used,
        positions=dict(books.positions),
        reservations=tuple(books.reservations.values()),
        entry_times=tuple(at for at in books.entry_times if now - at < HOUR_MS),
        closed_trades=books.closed_trades,
        blocked=dict(safety.blocked),
        state=safety.state,
        breakers_open=safety.open_codes(),
        gauges=safety.gauges(),
        correlations=tuple(correlations),
    )


def _leverage(books: Books, symbol: Symbol) -> int:
    plan = books.plans.get(symbol)
    return plan.leverage if plan is not None else 1

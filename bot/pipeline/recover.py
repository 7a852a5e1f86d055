"""What a start makes of the journal: the books as they were when the process ended.

Owns the way from rows to memory; asks the venue nothing (`reconcile` does, right after).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from bot.domain import orders as life
from bot.domain.portfolio import Ledger
from bot.domain.protection import guard_for, guard_from_mapping
from bot.domain.types import Leg, Ms, OrderStatus, Symbol
from bot.pipeline.books import Books
from bot.pipeline.plans import plan_from_mapping
from bot.ports import Recovered

IN_DOUBT = (OrderStatus.NEW, OrderStatus.SENT, OrderStatus.UNKNOWN)


def restore(books: Books, recovered: Recovered, now: Ms, expires_at: int) -> None:
    """Fill empty books from the journal.

    An order that was written but never answered is UNKNOWN until the venue says what became
    of it; its symbol is closed to entries that long. `expires_at` (signing time, ms) is the
    latest moment at which such an order may still reach the venue.
    """
    state = recovered.state
    books.safety.recover(state)
    baseline = state.get("baseline")
    books.ledger = Ledger(
        baseline=Decimal(str(baseline)) if baseline is not None else books.initial,
        realised=recovered.realised,
        fees=recovered.fees,
        funding=recovered.funding,
    )
    books.baseline_known = baseline is not None
    for position in recovered.positions:
        books.positions[position.symbol] = position
    _restore_state(books, state)
    for order in recovered.open_orders:
        if order.status in IN_DOUBT:
            doubtful = replace(life.unknown(order, now), expires_at=expires_at)
            books.remember((doubtful,))
            if order.leg is Leg.ENTRY:
                why = f"unknown outcome of entry {order.cloid}"
                books.safety.block(order.symbol, why)
        else:
            books.remember((order,))
    for fill in recovered.fills:
        books.fill_keys.add((fill.symbol, fill.at, fill.fill_id))
    books.last_fill_at = recovered.last_fill_at
    books.last_funding_at = recovered.last_funding_at
    books.closed_trades = recovered.closed_trades
    books.trades.extend(recovered.recent_trades)


def _restore_state(books: Books, state: Mapping[str, object]) -> None:
    for key, value in state.items():
        kind, _, name = key.partition(":")
        symbol = Symbol(name)
        match kind:
            case "plan" if value is not None:
                books.plans[symbol] = plan_from_mapping(value)
            case "guard" if isinstance(value, Mapping) and symbol in books.positions:
                books.guards[symbol] = guard_from_mapping(value)
            case "decided" if value is not None:
                books.decided[symbol] = Ms(int(str(value)))
            case "entries" if isinstance(value, list):
                books.entry_times.extend(Ms(int(at)) for at in value)
    for symbol, position in books.positions.items():
        plan = books.plans.get(symbol)
        if symbol not in books.guards and plan is not None:
            books.guards[symbol] = guard_for(position, plan.stop, plan.target)

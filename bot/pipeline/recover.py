"""What a start makes of the journal: the books as they were when the process ended.

Owns the way from rows to memory; asks the venue nothing (`reconcile` does, right after).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from bot.domain import orders as life
from bot.domain.portfolio import Ledger, Reservation
from bot.domain.protection import guard_for, guard_from_mapping
from bot.domain.types import Leg, Ms, Order, OrderStatus, Symbol, TraceId
from bot.pipeline.blocks import BlockKind
from bot.pipeline.books import Books
from bot.pipeline.plans import plan_from_mapping
from bot.ports import Recovered

FILL_OVERLAP_MS = 60_000  # of machine time: so late may one channel be behind another
RECENT_FILLS = 500  # bot.ports.Recovered: with so many there may be older ones
ATTEMPTS_A_LIFE = 1_000  # more than any position needs between two starts
IN_DOUBT = (OrderStatus.NEW, OrderStatus.SENT, OrderStatus.UNKNOWN)


def restore(
    books: Books,
    recovered: Recovered,
    now: Ms,
    expires_at: int,
    past: Iterable[Order] = (),
) -> None:
    """Fill empty books from the journal.

    An order that was written but never answered is UNKNOWN until the venue says what became
    of it; its symbol is closed to entries that long, and its exposure stays set aside.
    `expires_at` (signing time, ms) is the latest moment at which such an order may still
    reach the venue. `past`: orders of the open positions' traces that are over; without them
    an attempt number, and so a client id, would be used twice.
    """
    books.remember(tuple(past))
    state = recovered.state
    books.safety.recover(state, recovered.breaker_events)
    books.first_attempt = ATTEMPTS_A_LIFE * lives(recovered)
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
            # Ours may have been wrong when it was signed: the later of both ends counts.
            latest = max(order.expires_at or 0, expires_at)
            doubtful = replace(life.unknown(order, now), expires_at=latest)
            books.remember((doubtful,))
            if order.leg is Leg.ENTRY:
                why = f"unknown outcome of entry {order.cloid}"
                books.safety.block(order.symbol, why, BlockKind.UNKNOWN_ENTRY, order.cloid)
        else:
            books.remember((order,))
        if order.leg is Leg.ENTRY:
            books.reservations[order.cloid] = _reservation(books, order)
    for fill in recovered.fills:
        books.fill_keys.add((fill.symbol, fill.at, fill.fill_id))
    # Channels are not in step (hyperliquid.md 9): an earlier fill may have come later, unwritten.
    # A first start does not ask for what the account did before Keel.
    orders = [order.created_at for order in recovered.open_orders]
    # Nor may the first fill ever be lost that a crash took along after its order was over.
    since = recovered.last_fill_at or min([*orders, *books.entry_times], default=now)
    books.fills_from = max(_remembered_from(recovered), Ms(since - fill_overlap(books)))
    # Before the first payment nothing says which hours are in: from the oldest trade known on.
    began = [position.opened_at for position in recovered.positions]
    began += [trade.opened_at for trade in recovered.recent_trades]
    books.paid.recover(state, recovered.last_funding_at, Ms(min([since, *began])))
    books.closed_trades = recovered.closed_trades
    books.trades.extend(recovered.recent_trades)


def fill_overlap(books: Books) -> int:
    """Market ms before the newest known fill in which an older one may have come later."""
    return int(FILL_OVERLAP_MS * books.safety.speed)


def _remembered_from(recovered: Recovered) -> Ms:
    """From when on every fill is known that was folded: an older one told again counts twice."""
    if len(recovered.fills) >= RECENT_FILLS:
        return Ms(recovered.fills[0].at + 1)
    return Ms(0)


def lives(recovered: Recovered) -> int:
    """How often this process was started before.

    Orders that only reduce may leave before their row; a kill then takes the row along, and a
    number counted from rows would name two orders alike. Each life has numbers of its own.
    """
    return int(str(recovered.state.get("lives") or 0))


def _reservation(books: Books, order: Order) -> Reservation:
    """The whole of an entry until it is over: a fill of it may be on its way."""
    plan = books.plans.get(order.symbol)
    planned = plan is not None and plan.entry_cloid == order.cloid
    notional = order.quantity * order.limit
    return Reservation(
        symbol=order.symbol,
        side=order.side,
        notional=notional,
        risk_usd=abs(order.limit - plan.stop) * order.quantity if plan and planned else notional,
        margin=notional / plan.leverage if plan and planned else notional,
    )


def _restore_state(books: Books, state: Mapping[str, object]) -> None:
    for key, value in state.items():
        kind, _, name = key.partition(":")
        symbol = Symbol(name)
        match kind:
            case "plan" if value is not None:
                books.plans[symbol] = plan_from_mapping(value)
            case "guard" if isinstance(value, Mapping) and symbol in books.positions:
                books.guards[symbol] = guard_from_mapping(value)
            case "intent" if value is not None:
                books.intents[symbol] = TraceId(str(value))
            case "decided" if value is not None:
                books.decided[symbol] = Ms(int(str(value)))
            case "entries" if isinstance(value, list):
                books.entry_times.extend(Ms(int(at)) for at in value)
    for symbol, position in books.positions.items():
        plan = books.plans.get(symbol)
        if symbol not in books.guards and plan is not None:
            books.guards[symbol] = guard_for(position, plan.stop, plan.target)

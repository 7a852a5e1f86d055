"""What Keel knows of its money: orders, positions, guards, ledger; folded from what is true.

Owns the truth in memory and queues every change of it for the journal; sends nothing and
decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import structlog

from bot.domain import orders as life
from bot.domain.errors import InvariantBroken
from bot.domain.portfolio import (
    Ledger,
    Opening,
    Reservation,
    apply_fill,
    apply_funding,
    booked,
    equity,
    own_share,
    payer,
    to_micro_cents,
    written_off,
)
from bot.domain.protection import Guard, guard_for, guard_to_mapping
from bot.domain.sizing import exact
from bot.domain.types import (
    Cloid,
    Fill,
    Funding,
    Leg,
    Ms,
    Order,
    Position,
    Side,
    Symbol,
    TraceId,
    Trade,
    TradingState,
    VenueOrder,
)
from bot.pipeline.blocks import BlockKind
from bot.pipeline.endings import why_closed
from bot.pipeline.facts import Facts
from bot.pipeline.paid import Paid
from bot.pipeline.plans import Plan, plan_to_mapping
from bot.pipeline.pulse import Pulse
from bot.pipeline.recent import RecentKeys
from bot.pipeline.rows import Rows
from bot.pipeline.safety import Safety
from bot.pipeline.shelf import OrderShelf
from bot.ports import Changes, Clock, EquityPoint, Feed

log = structlog.get_logger(__name__)

RECENT_TRADES = 200
EXIT_ROW_WAIT_S = 0.020  # spec 05, "The desk"

FillKey = tuple[Symbol, Ms, int]


class Books(OrderShelf):
    """Orders, positions and ledger. Every method folds at once and lets the rows follow."""

    def __init__(
        self, rows: Rows, clock: Clock, feed: Feed, facts: Facts, safety: Safety, initial: Decimal
    ) -> None:
        super().__init__()
        self._rows = rows
        self._clock = clock
        self._feed = feed
        self._facts = facts
        self.safety = safety
        self.initial = initial
        self.ledger = Ledger(initial)
        self.baseline_known = False
        self.positions: dict[Symbol, Position] = {}
        self.guards: dict[Symbol, Guard] = {}
        self.plans: dict[Symbol, Plan] = {}
        self.reservations: dict[Cloid, Reservation] = {}
        self._reserved_at: dict[Cloid, Ms] = {}
        self.decided: dict[Symbol, Ms] = {}
        self.intents: dict[Symbol, TraceId] = {}  # of the last entry, as of the start
        self.entry_times: deque[Ms] = deque(maxlen=1_000)
        self.trades: deque[Trade] = deque(maxlen=RECENT_TRADES)
        self.closed_trades = 0
        # From when to ask the venue: only a complete answer moves it, never a live event.
        self.fills_from = Ms(0)
        self.in_doubt = False  # a fill came that is not ours, or fits only after another one
        self.gone: set[Symbol] = set()  # held by the books, not by the venue
        self.dust: set[Symbol] = set()  # held, and less than a lot
        self.last_fill_at = Ms(0)  # the newest fill that was folded
        self.fill_keys: RecentKeys[FillKey] = RecentKeys()
        self.paid = Paid()
        self.pulse = Pulse(clock)

    # --- what is known --------------------------------------------------------------

    def symbols(self) -> tuple[Symbol, ...]:
        """Symbols that are held, or will be if an entry on its way fills."""
        reserved = (taken.symbol for taken in self.reservations.values())
        return tuple(dict.fromkeys((*self.positions, *reserved)))

    def beyond_orders(self, symbol: Symbol) -> bool:
        """Whether no order could do anything for what we hold: each would be refused."""
        return symbol in self.gone or symbol in self.dust

    @property
    def priced(self) -> bool:
        """Whether a mark of everything held was told; without one equity is a guess."""
        able = (symbol for symbol in self.positions if not self.beyond_orders(symbol))
        return all(self._feed.market(symbol) is not None for symbol in able)

    def marks(self) -> dict[Symbol, Decimal]:
        """Mark prices of the open positions; the entry price where none came yet."""
        found: dict[Symbol, Decimal] = {}
        for symbol, position in self.positions.items():
            market = self._feed.market(symbol)
            found[symbol] = exact(market.mark) if market is not None else position.entry_price
        return found

    def equity(self) -> Decimal:
        """Worth of the account at the marks, USD."""
        return to_micro_cents(equity(self.ledger, self.positions.values(), self.marks()))

    def point(self) -> EquityPoint:
        """Worth of the account now, as the curve keeps it."""
        worth, cash = self.equity(), self.ledger.cash
        return EquityPoint(self._clock.now(), worth, cash, worth - cash, self.safety.book.peak)

    # --- what we are about to do ------------------------------------------------------

    async def write_ahead(self, orders: tuple[Order, ...], plan: Plan | None = None) -> None:
        """Make orders durable before they are sent. Raises TransientError when they are not."""
        state: dict[str, object] = {}
        if plan is not None:
            state[f"plan:{plan.symbol}"] = plan_to_mapping(plan)
            state[f"intent:{plan.symbol}"] = str(plan.trace_id)
        await self._rows.ahead(Changes(orders=orders, state=state or None))
        self.remember(orders, plan)

    async def write_soon(self, orders: tuple[Order, ...]) -> None:
        """Know orders that only reduce; wait 20 ms for the row at most, then let them go."""
        self.remember(orders)
        self._rows.behind(Changes(orders=orders))
        try:
            async with asyncio.timeout(EXIT_ROW_WAIT_S):
                await self._rows.drained()
        except TimeoutError:
            log.warning("exit_before_its_row", cloids=[order.cloid for order in orders])

    def remember(self, orders: tuple[Order, ...], plan: Plan | None = None) -> None:
        """Know these orders, so that the venue's events find them."""
        for order in orders:
            self._keep(order)
        if plan is not None:
            self.plans[plan.symbol] = plan

    def follow_up(self, orders: tuple[Order, ...]) -> None:
        """Take orders as they are now; the rows follow."""
        for order in orders:
            self._keep(order)
            if order.leg is Leg.ENTRY and order.status.terminal:
                self._entry_over(order)
        self._rows.behind(Changes(orders=orders))
        self.pulse.beat()

    def reserve(self, cloid: Cloid, reservation: Reservation, decided_bar: Ms) -> None:
        """Set exposure aside for an entry on its way, and count it as an entry of this hour."""
        self.reservations[cloid] = reservation
        self.decided[reservation.symbol] = decided_bar
        self._reserved_at[cloid] = self._clock.now()
        self.entry_times.append(self._clock.now())
        state = {f"decided:{reservation.symbol}": int(decided_bar), **self._entries()}
        self._rows.behind(Changes(state=state))

    def release(self, cloid: Cloid, unfilled: bool = False) -> None:
        """Give exposure back; an entry that came to nothing is no entry of this hour."""
        self.reservations.pop(cloid, None)
        at = self._reserved_at.pop(cloid, None)
        if unfilled and at is not None and at in self.entry_times:
            self.entry_times.remove(at)
            self._rows.behind(Changes(state=self._entries()))

    def _entries(self) -> dict[str, object]:
        return {"entries": [int(at) for at in self.entry_times][-100:]}

    def guard(self, guard: Guard) -> None:
        """Keep the state of care for a position."""
        before = self.guards.get(guard.symbol)
        self.guards[guard.symbol] = guard
        # The best price alone is no reason for a row: it moves with every tick.
        known = before is not None and replace(before, best=guard.best)
        if not known or guard_to_mapping(known) != guard_to_mapping(guard):
            self._rows.behind(Changes(state={f"guard:{guard.symbol}": guard_to_mapping(guard)}))

    # --- what has happened --------------------------------------------------------------

    def told(self, told: VenueOrder) -> Order | None:
        """Take an order as the venue reports it; None when it is not ours."""
        order = self.order_by(told.cloid, told.venue_id)
        if order is None:
            return None
        after = life.seen(order, told, told.at)
        if after != order:
            self.follow_up((after,))
        return after

    def filled(self, fill: Fill) -> bool:
        """Fold one fill, once. False when it was known, or is not ours."""
        key = (fill.symbol, fill.at, fill.fill_id)
        if key in self.fill_keys:
            return False
        self.fill_keys.add(key)
        order = self.order_by(fill.cloid, fill.venue_id)
        ours = order is not None or life.is_ours(fill.cloid)
        if not ours and not self._reduces(fill):
            why = f"foreign fill {fill.fill_id}: not an order of ours"
            self.safety.block(fill.symbol, why, BlockKind.FOREIGN_FILL)
            self.in_doubt = True
            return False
        if order is not None and order.reduce_only and fill.symbol not in self.positions:
            # Its position is still to be told: the next question brings both in their order.
            self.fill_keys.discard(key)
            self.in_doubt = True
            return False
        changed: tuple[Order, ...] = ()
        if order is not None:
            order = life.filled(order, fill, fill.at)
            self._keep(order)
            changed = (order,)
        held = self.positions.get(fill.symbol)
        if held is not None and self._reduces(fill) and fill.quantity > held.quantity:
            why = f"foreign fill in {fill.fill_id}: more than we held"
            self.safety.block(fill.symbol, why, BlockKind.FOREIGN_FILL)
            fill = own_share(fill, held)
        try:
            self._fold(fill, order, changed)
        except InvariantBroken as error:
            self._unfolded(fill, changed, error)
            return False
        if order is not None and order.leg is Leg.ENTRY and order.status.terminal:
            self._entry_over(order)
        return True

    def write_off(self, position: Position, at: Ms) -> None:
        """Fold an end of a position that no fill of the venue's tells: at the mark, for no fee."""
        mark = self.marks()[position.symbol]
        held, trace_id = str(position.signed), position.trace_id
        log.warning("position_written_off", trace_id=trace_id, held=held, mark=str(mark))
        self._facts.tell("position_written_off", at, symbol=position.symbol, mark=str(mark))
        self.filled(written_off(position, mark, at))

    def _unfolded(self, fill: Fill, changed: tuple[Order, ...], error: InvariantBroken) -> None:
        """A fill that fits no position of ours: kept as a row, and nothing is opened any more."""
        log.error("fill_not_folded", symbol=fill.symbol, fill_id=fill.fill_id, error=str(error))
        self._rows.behind(Changes(orders=changed, fills=(fill,)))
        self.safety.block(fill.symbol, str(error), BlockKind.NOT_FOLDED, str(fill.fill_id))
        self.safety.tighten(TradingState.HALTED, str(error))

    def owes(self, funding: Funding) -> bool:
        """Whether a position or trade that we know paid this."""
        return payer(funding, self.positions.get(funding.symbol), self.trades) is not None

    def funded(self, funding: Funding) -> bool:
        """Fold one funding payment, once; False too when nobody of ours owes it."""
        if funding in self.paid or not self.owes(funding):
            return False
        self.paid.add(funding)
        self.ledger = booked(self.ledger, (), (funding,))
        held, late = self._paid_by(funding)
        state = self.paid.state()
        changes = Changes(funding=(funding,), positions=held, trades=late, state=state)
        self._rows.behind(changes)
        return True

    def funded_until(self, at: Ms) -> None:
        """Every payment before `at` is booked, or known to be somebody else's."""
        if self.paid.complete(at):
            self._rows.behind(Changes(state=self.paid.state()))

    def _paid_by(self, funding: Funding) -> tuple[tuple[Position, ...], tuple[Trade, ...]]:
        """Add a payment to the position or trade it belongs to; what changed."""
        symbol = funding.symbol
        match payer(funding, self.positions.get(symbol), reversed(self.trades)):
            case Position() as position:
                self.positions[symbol] = apply_funding(position, funding)
                return (self.positions[symbol],), ()
            case Trade() as trade:
                after = replace(trade, funding=trade.funding + funding.usd)
                self.trades[self.trades.index(trade)] = after
                return (), (after,)
        return (), ()

    def _fold(self, fill: Fill, order: Order | None, changed: tuple[Order, ...]) -> None:
        symbol = fill.symbol
        self.last_fill_at = max(self.last_fill_at, fill.at)
        self.ledger = booked(self.ledger, (fill,))
        before = self.positions.get(symbol)
        position, trade = apply_fill(before, fill, self._opening(fill, order))
        self.safety.taken(fill, order, position)
        state: dict[str, object] = {}
        if position is not None:
            self.positions[symbol] = position
            if before is None or position.quantity > before.quantity:
                state.update(self._begin_guard(position))
        if trade is not None:
            state.update(self._closed(trade))
        self._rows.behind(
            Changes(
                orders=changed,
                fills=(fill,),
                positions=(position,) if position is not None else (),
                flat=(symbol,) if trade is not None else (),
                trades=(trade,) if trade is not None else (),
                state=state or None,
                breaker_events=self.safety.take_events(),
                equity=self._after(trade),
            )
        )
        self.pulse.beat()

    def _after(self, trade: Trade | None) -> tuple[EquityPoint, ...]:
        """A closed trade changes what the account is worth: its point goes with its row.

        Not at a start, before the account and every mark have been seen.
        """
        return (self.point(),) if trade and self.baseline_known and self.priced else ()

    def _reduces(self, fill: Fill) -> bool:
        """Whether somebody else's fill (a liquidation, a person) took from our position."""
        held = self.positions.get(fill.symbol)
        if held is None:
            return False
        return fill.is_buy == (held.side is Side.SHORT)

    def _opening(self, fill: Fill, order: Order | None) -> Opening:
        plan = self.plans.get(fill.symbol)
        position = self.positions.get(fill.symbol)
        trace_id = order.trace_id if order is not None else None
        if trace_id is None:
            known = plan or position
            trace_id = known.trace_id if known is not None else TraceId(f"{fill.symbol}-unknown-0")
        strategy = plan.strategy if plan is not None else "unknown"
        order = order if self._reduces(fill) else None
        return Opening(trace_id, strategy, why_closed(fill, order, self.guards.get(fill.symbol)))

    def _begin_guard(self, position: Position) -> Mapping[str, object]:
        plan = self.plans.get(position.symbol)
        if plan is None:
            return {}  # reconciliation gives an orphan its emergency stop
        guard = guard_for(position, plan.stop, plan.target)
        self.guards[position.symbol] = guard
        return {f"guard:{position.symbol}": guard_to_mapping(guard)}

    def _closed(self, trade: Trade) -> Mapping[str, object]:
        symbol = trade.symbol
        self.positions.pop(symbol, None)
        self.guards.pop(symbol, None)
        self.plans.pop(symbol, None)
        self.trades.append(trade)
        self.closed_trades += 1
        self.safety.trade_closed(trade)
        self._facts.tell(
            "trade_closed",
            trade.closed_at,
            trace_id=trade.trace_id,
            symbol=symbol,
            side=trade.side.value,
            reason=trade.exit_reason.value,
            entry=str(to_micro_cents(trade.entry_price)),
            exit=str(to_micro_cents(trade.exit_price)),
            net_pnl=str(round(trade.net_pnl, 6)),
        )
        return {
            f"guard:{symbol}": None,
            f"plan:{symbol}": None,
            **self.safety.durable(),
        }

    def _entry_over(self, order: Order) -> None:
        """An entry came to its end: without a fill its plan goes too.

        Its exposure is given back once every fill is in the position: in between it would
        count for nothing.
        """
        if life.counted(order):
            self.release(order.cloid, unfilled=order.filled == 0)
        plan = self.plans.get(order.symbol)
        unfilled = order.filled == 0 and order.symbol not in self.positions
        if unfilled and plan is not None and plan.entry_cloid == order.cloid:
            del self.plans[order.symbol]
            self._rows.behind(Changes(state={f"plan:{order.symbol}": None}))

"""What Keel knows of its money: orders, positions, guards, ledger; folded from what is true.

Owns the truth in memory and queues every change of it for the journal; sends nothing and
decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

import structlog

from bot.domain import orders as life
from bot.domain.errors import InvariantBroken
from bot.domain.portfolio import (
    Ledger,
    Opening,
    PortfolioView,
    Reservation,
    apply_fill,
    apply_funding,
    booked,
    equity,
    sizing_capital,
)
from bot.domain.protection import Guard, guard_for, guard_to_mapping, stop_reason
from bot.domain.sizing import exact
from bot.domain.types import (
    ZERO,
    Cloid,
    ExitReason,
    Fill,
    Funding,
    Leg,
    Ms,
    Order,
    OrderStatus,
    Position,
    Side,
    Symbol,
    TraceId,
    Trade,
    VenueOrder,
)
from bot.pipeline.facts import Facts
from bot.pipeline.plans import Plan, plan_to_mapping
from bot.pipeline.pulse import Pulse
from bot.pipeline.rows import Rows
from bot.pipeline.safety import Safety
from bot.ports import Changes, Clock, Feed

log = structlog.get_logger(__name__)

HOUR_MS = 3_600_000
RECENT_ORDERS = 2_000  # as many as the venue itself remembers (hyperliquid.md 1.3)
RECENT_TRADES = 200
EXIT_ROW_WAIT_S = 0.020  # spec 05, "The desk"

FillKey = tuple[Symbol, Ms, int]


class Books:
    """Orders, positions and ledger. Every method folds at once and lets the rows follow."""

    def __init__(
        self, rows: Rows, clock: Clock, feed: Feed, facts: Facts, safety: Safety, initial: Decimal
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._feed = feed
        self._facts = facts
        self.safety = safety
        self.initial = initial
        self.ledger = Ledger(initial)
        self.baseline_known = False
        self.orders: OrderedDict[Cloid, Order] = OrderedDict()
        self.positions: dict[Symbol, Position] = {}
        self.guards: dict[Symbol, Guard] = {}
        self.plans: dict[Symbol, Plan] = {}
        self.reservations: dict[Cloid, Reservation] = {}
        self.decided: dict[Symbol, Ms] = {}
        self.entry_times: deque[Ms] = deque(maxlen=1_000)
        self.trades: deque[Trade] = deque(maxlen=RECENT_TRADES)
        self.closed_trades = 0
        self.last_fill_at = Ms(0)
        self.last_funding_at = Ms(0)
        self.fill_keys: set[FillKey] = set()
        self.funding_keys: set[tuple[Symbol, Ms]] = set()
        self._by_venue_id: dict[int, Cloid] = {}
        self.pulse = Pulse(clock)

    # --- what is known --------------------------------------------------------------

    def order_by(self, cloid: Cloid | None, venue_id: int | None) -> Order | None:
        """Find an order by either of its ids."""
        if cloid is not None and cloid in self.orders:
            return self.orders[cloid]
        if venue_id is not None and venue_id in self._by_venue_id:
            return self.orders.get(self._by_venue_id[venue_id])
        return None

    def open_orders(self, symbol: Symbol | None = None) -> tuple[Order, ...]:
        """Orders of ours in no terminal state, oldest first."""
        return tuple(
            order
            for order in self.orders.values()
            if not order.status.terminal and symbol in (None, order.symbol)
        )

    def resting_stops(self, symbol: Symbol) -> tuple[Order, ...]:
        """Stops that the venue itself showed resting (it named them), oldest first."""
        return tuple(
            order
            for order in self.open_orders(symbol)
            if order.leg is Leg.STOP
            and order.status is OrderStatus.OPEN
            and order.venue_id is not None
        )

    def next_attempt(self, trace_id: TraceId, leg: Leg) -> int:
        """The next free number for an order of this trace and leg."""
        used = [
            order.attempt
            for order in self.orders.values()
            if order.trace_id == trace_id and order.leg is leg
        ]
        return max(used, default=-1) + 1

    def marks(self) -> dict[Symbol, Decimal]:
        """Mark prices of the open positions; the entry price where none came yet."""
        found: dict[Symbol, Decimal] = {}
        for symbol, position in self.positions.items():
            market = self._feed.market(symbol)
            found[symbol] = exact(market.mark) if market is not None else position.entry_price
        return found

    def equity(self) -> Decimal:
        return equity(self.ledger, self.positions.values(), self.marks())

    def view(self, correlations: Iterable[tuple[Symbol, Symbol, float]]) -> PortfolioView:
        """The account as sizing and the risk gate see it now."""
        now = self._clock.now()
        worth = self.equity()
        used = sum(
            (
                position.quantity * position.entry_price / self._leverage(symbol)
                for symbol, position in self.positions.items()
            ),
            ZERO,
        )
        return PortfolioView(
            equity=worth,
            capital=sizing_capital(self.initial, worth, self.ledger.net, self.closed_trades),
            free_margin=worth - used,
            positions=dict(self.positions),
            reservations=tuple(self.reservations.values()),
            entry_times=tuple(at for at in self.entry_times if now - at < HOUR_MS),
            closed_trades=self.closed_trades,
            blocked=dict(self.safety.blocked),
            state=self.safety.state,
            breakers_open=self.safety.open_codes(now),
            correlations=tuple(correlations),
        )

    def _leverage(self, symbol: Symbol) -> int:
        plan = self.plans.get(symbol)
        return plan.leverage if plan is not None else 1

    # --- what we are about to do ------------------------------------------------------

    async def write_ahead(self, orders: tuple[Order, ...], plan: Plan | None = None) -> None:
        """Make orders durable before they are sent. Raises TransientError when they are not."""
        state: dict[str, object] = {}
        if plan is not None:
            state[f"plan:{plan.symbol}"] = plan_to_mapping(plan)
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
        self.entry_times.append(self._clock.now())
        self._rows.behind(
            Changes(
                state={
                    f"decided:{reservation.symbol}": int(decided_bar),
                    "entries": [int(at) for at in self.entry_times][-100:],
                }
            )
        )

    def release(self, cloid: Cloid) -> None:
        self.reservations.pop(cloid, None)

    def guard(self, guard: Guard) -> None:
        """Keep the state of care for a position."""
        before = self.guards.get(guard.symbol)
        self.guards[guard.symbol] = guard
        if before is None or guard_to_mapping(before) != guard_to_mapping(guard):
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
        self.last_fill_at = max(self.last_fill_at, fill.at)
        order = self.order_by(fill.cloid, fill.venue_id)
        ours = order is not None or life.is_ours(fill.cloid)
        if not ours and not self._reduces(fill):
            self.safety.block(fill.symbol, f"foreign fill {fill.fill_id}: not an order of ours")
            return False
        changed: tuple[Order, ...] = ()
        if order is not None:
            order = life.filled(order, fill, fill.at)
            self._keep(order)
            changed = (order,)
            if order.leg is Leg.ENTRY:
                self.release(order.cloid)
        self._fold(fill, order, changed)
        return True

    def funded(self, funding: Funding) -> bool:
        """Fold one funding payment, once."""
        key = (funding.symbol, funding.at)
        if key in self.funding_keys:
            return False
        self.funding_keys.add(key)
        self.last_funding_at = max(self.last_funding_at, funding.at)
        self.ledger = booked(self.ledger, (), (funding,))
        position = self.positions.get(funding.symbol)
        if position is not None:
            position = apply_funding(position, funding)
            self.positions[funding.symbol] = position
        self._rows.behind(
            Changes(funding=(funding,), positions=(position,) if position is not None else ())
        )
        return True

    def _fold(self, fill: Fill, order: Order | None, changed: tuple[Order, ...]) -> None:
        symbol = fill.symbol
        self.ledger = booked(self.ledger, (fill,))
        before = self.positions.get(symbol)
        position, trade = apply_fill(before, fill, self._opening(fill, order))
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
            )
        )
        self.pulse.beat()

    def _reduces(self, fill: Fill) -> bool:
        """Whether somebody else's fill (a liquidation, a person) took from our position."""
        held = self.positions.get(fill.symbol)
        if held is None:
            return False
        against = fill.is_buy == (held.side is Side.SHORT)
        return against and fill.quantity <= held.quantity

    def _opening(self, fill: Fill, order: Order | None) -> Opening:
        plan = self.plans.get(fill.symbol)
        position = self.positions.get(fill.symbol)
        trace_id = order.trace_id if order is not None else None
        if trace_id is None:
            known = plan or position
            trace_id = known.trace_id if known is not None else TraceId(f"{fill.symbol}-unknown-0")
        strategy = plan.strategy if plan is not None else "unknown"
        return Opening(trace_id, strategy, self._exit_reason(fill, order))

    def _exit_reason(self, fill: Fill, order: Order | None) -> ExitReason:
        if fill.liquidation:
            return ExitReason.LIQUIDATION
        if order is None or not self._reduces(fill):
            return ExitReason.VENUE
        match order.leg:
            case Leg.STOP:
                guard = self.guards.get(fill.symbol)
                return stop_reason(guard) if guard is not None else ExitReason.STOP
            case Leg.TARGET:
                return ExitReason.TARGET
            case Leg.EXIT:
                return ExitReason(order.reason) if order.reason else ExitReason.MANUAL
            case Leg.ENTRY:
                raise InvariantBroken(f"entry {order.cloid} reduced the {fill.symbol} position")

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
            entry=str(trade.entry_price),
            exit=str(round(trade.exit_price, 8)),
            net_pnl=str(round(trade.net_pnl, 6)),
        )
        return {
            f"guard:{symbol}": None,
            f"plan:{symbol}": None,
            **self.safety.durable(),
        }

    def _entry_over(self, order: Order) -> None:
        """An entry came to its end: give its exposure back; without a fill the plan goes too."""
        self.release(order.cloid)
        plan = self.plans.get(order.symbol)
        unfilled = order.filled == 0 and order.symbol not in self.positions
        if unfilled and plan is not None and plan.entry_cloid == order.cloid:
            del self.plans[order.symbol]
            self._rows.behind(Changes(state={f"plan:{order.symbol}": None}))

    def _keep(self, order: Order) -> None:
        self.orders[order.cloid] = order
        if order.venue_id is not None:
            self._by_venue_id[order.venue_id] = order.cloid
        while len(self.orders) > RECENT_ORDERS:
            oldest = next(iter(self.orders.values()))
            if not oldest.status.terminal:
                break
            del self.orders[oldest.cloid]
            self._by_venue_id.pop(oldest.venue_id or -1, None)


def never_sent(orders: Iterable[Order], why: str, at: Ms) -> tuple[Order, ...]:
    """Orders that provably do not exist at the venue."""
    return tuple(replace(life.rejected(order, why, at)) for order in orders)

"""An honest little venue: positions, resting orders, fills and a stream; mistakes on request.

Implements `bot.ports.Venue` and nothing more; knows no stage of the road.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bot.domain.errors import AmbiguousOutcome
from bot.domain.types import (
    ZERO,
    Account,
    Cleared,
    Cloid,
    Fill,
    Funding,
    Intent,
    Leg,
    LegAck,
    Ms,
    OrderStatus,
    OrderUpdate,
    Symbol,
    Transfer,
    VenueEvent,
    VenueOrder,
    VenuePosition,
)
from bot.ports import Clock

FEE = Decimal("0.00045")


@dataclass
class FakeVenue:
    """A venue with positions, resting orders, fills and a stream; mistakes on request.

    `errors` by method are raised once each, in order. An AmbiguousOutcome of `submit` has
    taken effect when `lands`. `tells` False: the stream says nothing, `held` keeps it.
    """

    clock: Clock
    prices: dict[Symbol, Decimal] = field(default_factory=dict)
    entry_part: Decimal = Decimal(1)  # of an entry that fills
    exit_parts: list[Decimal] = field(default_factory=list)  # by exit sent; then all
    lands: bool = False
    tells: bool = True
    stops_rest: bool = True
    children_rest: bool = True
    answer_after: int = 0  # loop rounds between the event and the answer
    works: bool = True
    skew_ms: int = 0
    balance: Decimal = Decimal(1_000)

    def __post_init__(self) -> None:
        self.errors: dict[str, list[Exception]] = {}
        self.gates: dict[str, asyncio.Event] = {}  # a method (or method:symbol) waits here
        self.sent: list[Intent] = []
        self.asked: list[str] = []
        self.cancelled: list[Cloid] = []
        self.leverages: list[tuple[Symbol, int]] = []
        self.positions: dict[Symbol, tuple[Decimal, Decimal]] = {}  # signed size, entry price
        self.orders: dict[int, VenueOrder] = {}
        self.fills: list[Fill] = []
        self.fundings: list[Funding] = []
        self.transfers: list[Transfer] = []
        self.held: list[VenueEvent] = []
        self._stream: asyncio.Queue[VenueEvent] = asyncio.Queue()
        self._number = 0

    # --- the port ---------------------------------------------------------------------

    async def account(self) -> Account:
        await self._ask("account")
        there = {
            symbol: VenuePosition(symbol, size, entry, None, ZERO, 1, True)
            for symbol, (size, entry) in self.positions.items()
        }
        resting = tuple(o for o in self.orders.values() if not o.status.terminal)
        return Account(self.balance, self.balance, there, resting, self.clock.now())

    async def order_status(self, symbol: Symbol, cloid: Cloid) -> VenueOrder | None:
        await self._ask("order_status")
        found = [o for o in self.orders.values() if o.cloid == cloid]
        return found[-1] if found else None

    async def fills_since(self, at: Ms) -> tuple[Fill, ...]:
        await self._ask("fills_since")
        return tuple(fill for fill in self.fills if fill.at >= at)

    async def funding_since(self, at: Ms) -> tuple[Funding, ...]:
        await self._ask("funding_since")
        return tuple(funding for funding in self.fundings if funding.at >= at)

    async def transfers_since(self, at: Ms) -> tuple[Transfer, ...]:
        await self._ask("transfers_since")
        return tuple(transfer for transfer in self.transfers if transfer.at >= at)

    async def submit(self, cleared: Cleared) -> tuple[LegAck, ...]:
        intent = cleared.intent
        self.sent.append(intent)
        await self._wait_at("submit", f"submit:{intent.symbol}", f"submit:{intent.leg.value}")
        error = self._error(f"submit:{intent.leg.value}") or self._error("submit")
        if error is not None and not (isinstance(error, AmbiguousOutcome) and self.lands):
            raise error
        acks = self._execute(intent)
        for _ in range(self.answer_after):
            await asyncio.sleep(0)
        if error is not None:
            raise error
        return acks

    async def cancel(self, symbol: Symbol, cloid: Cloid) -> bool:
        await self._ask("cancel")
        self.cancelled.append(cloid)
        for order in [o for o in self.orders.values() if o.cloid == cloid]:
            if not order.status.terminal:
                self._change(order, OrderStatus.CANCELLED)
        return True

    async def set_leverage(self, symbol: Symbol, leverage: int) -> None:
        await self._ask("set_leverage")
        self.leverages.append((symbol, leverage))

    async def events(self) -> AsyncIterator[VenueEvent]:
        while True:
            yield await self._stream.get()

    def healthy(self) -> bool:
        return self.works

    async def clock_skew_ms(self) -> int:
        await self._ask("clock_skew_ms")
        return self.skew_ms

    # --- what tests do to it -----------------------------------------------------------

    def fail(self, method: str, *errors: Exception) -> None:
        """Raise these, one a call ("submit", "submit:exit", "account", ...)."""
        self.errors.setdefault(method, []).extend(errors)

    def tell(self, event: VenueEvent) -> None:
        if self.tells:
            self._stream.put_nowait(event)
        else:
            self.held.append(event)

    def let_go(self) -> None:
        """Bring what the stream held back."""
        self.tells = True
        held, self.held = self.held, []
        for event in held:
            self.tell(event)

    def of_leg(self, leg: Leg) -> list[Intent]:
        return [intent for intent in self.sent if intent.leg is leg]

    def resting(self, symbol: Symbol) -> list[VenueOrder]:
        """Orders that stand in `symbol`, oldest first."""
        return [o for o in self.orders.values() if o.symbol == symbol and not o.status.terminal]

    def trade(
        self,
        symbol: Symbol,
        signed: Decimal,
        cloid: Cloid | None = None,
        venue_id: int | None = None,
        liquidation: bool = False,
    ) -> Fill:
        """One execution on the account, whoever sent it."""
        price, (before, entry) = self.prices[symbol], self.positions.get(symbol, (ZERO, ZERO))
        closing = min(abs(signed), abs(before)) if before * signed < 0 else ZERO
        side = 1 if before > 0 else -1
        fill = Fill(
            fill_id=self._next(),
            symbol=symbol,
            is_buy=signed > 0,
            quantity=abs(signed),
            price=price,
            fee=abs(signed) * price * FEE,
            closed_pnl=(price - entry) * closing * side,
            start_position=before,
            at=self.clock.now(),
            venue_id=venue_id if venue_id is not None else self._next(),
            cloid=cloid,
            liquidation=liquidation,
        )
        after = before + signed
        if after == 0:
            self.positions.pop(symbol, None)
        else:
            self.positions[symbol] = (after, entry if closing else price)
        self.fills.append(fill)
        self.tell(fill)
        if after == 0:
            for order in self.resting(symbol):
                self._change(order, OrderStatus.CANCELLED)
        return fill

    def trigger(self, order: VenueOrder) -> Fill:
        """Let a resting stop or target fill the whole position at its trigger."""
        held, _ = self.positions[order.symbol]
        if order.trigger is not None:
            self.prices[order.symbol] = order.trigger
        self._change(order, OrderStatus.FILLED)
        return self.trade(order.symbol, -held, order.cloid, order.venue_id)

    def rest(
        self, symbol: Symbol, cloid: Cloid | None, quantity: Decimal, trigger: Decimal
    ) -> VenueOrder:
        """A reduce-only sell stop that stands at the venue."""
        return self._rest(symbol, cloid, False, quantity, trigger, True, OrderStatus.OPEN)

    # --- how it works ------------------------------------------------------------------

    def _execute(self, intent: Intent) -> tuple[LegAck, ...]:
        match intent.leg:
            case Leg.ENTRY:
                return self._enter(intent)
            case Leg.EXIT:
                return (self._exit(intent),)
            case Leg.STOP | Leg.TARGET:
                held, _ = self.positions.get(intent.symbol, (ZERO, ZERO))
                if held * intent.side.sign <= 0:
                    return (self._refused(intent.cloid, "Reduce only order would increase"),)
                if not self.stops_rest:
                    return (LegAck(intent.cloid, OrderStatus.OPEN),)
                order = self._child(intent, intent.leg, intent.cloid, intent.trigger or ZERO)
                return (LegAck(intent.cloid, OrderStatus.OPEN, order.venue_id),)

    def _enter(self, intent: Intent) -> tuple[LegAck, ...]:
        lot = Decimal("0.001")
        quantity = (intent.quantity * self.entry_part).quantize(lot)
        legs = [c for c in (intent.stop_cloid, intent.target_cloid) if c is not None]
        if quantity == 0:
            why = "Order could not immediately match against any resting orders."
            return tuple(self._refused(cloid, why) for cloid in (intent.cloid, *legs))
        whole = quantity == intent.quantity
        status = OrderStatus.FILLED if whole else OrderStatus.CANCELLED
        number = self._next()
        own = self._order(intent.symbol, intent.cloid, intent.is_buy, intent.quantity, number)
        self.orders[number] = replace(own, remaining=intent.quantity - quantity, status=status)
        signed = quantity * intent.side.sign
        fill = self.trade(intent.symbol, signed, intent.cloid, number)
        if whole and self.children_rest:
            for leg, trigger, cloid in (
                (Leg.STOP, intent.stop, intent.stop_cloid),
                (Leg.TARGET, intent.target, intent.target_cloid),
            ):
                if trigger is not None and cloid is not None:
                    self._child(intent, leg, cloid, trigger)
        said = OrderStatus.FILLED if whole else OrderStatus.PARTIAL
        ack = LegAck(intent.cloid, said, number, quantity, fill.price)
        return (ack, *(LegAck(cloid, OrderStatus.OPEN) for cloid in legs))

    def _exit(self, intent: Intent) -> LegAck:
        part = self.exit_parts.pop(0) if self.exit_parts else Decimal(1)
        held, _ = self.positions.get(intent.symbol, (ZERO, ZERO))
        quantity = (min(abs(held), intent.quantity) * part).quantize(Decimal("0.001"))
        if held * intent.side.sign <= 0:
            return self._refused(intent.cloid, "Reduce only order would increase position.")
        if quantity == 0:
            return self._refused(intent.cloid, "Order could not immediately match")
        number = self._next()
        whole = quantity == intent.quantity
        status = OrderStatus.FILLED if whole else OrderStatus.CANCELLED
        own = self._order(intent.symbol, intent.cloid, intent.is_buy, intent.quantity, number)
        left = intent.quantity - quantity
        self.orders[number] = replace(own, remaining=left, status=status, reduce_only=True)
        fill = self.trade(intent.symbol, -quantity * intent.side.sign, intent.cloid, number)
        said = OrderStatus.FILLED if whole else OrderStatus.PARTIAL
        return LegAck(intent.cloid, said, number, quantity, fill.price)

    def _refused(self, cloid: Cloid, why: str) -> LegAck:
        return LegAck(cloid, OrderStatus.REJECTED, error=why)

    def _child(self, intent: Intent, leg: Leg, cloid: Cloid, trigger: Decimal) -> VenueOrder:
        buys, stop = intent.side.sign < 0, leg is Leg.STOP
        quantity = intent.quantity
        return self._rest(intent.symbol, cloid, buys, quantity, trigger, stop, OrderStatus.OPEN)

    def _rest(
        self,
        symbol: Symbol,
        cloid: Cloid | None,
        is_buy: bool,
        quantity: Decimal,
        trigger: Decimal,
        is_stop: bool,
        status: OrderStatus,
    ) -> VenueOrder:
        order = replace(
            self._order(symbol, cloid, is_buy, quantity, self._next()),
            reduce_only=True,
            trigger=trigger,
            is_stop=is_stop,
            status=status,
        )
        self.orders[order.venue_id] = order
        self.tell(OrderUpdate(order))
        return order

    def _order(
        self, symbol: Symbol, cloid: Cloid | None, is_buy: bool, quantity: Decimal, number: int
    ) -> VenueOrder:
        return VenueOrder(
            symbol=symbol,
            venue_id=number,
            cloid=cloid,
            is_buy=is_buy,
            limit=self.prices[symbol],
            remaining=quantity,
            original=quantity,
            reduce_only=False,
            trigger=None,
            is_stop=False,
            whole_position=False,
            status=OrderStatus.OPEN,
            at=self.clock.now(),
        )

    def _change(self, order: VenueOrder, status: OrderStatus) -> None:
        now = replace(order, status=status, raw_status=status.value.lower(), at=self.clock.now())
        self.orders[order.venue_id] = now
        self.tell(OrderUpdate(now))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _error(self, method: str) -> Exception | None:
        waiting = self.errors.get(method)
        return waiting.pop(0) if waiting else None

    async def _wait_at(self, *names: str) -> None:
        for name in names:
            if name in self.gates:
                await self.gates[name].wait()

    async def _ask(self, method: str) -> None:
        self.asked.append(method)
        await self._wait_at(method)
        error = self._error(method)
        if error is not None:
            raise error

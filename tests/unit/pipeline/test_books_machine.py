"""Orders and books under whatever the venue tells, in any order, twice, late, and over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.domain import orders as life
from bot.domain.breakers import BreakerLimits
from bot.domain.portfolio import Reservation, unrealised
from bot.domain.types import (
    ZERO,
    Cloid,
    ExitReason,
    Fill,
    Funding,
    Intent,
    Leg,
    Ms,
    Order,
    OrderStatus,
    Side,
    Symbol,
    TraceId,
)
from bot.pipeline.blocks import BlockKind
from bot.pipeline.books import Books
from bot.pipeline.facts import Facts
from bot.pipeline.plans import Plan, plan_to_mapping
from bot.pipeline.recover import IN_DOUBT, restore
from bot.pipeline.safety import Safety
from bot.ports import Changes
from bot.runtime.clock import ManualClock
from tests.fakes import FakeFeed, MemoryJournal
from tests.unit.pipeline.at_venue import AtVenue, WrittenRows

COINS = (Symbol("BTC"), Symbol("ETH"))
START = Ms(1_790_000_000_000)
LIFE_MS = 8_000
INITIAL = Decimal(1_000)
PART = st.sampled_from([Decimal(0), Decimal("0.4"), Decimal(1)])
PRICE = st.sampled_from([Decimal(98), Decimal(100), Decimal(103)])


class BooksMachine(RuleBasedStateMachine):
    """Entries and exits over the real books; the venue's side is kept beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(START)
        self.journal = MemoryJournal()
        self.books = self.open_books()
        self.venue: dict[Cloid, AtVenue] = {}
        self.told: list[Fill] = []
        self.paid: list[Funding] = []
        self.entries: dict[TraceId, Cloid] = {}
        self.names: dict[Cloid, tuple[TraceId, Leg, int]] = {}
        self.terminal: dict[Cloid, OrderStatus] = {}
        self.grown: dict[Cloid, Decimal] = {}
        self.numbers = 0
        self.compared = True  # the fills that a start asks for were told: entries may pass

    def open_books(self) -> Books:
        facts = Facts()
        rows = WrittenRows(self.journal)
        safety = Safety(rows, self.clock, facts, BreakerLimits(0.9, 0.9, 99, 60_000))  # type: ignore[arg-type]
        return Books(rows, self.clock, FakeFeed(), facts, safety, INITIAL)  # type: ignore[arg-type]

    # --- what Keel does -----------------------------------------------------------------------

    @rule(coin=st.sampled_from(COINS), side=st.sampled_from(list(Side)))
    def submit_entry(self, coin: Symbol, side: Side) -> None:
        """Only where nothing is held or on its way, as the gate has it, and once in step."""
        if not self.compared or coin in self.books.symbols() or coin in self.books.safety.blocked:
            return
        self.numbers += 1
        trace = TraceId(f"{coin}-20260921T1320-{self.numbers}")
        intent = self.named(trace, coin, Leg.ENTRY, side, Decimal(2))
        plan = Plan.of(intent, "scalper.standard", 0.5)
        orders = tuple(
            replace(order, expires_at=self.clock.wall() + LIFE_MS)
            for order in life.new_orders(intent, self.clock.now())
        )
        self.journal.written.append(Changes(orders=orders, state=self.planned(plan)))
        self.books.remember(orders, plan)
        taken = Reservation(coin, side, intent.notional, Decimal(2))
        self.books.reserve(intent.cloid, taken, Ms(START))
        assert trace not in self.entries, "a second entry of one decision"
        self.entries[trace] = intent.cloid
        self.step(intent.cloid, life.sent)

    @rule(coin=st.sampled_from(COINS))
    def submit_exit(self, coin: Symbol) -> None:
        """Reduce-only, of what is held, under the next attempt."""
        held = self.books.positions.get(coin)
        if held is None or self.books.legs(coin, Leg.EXIT):
            return
        intent = self.named(held.trace_id, coin, Leg.EXIT, held.side, held.quantity)
        orders = life.new_orders(intent, self.clock.now())
        self.books.remember(orders)
        self.journal.written.append(Changes(orders=orders))
        self.step(intent.cloid, life.sent)

    @rule(ms=st.sampled_from([1, 900, 6_000]))
    def wait(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule()
    def restart(self) -> None:
        """The process dies; books are made of the rows."""
        self.books = self.open_books()
        recovered = asyncio.run(self.journal.recover())
        past = [
            order
            for position in recovered.positions
            for order in asyncio.run(self.journal.orders_of(position.trace_id))
        ]
        now = self.clock.now()
        state = {**recovered.state, "lives": int(str(recovered.state.get("lives") or 0)) + 1}
        restore(self.books, recovered, now, self.clock.wall() + LIFE_MS, past)
        self.journal.written.append(Changes(state={"lives": state["lives"]}))
        self.grown = {cloid: order.filled for cloid, order in self.books.orders.items()}
        self.compared = False

    @precondition(lambda self: not self.compared)
    @rule()
    def compare(self) -> None:
        """What a start asks for before anything else: every fill, the oldest first."""
        for at in sorted(self.venue.values(), key=lambda at: [each.fill_id for each in at.untold]):
            for fill in tuple(at.untold):
                self.fold(at, fill)
        self.compared = True

    # --- what the venue does ------------------------------------------------------------------

    @precondition(lambda self: self.open_at_venue())
    @rule(data=st.data(), part=PART, price=PRICE)
    def match(self, data: st.DataObject, part: Decimal, price: Decimal) -> None:
        """It fills an order in part, whole or not at all, at once; nobody is told yet."""
        at = self.venue[data.draw(st.sampled_from(self.open_at_venue()))]
        at.over = True
        size = min(at.intent.quantity, self.room(at.intent)) * part
        if size <= 0:
            return
        self.numbers += 1
        at.filled, at.price = size, price
        opened = self.venue.get(self.entries.get(at.intent.trace_id, Cloid("")), at).price
        at.untold.append(at.fill(self.numbers, self.clock.now(), opened))

    @precondition(lambda self: self.answerable())
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        """The answer comes, before or after its fills."""
        at = self.venue[data.draw(st.sampled_from(self.answerable()))]
        ack = at.answer()
        now = self.clock.now()
        self.step(at.intent.cloid, lambda order, _: life.acked(order, ack, now))

    @precondition(lambda self: self.awaited())
    @rule(data=st.data())
    def no_answer(self, data: st.DataObject) -> None:
        """UNKNOWN: the symbol is shut, as the desk does it."""
        cloid = data.draw(st.sampled_from(self.awaited()))
        self.step(cloid, life.unknown)
        order = self.books.orders[cloid]
        if order.leg is Leg.ENTRY and order.status is OrderStatus.UNKNOWN:
            self.books.safety.block(order.symbol, "?", BlockKind.UNKNOWN_ENTRY, cloid)

    @precondition(lambda self: self.with_untold())
    @rule(data=st.data(), again=st.booleans())
    def tell_fill(self, data: st.DataObject, again: bool) -> None:
        """One of the fills that wait, in any order; sometimes twice."""
        at = self.venue[data.draw(st.sampled_from(self.with_untold()))]
        fill = at.untold[0]
        if self.fold(at, fill) and again:
            assert not self.books.filled(fill), "a fill counted twice"

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def tell_again(self, data: st.DataObject) -> None:
        """A frame of long ago comes once more."""
        assert not self.books.filled(data.draw(st.sampled_from(self.told)))

    @precondition(lambda self: self.matched())
    @rule(data=st.data())
    def seen(self, data: st.DataObject) -> None:
        """Somebody asks for an order that was matched: sent immediate-or-cancel, it is over."""
        at = self.venue[data.draw(st.sampled_from(self.matched()))]
        self.books.told(at.report(self.clock.now()))

    @precondition(lambda self: self.lost())
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """One that the venue proves not to have: nothing of it can arrive any more."""
        cloid = data.draw(st.sampled_from(self.lost()))
        self.venue[cloid].over = True
        self.step(cloid, life.expired)

    @rule(coin=st.sampled_from(COINS), usd=st.sampled_from([Decimal("-0.3"), Decimal("0.2")]))
    def fund(self, coin: Symbol, usd: Decimal) -> None:
        """A payment, told twice."""
        self.clock.advance(1)
        payment = Funding(coin, usd, Decimal("0.0001"), Decimal(1), self.clock.now())
        ours = self.books.owes(payment)
        assert self.books.funded(payment) == ours
        assert not self.books.funded(payment), "a payment counted twice"
        self.paid += [payment] * ours

    # --- what holds ---------------------------------------------------------------------------

    @invariant()
    def filled_grows_to_the_quantity_at_most(self) -> None:
        for cloid, order in self.books.orders.items():
            assert self.grown.get(cloid, ZERO) <= order.filled <= order.quantity
            self.grown[cloid] = order.filled

    @invariant()
    def what_is_over_stays_over(self) -> None:
        for cloid, order in self.books.orders.items():
            if cloid in self.terminal and self.terminal[cloid] is not OrderStatus.FILLED:
                assert order.status.terminal, f"{self.terminal[cloid]} became {order.status}"
            if order.status.terminal:
                self.terminal[cloid] = order.status

    @invariant()
    def a_position_is_the_sum_of_its_fills(self) -> None:
        for coin in COINS:
            told = [fill for fill in self.told if fill.symbol == coin]
            held = self.books.positions.get(coin)
            total = sum((f.quantity if f.is_buy else -f.quantity for f in told), ZERO)
            assert (held.signed if held is not None else ZERO) == total

    @invariant()
    def exposure_of_an_entry_in_doubt_is_reserved(self) -> None:
        for cloid, order in self.books.orders.items():
            if order.leg is Leg.ENTRY and order.status in IN_DOUBT:
                assert cloid in self.books.reservations, f"{order.status} takes nothing"

    @invariant()
    def an_entry_in_doubt_shuts_its_symbol(self) -> None:
        for order in self.books.orders.values():
            if order.leg is Leg.ENTRY and order.status is OrderStatus.UNKNOWN:
                assert order.symbol in self.books.safety.blocked

    @invariant()
    def a_decision_has_one_entry(self) -> None:
        entries = [o for o in self.books.orders.values() if o.leg is Leg.ENTRY]
        assert len({o.trace_id for o in entries}) == len(entries)
        assert all(o.attempt == 0 for o in entries)

    @invariant()
    def a_name_stands_for_one_order_and_can_be_made_again(self) -> None:
        for order in self.books.orders.values():
            if order.leg in (Leg.ENTRY, Leg.EXIT):
                name = (order.trace_id, order.leg, order.attempt)
                assert self.names[order.cloid] == name
                assert life.client_id(*name) == order.cloid

    @invariant()
    def cash_is_what_was_paid_and_earned(self) -> None:
        ledger = self.books.ledger
        assert ledger.fees == sum((fill.fee for fill in self.told), ZERO)
        assert ledger.realised == sum((fill.closed_pnl for fill in self.told), ZERO)
        assert ledger.funding == sum((payment.usd for payment in self.paid), ZERO)
        assert ledger.cash == INITIAL + ledger.realised - ledger.fees + ledger.funding

    @invariant()
    def fees_of_trades_and_positions_are_the_ledgers(self) -> None:
        closed = sum((trade.fees for trade in self.books.trades), ZERO)
        held = self.books.positions.values()
        open_ = sum((one.entry_fees + one.exit_fees for one in held), ZERO)
        assert closed + open_ == self.books.ledger.fees

    @invariant()
    def profit_of_trades_and_positions_is_the_ledgers(self) -> None:
        closed = sum((trade.gross_pnl for trade in self.books.trades), ZERO)
        open_ = sum((one.realised for one in self.books.positions.values()), ZERO)
        assert abs(closed + open_ - self.books.ledger.realised) <= Decimal("0.00000001")

    @invariant()
    def equity_is_cash_and_what_is_open(self) -> None:
        marks = self.books.marks()
        open_ = sum(
            (unrealised(one, marks[coin]) for coin, one in self.books.positions.items()), ZERO
        )
        assert abs(self.books.equity() - self.books.ledger.cash - open_) <= Decimal("0.00000001")

    # --- helpers ------------------------------------------------------------------------------

    def fold(self, at: AtVenue, fill: Fill) -> bool:
        """Tell one fill; False while its position is still to be told."""
        if not self.books.filled(fill):
            return False
        at.untold.remove(fill)
        self.told.append(fill)
        return True

    def named(
        self, trace: TraceId, coin: Symbol, leg: Leg, side: Side, quantity: Decimal
    ) -> Intent:
        """An intent under the next free name, which nothing else may ever have had."""
        attempt = 0 if leg is Leg.ENTRY else self.books.next_attempt(trace, leg)
        cloid = life.client_id(trace, leg, attempt)
        assert cloid not in self.names, f"{cloid} names two orders"
        self.names[cloid] = (trace, leg, attempt)
        entry = leg is Leg.ENTRY
        intent = Intent(
            trace,
            coin,
            leg,
            side,
            quantity=quantity,
            limit=Decimal(100),
            reference=Decimal(100),
            attempt=attempt,
            cloid=cloid,
            leverage=2,
            reason=None if entry else ExitReason.MANUAL,
            stop=Decimal(100) - side.sign if entry else None,
            stop_cloid=life.client_id(trace, Leg.STOP, 0) if entry else None,
        )
        self.numbers += 1
        self.venue[cloid] = AtVenue(intent, self.numbers)
        return intent

    def planned(self, plan: Plan) -> dict[str, object]:
        return {f"plan:{plan.symbol}": plan_to_mapping(plan)}

    def step(self, cloid: Cloid, change: Callable[[Order, Ms], Order]) -> None:
        order = self.books.orders.get(cloid)
        if order is not None:
            self.books.follow_up((change(order, self.clock.now()),))

    def status(self, cloid: Cloid) -> OrderStatus | None:
        order: Order | None = self.books.orders.get(cloid)
        return order.status if order is not None else None

    def room(self, intent: Intent) -> Decimal:
        """How much of it the venue would carry out: a reduce-only order never turns round."""
        if not intent.reduce_only:
            return intent.quantity
        size = ZERO
        for at in self.venue.values():
            if at.intent.symbol == intent.symbol:
                size += at.filled if at.intent.is_buy else -at.filled
        return max(ZERO, -size if intent.is_buy else size)

    def matched(self) -> list[Cloid]:
        return [cloid for cloid, at in self.venue.items() if at.over]

    def open_at_venue(self) -> list[Cloid]:
        return [cloid for cloid, at in self.venue.items() if not at.over]

    def answerable(self) -> list[Cloid]:
        return [cloid for cloid in self.matched() if self.status(cloid) is OrderStatus.SENT]

    def awaited(self) -> list[Cloid]:
        return [cloid for cloid in self.venue if self.status(cloid) is OrderStatus.SENT]

    def with_untold(self) -> list[Cloid]:
        return [cloid for cloid, at in self.venue.items() if at.untold]

    def lost(self) -> list[Cloid]:
        unknown = [c for c in self.venue if self.status(c) is OrderStatus.UNKNOWN]
        return [cloid for cloid in unknown if self.venue[cloid].filled == 0]


TestBooksMachine = BooksMachine.TestCase
TestBooksMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

"""Sizing, risk gate and portfolio under any order of wishes, fills, exits and states."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bot.domain.breakers import BreakerCode
from bot.domain.instrument import Instrument
from bot.domain.portfolio import (
    Ledger,
    Opening,
    PortfolioView,
    Reservation,
    apply_fill,
    booked,
    equity,
    sizing_capital,
    unrealised,
)
from bot.domain.reasons import CheckCode
from bot.domain.risk import RiskFacts, RiskLimits, clear, clear_exit, room
from bot.domain.sizing import EXIT_SLIPPAGE, SizingPolicy, Wish, exact, protect, reduce, size
from bot.domain.trading_state import STRICTNESS, lets_open, tightened
from bot.domain.types import (
    ZERO,
    Cleared,
    ExitReason,
    Fill,
    Intent,
    Leg,
    Market,
    Ms,
    Position,
    Refused,
    Regime,
    Side,
    Signal,
    Symbol,
    TraceId,
    TradingState,
)

D = Decimal
COINS = tuple(Symbol(name) for name in ("BTC", "ETH", "SOL", "XRP"))
FEE = D("0.00045")
HOUR = 3_600_000
POLICY = SizingPolicy(0.01, 0.005, 0.02, 5, 2.0, 1.3)
LIMITS = RiskLimits(
    max_positions=3,
    max_notional_x=2.0,
    max_correlated=2,
    max_leverage=5,
    min_stop_frac=0.005,
    max_stop_frac=0.02,
    min_profit_usd=D("0.50"),
    entry_spacing_ms=0,
)
coins = st.sampled_from(COINS)
prices = st.decimals("80", "120", places=2)


def instrument(symbol: Symbol) -> Instrument:
    return Instrument(symbol, symbol, 0, size_decimals=3, max_leverage=20, tiers=())


class AccountMachine(RuleBasedStateMachine):
    """One account, its books by the domain's own folds, and a venue that fills what is cleared."""

    @initialize(capital=st.sampled_from([D(100), D(1000), D(50_000)]))
    def begin(self, capital: Decimal) -> None:
        self.capital = capital
        self.ledger = Ledger(capital)
        self.positions: dict[Symbol, Position] = {}
        self.pending: dict[Symbol, Intent] = {}
        self.marks = dict.fromkeys(COINS, D(100))
        self.state = TradingState.ACTIVE
        self.breakers: tuple[str, ...] = ()
        self.entries: list[Ms] = []
        self.at, self.number = Ms(HOUR), 0
        self.earned = ZERO  # net of the trades that are closed

    # --- what the gate is given ------------------------------------------------------------

    def worth(self) -> Decimal:
        return equity(self.ledger, self.positions.values(), self.marks)

    def view(self) -> PortfolioView:
        worth = self.worth()
        used = sum((p.quantity * p.entry_price / 5 for p in self.positions.values()), ZERO)
        taken = (
            Reservation(i.symbol, i.side, i.notional, ZERO, i.notional / i.leverage)
            for i in self.pending.values()
        )
        return PortfolioView(
            equity=worth,
            capital=sizing_capital(self.capital, worth, self.ledger.net, 0),
            free_margin=worth - used,
            positions=dict(self.positions),
            reservations=tuple(taken),
            entry_times=tuple(self.entries),
            state=self.state,
            breakers_open=self.breakers,
        )

    def market(self, symbol: Symbol) -> Market:
        mark = float(self.marks[symbol])
        spread = mark * 1e-4
        quotes = (mark, mark, mark - spread, mark + spread)
        return Market(symbol, *quotes, 0.0, 1.0, 1e8, mark, self.at)

    def facts(self, symbol: Symbol) -> RiskFacts:
        return RiskFacts(self.at, self.market(symbol), 0.0, 0, 60_000, True, 0)

    # --- steps -----------------------------------------------------------------------------

    @rule(
        symbol=coins,
        side=st.sampled_from(Side),
        stop=st.floats(0.001, 0.05),
        target_r=st.floats(0.5, 6),
        leverage=st.none() | st.floats(0.1, 60),
    )
    def a_signal_is_wished(
        self, symbol: Symbol, side: Side, stop: float, target_r: float, leverage: float | None
    ) -> None:
        signal = Signal(symbol, side, 0.9, stop, target_r, "s", "technical", 20.0, "")
        wish = Wish(signal, confidence=0.9, regime=Regime.RANGING, atr=0.3, leverage=leverage)
        view = self.view()
        free = room(view, LIMITS)
        self.number += 1
        trace = TraceId(f"{symbol}-20260101T0000-{self.number}")
        found = instrument(symbol)
        sized = size(wish, found, self.market(symbol), view.capital, POLICY, trace, room=free)
        if isinstance(sized, Refused):
            assert sized.failed, "a refusal names its rule"
            return
        self.size_keeps_its_bounds(sized, view, free)
        verdict = clear(sized, view, self.facts(symbol), LIMITS, found)
        if isinstance(verdict, Refused):
            self.refusal_is_whole(verdict)
            return
        self.clearing_was_right(verdict, view)
        self.pending[symbol] = sized
        self.entries.append(self.at)

    def size_keeps_its_bounds(self, sized: Intent, view: PortfolioView, free: Decimal) -> None:
        assert sized.stop is not None
        loss = abs(sized.reference - sized.stop) * sized.quantity
        assert loss <= view.capital * exact(POLICY.risk_frac)
        assert sized.notional <= min(free, view.capital * exact(POLICY.max_notional_x))
        assert 1 <= sized.leverage <= POLICY.max_leverage
        assert (sized.reference - sized.stop) * sized.side.sign > 0

    def refusal_is_whole(self, verdict: Refused) -> None:
        failed = {check.code for check in verdict.failed}
        assert failed
        for check in verdict.checks:
            assert check.value is not None or check.note or check.ok
            assert check.limit is not None
        assert (CheckCode.TRADING_STATE in failed) == (not lets_open(self.state))
        for code in self.breakers:
            assert CheckCode(code) in failed, "every open breaker is named"

    def clearing_was_right(self, verdict: Cleared, view: PortfolioView) -> None:
        intent = verdict.intent
        assert self.state is TradingState.ACTIVE
        assert not self.breakers
        assert intent.symbol not in self.positions, "no adding, no flips"
        assert intent.symbol not in self.pending
        held = {*self.positions, *self.pending}
        assert len(held) < LIMITS.max_positions
        assert view.exposure() + intent.notional <= view.equity * exact(LIMITS.max_notional_x)
        same = [
            *(p for p in self.positions.values() if p.side is intent.side),
            *(i for i in self.pending.values() if i.side is intent.side),
        ]
        assert len(same) < LIMITS.max_correlated, "an unknown pair counts as alike"
        hour = [at for at in self.entries if at > self.at - HOUR]
        assert len(hour) < LIMITS.trades_per_hour

    @precondition(lambda self: self.pending)
    @rule(which=st.integers(0, 2), part=st.sampled_from([D(0), D("0.3"), D(1)]))
    def an_entry_fills(self, which: int, part: Decimal) -> None:
        symbol = sorted(self.pending)[which % len(self.pending)]
        intent = self.pending.pop(symbol)
        quantity = instrument(symbol).round_size(intent.quantity * part)
        if quantity > 0:
            self.fill(intent, quantity, intent.reference)
            assert self.positions[symbol].side is intent.side

    @precondition(lambda self: self.positions)
    @rule(which=st.integers(0, 2), step=st.integers(0, 2), part=st.sampled_from([D("0.4"), D(1)]))
    def a_position_is_left(self, which: int, step: int, part: Decimal) -> None:
        """In every state and under every breaker."""
        symbol = sorted(self.positions)[which % len(self.positions)]
        position = self.positions[symbol]
        slippage = EXIT_SLIPPAGE[step]
        wish = reduce(
            position, self.market(symbol), instrument(symbol), ExitReason.MANUAL, 0, slippage
        )
        verdict = clear_exit(wish, position.signed)
        assert isinstance(verdict, Cleared), "an exit always gets through"
        quantity = verdict.intent.quantity
        assert quantity <= position.quantity
        assert verdict.intent.is_buy == (position.side is Side.SHORT)
        filled = instrument(symbol).round_size(quantity * part) or quantity
        self.fill(verdict.intent, filled, self.marks[symbol])
        left = self.positions.get(symbol)
        assert left is None or (left.side is position.side and left.quantity < position.quantity)

    @rule(symbol=coins, extra=st.decimals("0.001", "10", places=3))
    def an_exit_asks_for_too_much(self, symbol: Symbol, extra: Decimal) -> None:
        """Clamped to flat; without a position it is refused, and so is the other side."""
        position = self.positions.get(symbol)
        shown = position or Position(symbol, Side.LONG, D(1), D(100), self.at, TraceId("t"), "s")
        for leg in (Leg.STOP, Leg.TARGET):
            wish = protect(shown, leg, self.marks[symbol], instrument(symbol), 0)
            wish = replace(wish, quantity=wish.quantity + extra)
            held = position.signed if position is not None else ZERO
            verdict = clear_exit(wish, held)
            if position is None:
                assert isinstance(verdict, Refused)
            else:
                assert isinstance(verdict, Cleared)
                assert verdict.intent.quantity == position.quantity
                assert isinstance(clear_exit(wish, -held), Refused), "it would grow"

    def fill(self, intent: Intent, quantity: Decimal, price: Decimal) -> None:
        held = self.positions.get(intent.symbol)
        gain = ZERO
        if intent.reduce_only and held is not None:
            gain = (price - held.entry_price) * quantity * held.side.sign
        self.number += 1
        made = Fill(
            self.number,
            intent.symbol,
            intent.is_buy,
            quantity,
            price,
            price * quantity * FEE,
            gain,
            held.signed if held is not None else ZERO,
            self.at,
            self.number,
        )
        self.ledger = booked(self.ledger, (made,))
        position, trade = apply_fill(held, made, Opening(intent.trace_id, "s"))
        if position is None:
            del self.positions[intent.symbol]
        else:
            self.positions[intent.symbol] = position
        if trade is not None:
            self.earned += trade.net_pnl

    @rule(symbol=coins, mark=prices)
    def a_price_moves(self, symbol: Symbol, mark: Decimal) -> None:
        self.marks[symbol] = mark

    @rule(ms=st.integers(0, HOUR))
    def time_passes(self, ms: int) -> None:
        self.at = Ms(self.at + ms)

    @rule(wish=st.sampled_from(TradingState))
    def keel_tightens(self, wish: TradingState) -> None:
        after = tightened(self.state, wish)
        assert STRICTNESS[after] == max(STRICTNESS[self.state], STRICTNESS[wish])
        self.state = after

    @rule()
    def a_person_resumes(self) -> None:
        self.state, self.breakers = TradingState.ACTIVE, ()

    @rule(code=st.sampled_from(BreakerCode))
    def a_breaker_opens(self, code: BreakerCode) -> None:
        self.breakers = tuple(sorted({*self.breakers, code.value}))

    # --- what holds always -----------------------------------------------------------------

    @invariant()
    def nothing_is_held_beyond_the_number_of_positions(self) -> None:
        assert len({*self.positions, *self.pending}) <= LIMITS.max_positions

    @invariant()
    def a_position_is_never_empty(self) -> None:
        assert all(position.quantity > 0 for position in self.positions.values())

    @invariant()
    def equity_is_what_was_earned_and_what_is_open(self) -> None:
        """Closed trades, parts closed, fees and open profit account for every cent."""
        open_part = sum(
            (
                p.realised - p.entry_fees - p.exit_fees + unrealised(p, self.marks[p.symbol])
                for p in self.positions.values()
            ),
            ZERO,
        )
        assert abs(self.worth() - self.capital - self.earned - open_part) <= D("1e-6")

    @invariant()
    def the_base_of_size_is_never_more_than_equity(self) -> None:
        worth = self.worth()
        base = sizing_capital(self.capital, worth, self.ledger.net, 0)
        assert 0 <= base <= max(ZERO, worth)


TestAccountMachine = AccountMachine.TestCase
TestAccountMachine.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)

"""The risk gate: each rule alone refuses, all failures are told, exits always get through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.breakers import BreakerCode, Gauge
from bot.domain.errors import InvariantBroken
from bot.domain.instrument import Instrument, MarginTier
from bot.domain.orders import client_id
from bot.domain.portfolio import PortfolioView, Reservation
from bot.domain.reasons import CheckCode
from bot.domain.risk import RiskFacts, RiskLimits, clear, clear_exit, room
from bot.domain.types import (
    Cleared,
    Intent,
    Leg,
    Market,
    Ms,
    Position,
    Refused,
    Side,
    Symbol,
    TraceId,
    TradingState,
)

D = Decimal
BTC, ETH, SOL = Symbol("BTC"), Symbol("ETH"), Symbol("SOL")
TRACE = TraceId("t")
NOW = Ms(10_000_000)


@dataclass(frozen=True)
class Case:
    """Everything the gate is given; good as it stands."""

    intent: Intent
    view: PortfolioView
    facts: RiskFacts
    limits: RiskLimits
    instrument: Instrument

    def verdict(self) -> Cleared | Refused:
        return clear(self.intent, self.view, self.facts, self.limits, self.instrument)

    def failed(self) -> list[CheckCode]:
        verdict = self.verdict()
        return [check.code for check in verdict.failed] if isinstance(verdict, Refused) else []


MARKET = Market(BTC, 100.0, 100.0, 99.99, 100.01, 0.0, 0.0, 0.0, 100.0, NOW)
GOOD = Case(
    Intent(
        TRACE,
        BTC,
        Leg.ENTRY,
        Side.LONG,
        quantity=D(5),
        limit=D("100.5"),
        reference=D(100),
        attempt=0,
        cloid=client_id(TRACE, Leg.ENTRY, 0),
        leverage=5,
        stop=D(99),
        target=D(102),
        stop_cloid=client_id(TRACE, Leg.STOP, 0),
    ),
    PortfolioView(equity=D(1000), capital=D(1000), free_margin=D(1000), positions={}),
    RiskFacts(NOW, MARKET, 0.0, 0, 60_000, venue_healthy=True, clock_skew_ms=0),
    RiskLimits(
        max_positions=2,
        max_notional_x=1.0,
        max_correlated=1,
        max_leverage=5,
        min_stop_frac=0.005,
        max_stop_frac=0.02,
        min_profit_usd=D("0.5"),
        min_margin_usd=D(25),
        profit_cost_multiple=2.0,
    ),
    Instrument(BTC, "BTC", 0, size_decimals=2, max_leverage=20, tiers=()),
)


def position(symbol: Symbol, side: Side = Side.LONG) -> Position:
    return Position(symbol, side, D(1), D(100), Ms(0), TRACE, "s")


def holding(*held: Position) -> dict[Symbol, Position]:
    return {one.symbol: one for one in held}


def on_intent(**changes: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, intent=replace(case.intent, **changes))


def on_view(**changes: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, view=replace(case.view, **changes))


def on_facts(**changes: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, facts=replace(case.facts, **changes))


def on_market(**changes: Any) -> Callable[[Case], Case]:
    return lambda case: on_facts(market=replace(case.facts.market, **changes))(case)


def on_limits(**changes: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, limits=replace(case.limits, **changes))


def on_instrument(**changes: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, instrument=replace(case.instrument, **changes))


SAME_SIDE = on_view(positions=holding(position(ETH)), correlations=((ETH, BTC, 0.86),))
TWO_APART = on_view(
    positions=holding(position(ETH, Side.SHORT)),
    reservations=(Reservation(SOL, Side.SHORT, D(100), D(1)),),
)
BAD: list[tuple[CheckCode, Callable[[Case], Case]]] = [
    (CheckCode.TRADING_STATE, on_view(state=TradingState.REDUCE_ONLY)),
    (CheckCode.TRADING_STATE, on_view(state=TradingState.HALTED)),
    *((CheckCode(code.value), on_view(breakers_open=(code.value,))) for code in BreakerCode),
    (CheckCode.SYMBOL_VOLATILITY, on_facts(volatility_x=3.01)),
    (CheckCode.SYMBOL_VOLATILITY, on_facts(volatility_x=float("nan"))),
    (CheckCode.POSITION_OPEN, on_view(positions=holding(position(BTC, Side.SHORT)))),
    (CheckCode.POSITION_OPEN, on_view(reservations=(Reservation(BTC, Side.LONG, D(1), D(1)),))),
    (CheckCode.SYMBOL_BLOCKED, on_view(blocked={BTC: "unknown outcome"})),
    (CheckCode.SYMBOL_BLOCKED, on_instrument(delisted=True)),
    (CheckCode.MAX_POSITIONS, TWO_APART),
    (CheckCode.EXPOSURE, on_view(reservations=(Reservation(ETH, Side.SHORT, D(501), D(1)),))),
    (CheckCode.EXPOSURE, on_limits(max_notional_x=0.49)),
    (CheckCode.CORRELATION, SAME_SIDE),
    (CheckCode.CORRELATION, on_view(positions=holding(position(ETH)))),  # unknown pair
    (CheckCode.CORRELATION, on_view(reservations=(Reservation(ETH, Side.LONG, D(1), D(1)),))),
    (
        CheckCode.TRADES_PER_HOUR,
        on_view(entry_times=tuple(Ms(NOW - 100_000 - i) for i in range(20))),
    ),
    (CheckCode.ENTRY_SPACING, on_view(entry_times=(Ms(NOW - 59_999),))),
    (CheckCode.LEVERAGE, on_limits(max_leverage=4)),
    (CheckCode.LEVERAGE, on_instrument(max_leverage=4)),
    (CheckCode.LEVERAGE, on_instrument(tiers=(MarginTier(D(0), 20), MarginTier(D(400), 4)))),
    (CheckCode.STOP_DISTANCE, on_limits(min_stop_frac=0.0101)),
    (CheckCode.STOP_DISTANCE, on_limits(max_stop_frac=0.0099)),
    (CheckCode.STOP_DISTANCE, on_intent(stop=D(101))),
    (CheckCode.STOP_BEFORE_LIQUIDATION, on_limits(liquidation_buffer=20.0)),
    (CheckCode.MAX_LOSS, on_limits(max_loss_frac=0.007)),
    (CheckCode.MAX_LOSS, on_view(capital=D(70))),
    (CheckCode.MIN_PROFIT, on_limits(min_profit_usd=D(10))),
    (CheckCode.MIN_PROFIT, on_limits(profit_cost_multiple=20.0)),
    (CheckCode.MIN_PROFIT, on_intent(target=None)),
    (CheckCode.MIN_PROFIT, on_intent(target=D(98))),
    (CheckCode.MIN_NOTIONAL, on_instrument(min_notional=D(501))),
    (CheckCode.PRECISION, on_intent(quantity=D("5.001"))),
    (CheckCode.PRECISION, on_intent(limit=D("100.501"))),
    (CheckCode.PRECISION, on_intent(stop=D("99.0001"))),
    (CheckCode.MIN_MARGIN, on_limits(min_margin_usd=D(101))),
    (CheckCode.MARGIN, on_view(free_margin=D(100))),
    (
        CheckCode.MARGIN,
        on_view(reservations=(Reservation(ETH, Side.SHORT, D(1), D(1), margin=D(900)),)),
    ),
    (CheckCode.SPREAD, on_market(ask=100.5)),
    (CheckCode.SPREAD, on_market(bid=100.5, ask=100.4)),
    (CheckCode.FUNDING, on_market(funding_hourly=0.0006)),
    (CheckCode.FUNDING, on_market(funding_hourly=float("nan"))),
    (CheckCode.DATA_FRESH, on_facts(mark_confirmed_age_s=10.1)),
    (CheckCode.DATA_FRESH, on_facts(mark_confirmed_age_s=float("nan"))),
    (CheckCode.DATA_FRESH, on_facts(bar_age_ms=120_001)),
    (CheckCode.VENUE_HEALTHY, on_facts(venue_healthy=False)),
    (CheckCode.CLOCK_SKEW, on_facts(clock_skew_ms=-1_001)),
    (CheckCode.CLOCK_SKEW, on_facts(clock_skew_ms=None, clock_known=False)),
    (CheckCode.CLOCK_SKEW, on_facts(clock_skew_ms=0, clock_known=False)),
    (CheckCode.TRACE_BACKLOG, on_facts(trace_backlog=10_001)),
]


def test_a_good_entry_is_cleared_with_all_its_checks() -> None:
    """Every rule has run, and says so."""
    verdict = GOOD.verdict()
    assert isinstance(verdict, Cleared)
    assert verdict.intent is GOOD.intent
    codes = [check.code for check in verdict.checks]
    assert len(codes) == len(set(codes))
    assert {code for code, _ in BAD} == set(codes)


@pytest.mark.parametrize(("code", "spoil"), BAD)
def test_each_rule_alone_refuses(code: CheckCode, spoil: Callable[[Case], Case]) -> None:
    """With one thing wrong the entry is refused under that rule's code."""
    assert code in spoil(GOOD).failed()


@given(st.lists(st.sampled_from(BAD), min_size=1, max_size=4))
def test_nothing_is_cleared_while_any_rule_is_broken(
    picked: list[tuple[CheckCode, Callable[[Case], Case]]],
) -> None:
    """However many things are wrong together, none makes up for another."""
    case = GOOD
    for _, spoil in picked:
        case = spoil(case)
    assert isinstance(case.verdict(), Refused)


def test_all_failures_are_told() -> None:
    """Not the first alone."""
    case = on_facts(venue_healthy=False)(on_view(breakers_open=("drawdown",))(GOOD))
    assert case.failed() == [CheckCode.DRAWDOWN, CheckCode.VENUE_HEALTHY]


def test_an_open_breaker_is_refused_with_what_opened_it() -> None:
    """Value, limit and unit, also where what it measures has come back under the limit."""
    held = Gauge(
        BreakerCode.LOSSES_IN_ROW,
        0.0,
        3.0,
        "trades",
        True,
        NOW,
        Ms(NOW + 1),
        opened_by=3.0,
        lifted_by="time",
    )
    verdict = on_view(breakers_open=("losses_in_row",), gauges=(held,))(GOOD).verdict()
    assert isinstance(verdict, Refused)
    (check,) = verdict.failed
    assert (check.code, check.value, check.limit) == (CheckCode.LOSSES_IN_ROW, 3.0, 3.0)
    assert (check.unit, check.note) == ("trades", "open, lifted by time")


@pytest.mark.parametrize(
    "edge",
    [
        on_view(positions=holding(position(ETH)), correlations=((ETH, BTC, 0.85),)),
        on_view(positions=holding(position(ETH, Side.SHORT))),
        on_view(entry_times=(Ms(NOW - 60_000),)),
        on_view(entry_times=tuple(Ms(NOW - 100_000 - i) for i in range(19))),
        on_view(entry_times=tuple(Ms(NOW - 3_600_000 - i) for i in range(40))),
        on_facts(clock_skew_ms=None),
        on_facts(volatility_x=3.0),
        on_view(gauges=(Gauge(BreakerCode.DRAWDOWN, 0.11, 0.12, "fraction"),)),
        on_facts(clock_skew_ms=1_000),
        on_facts(bar_age_ms=120_000, mark_confirmed_age_s=10.0),
        on_facts(trace_backlog=10_000),
        on_market(funding_hourly=-0.01),
        on_limits(min_stop_frac=0.01),
        on_limits(max_stop_frac=0.01),
        on_limits(max_notional_x=0.5),
    ],
)
def test_a_limit_itself_is_allowed(edge: Callable[[Case], Case]) -> None:
    """At the bound, and where the rule does not apply, the entry passes."""
    assert edge(GOOD).failed() == []


def test_a_stop_on_the_wrong_side_never_comes_before_liquidation() -> None:
    """It would not come at all."""
    failed = on_intent(stop=D(101))(GOOD).failed()
    assert failed == [CheckCode.STOP_DISTANCE, CheckCode.STOP_BEFORE_LIQUIDATION]


def test_a_short_is_judged_by_its_own_side() -> None:
    """Stop above, target below, and it earns positive funding."""
    short = on_intent(side=Side.SHORT, limit=D("99.5"), stop=D(101), target=D(98))(GOOD)
    assert short.failed() == []
    assert on_market(funding_hourly=0.01)(short).failed() == []
    assert on_market(funding_hourly=-0.01)(short).failed() == [CheckCode.FUNDING]


def test_only_entries_pass_the_gate_of_entries() -> None:
    """An exit here is a mistake of the caller."""
    with pytest.raises(InvariantBroken):
        on_intent(leg=Leg.EXIT)(GOOD).verdict()


def test_room_is_what_the_exposure_cap_leaves() -> None:
    """Held and reserved taken off, never negative."""
    assert room(GOOD.view, GOOD.limits) == D(1000)
    view = replace(
        GOOD.view,
        positions=holding(position(ETH)),
        reservations=(Reservation(SOL, Side.LONG, D(200), D(1)),),
    )
    assert room(view, GOOD.limits) == D(700)
    assert room(replace(view, equity=D(100)), GOOD.limits) == 0


# --- exits ---------------------------------------------------------------------------

EXIT = replace(GOOD.intent, leg=Leg.EXIT, stop=None, target=None)
held_sizes = st.decimals("0.01", 1000, places=2)


@given(st.sampled_from(Side), held_sizes, st.sampled_from([Leg.EXIT, Leg.STOP, Leg.TARGET]))
def test_an_exit_is_clamped_to_what_is_held_and_never_refused(
    side: Side, held: Decimal, leg: Leg
) -> None:
    """No state, breaker or limit is asked: there is not even a place to pass them."""
    intent = replace(EXIT, side=side, leg=leg, trigger=D(99))
    verdict = clear_exit(intent, held * side.sign)
    assert isinstance(verdict, Cleared)
    assert verdict.intent.quantity == min(intent.quantity, held)
    assert verdict.intent.reduce_only


@pytest.mark.parametrize(
    ("intent", "held"), [(EXIT, "0"), (EXIT, "-5"), (GOOD.intent, "5"), (GOOD.intent, "-5")]
)
def test_what_would_not_reduce_is_refused(intent: Intent, held: str) -> None:
    """Nothing held, the other side held, or an entry in an exit's clothes."""
    verdict = clear_exit(intent, D(held))
    assert isinstance(verdict, Refused)
    assert [check.code for check in verdict.failed] == [CheckCode.REDUCES]

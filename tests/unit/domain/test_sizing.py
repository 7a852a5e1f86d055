"""From a wish to an intent: never more than meant, always at the venue's tick and lot."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.instrument import Instrument
from bot.domain.orders import client_id
from bot.domain.reasons import CheckCode
from bot.domain.sizing import (
    EXIT_SLIPPAGE,
    SizingPolicy,
    Wish,
    exact,
    liquidation_at_entry,
    protect,
    reduce,
    reward_to_risk,
    size,
)
from bot.domain.types import (
    ExitReason,
    Intent,
    Leg,
    Market,
    Ms,
    Position,
    Refused,
    Regime,
    Side,
    Signal,
    SoftEffect,
    Symbol,
    TraceId,
)

D = Decimal
TRACE = TraceId("BTC-20260101T0000-1")
BTC = Symbol("BTC")
INSTRUMENT = Instrument(BTC, "BTC", 0, size_decimals=5, max_leverage=40, tiers=())
POLICY = SizingPolicy(
    risk_frac=0.01,
    min_stop_frac=0.005,
    max_stop_frac=0.02,
    max_leverage=5,
    max_notional_x=2.0,
    min_reward_to_risk=1.3,
)


def market(mark: float) -> Market:
    return Market(BTC, mark, mark, mark * 0.9999, mark * 1.0001, 0.0, 0.0, 0.0, mark, Ms(0))


def signal(side: Side = Side.LONG, stop_frac: float = 0.01, target_r: float = 2.0) -> Signal:
    return Signal(BTC, side, 0.5, stop_frac, target_r, "breakout", "technical", 20.0, "")


WISH = Wish(signal(), confidence=0.95, regime=Regime.TRENDING_UP, atr=0.0)


def sized(
    wish: Wish = WISH,
    policy: SizingPolicy = POLICY,
    capital: str = "1000",
    mark: float = 50_000.0,
    room: Decimal | None = None,
) -> Intent:
    intent = size(wish, INSTRUMENT, market(mark), D(capital), policy, TRACE, room=room)
    assert isinstance(intent, Intent), intent
    return intent


def refusal(
    wish: Wish = WISH, policy: SizingPolicy = POLICY, capital: str = "1000"
) -> list[CheckCode]:
    verdict = size(wish, INSTRUMENT, market(50_000.0), D(capital), policy, TRACE)
    assert isinstance(verdict, Refused)
    return [check.code for check in verdict.failed]


# --- any wish ------------------------------------------------------------------------

instruments = st.builds(
    lambda decimals, top: Instrument(BTC, "BTC", 0, decimals, top, ()),
    st.integers(0, 5),
    st.sampled_from([3, 5, 10, 20, 40]),
)
fractions = st.floats(0.0, 0.3)
wishes = st.builds(
    lambda side, stop, r, sure, regime, atr, swing, levels, factor, wished: Wish(
        signal(side, stop, r),
        sure,
        regime,
        atr,
        swing,
        tuple(levels),
        SoftEffect(2 if factor < 1 else None, factor),
        stop_atr=wished,
        leverage=None if wished is None else wished * 3,
    ),
    st.sampled_from(Side),
    fractions,
    st.floats(1, 8),
    st.floats(0, 1),
    st.sampled_from(Regime),
    st.floats(0, 0.05),
    st.none() | st.floats(0.9, 1.1),
    st.lists(st.floats(0.9, 1.1), max_size=4),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.none() | st.floats(0, 4),
)
marks = st.floats(0.001, 90_000)
policies = st.builds(
    lambda low, wide, risk, notional, margin: SizingPolicy(
        risk_frac=risk,
        min_stop_frac=low,
        max_stop_frac=low + wide,
        max_leverage=5,
        max_notional_x=notional,
        min_reward_to_risk=1.3,
        max_margin_usd=margin,
    ),
    st.floats(0.004, 0.08),
    st.floats(0.002, 0.05),
    st.floats(0.001, 0.02),
    st.floats(0.5, 3),
    st.none() | st.decimals(30, 500, places=0),
)


def scaled(wish: Wish, mark: float) -> Wish:
    swing = None if wish.swing is None else wish.swing * mark
    levels = tuple(level * mark for level in wish.levels)
    return replace(wish, atr=wish.atr * mark, swing=swing, levels=levels)


@given(wishes, instruments, st.floats(0.1, 999), st.decimals(500, 100_000, places=2), policies)
def test_no_size_ever_exceeds_what_was_allowed(
    relative: Wish, instrument: Instrument, mark: float, capital: Decimal, policy: SizingPolicy
) -> None:
    """Risk, notional, margin, leverage, stop bounds, reward, tick and lot: for any wish."""
    wish = scaled(relative, mark)
    verdict = size(wish, instrument, market(mark), capital, policy, TRACE)
    assert verdict == size(wish, instrument, market(mark), capital, policy, TRACE)
    if isinstance(verdict, Refused):
        assert verdict.failed
        return
    stop, target, sign = verdict.stop, verdict.target, wish.signal.side.sign
    assert stop is not None
    assert target is not None
    assert (verdict.reference - stop) * sign > 0
    assert (target - verdict.reference) * sign > 0
    assert (verdict.limit - verdict.reference) * sign >= 0
    assert abs(verdict.limit / verdict.reference - 1) <= exact(policy.entry_slippage_frac)
    fees = exact(policy.taker_fee_frac) * (verdict.reference + stop)
    loss = (abs(verdict.reference - stop) + fees) * verdict.quantity
    assert loss <= capital * exact(policy.risk_frac) * exact(wish.soft.size_factor)
    assert verdict.notional <= exact(policy.max_notional_x) * capital
    if policy.max_margin_usd is not None:
        assert verdict.notional / verdict.leverage <= policy.max_margin_usd
    assert 1 <= verdict.leverage <= min(policy.max_leverage, instrument.max_leverage)
    if wish.regime is Regime.VOLATILE:
        assert verdict.leverage <= 2
    if wish.regime is Regime.RANGING:
        assert verdict.leverage <= 3
    if wish.soft.max_leverage is not None:
        assert verdict.leverage <= wish.soft.max_leverage
    if wish.leverage is not None and wish.leverage >= 1:
        assert verdict.leverage <= wish.leverage
    frac = abs(verdict.reference - stop) / verdict.reference
    assert exact(policy.min_stop_frac) <= frac <= exact(policy.max_stop_frac)
    assert reward_to_risk(verdict) >= policy.min_reward_to_risk - 1e-12
    assert instrument.size_is_valid(verdict.quantity)
    for price in (verdict.limit, stop, target, verdict.stop_limit, verdict.target_limit):
        assert price is not None
        assert instrument.price_is_valid(price)


# --- the stop ------------------------------------------------------------------------


@pytest.mark.parametrize(("wished", "stop"), [(0.01, "49500"), (0.001, "49750"), (0.09, "49000")])
def test_the_stop_is_clamped_into_its_bounds(wished: float, stop: str) -> None:
    """0.5 to 2 % here."""
    wish = replace(WISH, signal=signal(stop_frac=wished))
    assert sized(wish).stop == D(stop)


def test_the_stop_adapts_to_the_atr() -> None:
    """At least 1.5 ATR away, and what the council wished for in ATR instead, clamped."""
    assert sized(replace(WISH, atr=404.0)).stop == D(49394)
    assert sized(replace(WISH, atr=404.0, stop_atr=2.0)).stop == D(49192)
    assert sized(replace(WISH, atr=400.0, stop_atr=99.0), mark=49_400.0).stop == D(48412)


def test_the_stop_lies_beyond_the_nearest_swing() -> None:
    """By a quarter of an ATR; the target stays where it was, so reward to risk falls."""
    wish = replace(WISH, atr=80.0, swing=49_430.0)
    intent = sized(wish)
    assert intent.stop == D(49410)
    assert intent.target == D(51000)
    assert reward_to_risk(intent) == pytest.approx(1000 / 590)
    short = replace(wish, signal=signal(Side.SHORT), swing=50_570.0)
    assert sized(short).stop == D(50590)


def test_a_swing_on_the_other_side_means_nothing() -> None:
    """A swing low above the price is no shelter."""
    assert sized(replace(WISH, swing=50_400.0)).stop == D(49500)


def test_the_stop_keeps_off_levels_and_round_numbers() -> None:
    """0.25 ATR beyond each, one after the other."""
    assert sized(replace(WISH, atr=80.0, levels=(49_505.0,))).stop == D(49485)
    assert sized(replace(WISH, atr=80.0, levels=(49_505.0, 49_470.0))).stop == D(49450)
    near_round = replace(WISH, signal=signal(stop_frac=0.0105), atr=80.0)
    assert sized(near_round, mark=49_535.0).stop == D(48980)


def test_a_stop_that_costs_reward_to_risk_is_refused_with_its_code() -> None:
    """Beyond the swing the target is worth less than 1.3 R."""
    assert refusal(replace(WISH, atr=80.0, swing=49_200.0)) == [CheckCode.REWARD_TO_RISK]


def test_the_wished_target_is_clamped() -> None:
    """The council cannot wish for the moon."""
    assert sized(replace(WISH, target_r=50.0)).target == D(52500)


# --- leverage and quantity -------------------------------------------------------------


@pytest.mark.parametrize(
    ("regime", "confidence", "leverage"),
    [
        (Regime.TRENDING_UP, 0.95, 5),
        (Regime.TRENDING_DOWN, 0.85, 4),
        (Regime.TRENDING_UP, 0.60, 3),
        (Regime.RANGING, 0.95, 3),
        (Regime.VOLATILE, 0.95, 2),
    ],
)
def test_leverage_follows_regime_and_confidence(
    regime: Regime, confidence: float, leverage: int
) -> None:
    """Trending and sure 4 to 5, ranging 3, volatile 2."""
    assert sized(replace(WISH, regime=regime, confidence=confidence)).leverage == leverage


def test_leverage_is_lowered_until_the_stop_comes_before_liquidation() -> None:
    """At 5x of a 5x market liquidation is 11 % away: too near for a stop at 10 %."""
    policy = replace(POLICY, min_stop_frac=0.05, max_stop_frac=0.10)
    small = replace(INSTRUMENT, max_leverage=5)
    wish = replace(WISH, signal=signal(stop_frac=0.10))
    intent = size(wish, small, market(50_000.0), D(1000), policy, TRACE)
    assert isinstance(intent, Intent)
    assert intent.leverage == 4
    price = liquidation_at_entry(Side.LONG, D(1), D(50_000), 5, small)
    assert price == pytest.approx(D(50_000) * (1 - (D("0.2") - D("0.1")) / D("0.9")))


def test_soft_flags_halve_the_size_and_cap_leverage() -> None:
    """Volatile, where it is soft: leverage at most 2, half size."""
    whole, half = sized(), sized(replace(WISH, soft=SoftEffect(2, 0.5)))
    assert half.leverage == 2
    assert abs(half.quantity - whole.quantity / 2) <= INSTRUMENT.lot


def test_quantity_is_risk_over_loss_at_the_stop_with_fees() -> None:
    """10 USD over 500 + 0.00045 x (50,000 + 49,500), rounded down to the lot."""
    assert sized().quantity == D("0.01835")


def test_margin_and_room_cap_the_size_from_risk() -> None:
    """75 USD at 5x are 375 of notional; 100 USD of room are 100."""
    assert sized(policy=replace(POLICY, max_margin_usd=D(75))).notional == D(375)
    assert sized(room=D(100)).notional == D(100)


def test_what_is_too_small_is_refused() -> None:
    """Under the venue's 10 USD, or under the least margin."""
    assert CheckCode.MIN_NOTIONAL in refusal(capital="5")
    assert refusal(policy=replace(POLICY, min_margin_usd=D(500))) == [CheckCode.MIN_MARGIN]
    assert CheckCode.MIN_NOTIONAL in refusal(replace(WISH, soft=SoftEffect(None, 0.0)))


def test_a_tick_coarser_than_the_slippage_bound_is_refused() -> None:
    """At 1.75 in steps of 0.1 no limit lies between the mark and 0.5 % beyond."""
    wide = replace(POLICY, min_stop_frac=0.05, max_stop_frac=0.10)
    verdict = size(WISH, INSTRUMENT, market(1.75), D(1000), wide, TRACE)
    assert isinstance(verdict, Refused)
    assert CheckCode.PRECISION in [check.code for check in verdict.failed]


@pytest.mark.parametrize("mark", [0.0, -1.0, float("nan"), float("inf")])
def test_without_a_price_nothing_is_sized(mark: float) -> None:
    """A price that is none is stale data."""
    verdict = size(WISH, INSTRUMENT, market(mark), D(1000), POLICY, TRACE)
    assert isinstance(verdict, Refused)
    assert [check.code for check in verdict.failed] == [CheckCode.DATA_FRESH]


def test_every_leg_has_its_own_stable_name() -> None:
    """Client ids of entry, stop and target come from trace, leg and attempt."""
    intent = sized()
    assert intent.cloid == client_id(TRACE, Leg.ENTRY, 0)
    assert intent.stop_cloid == client_id(TRACE, Leg.STOP, 0)
    assert intent.target_cloid == client_id(TRACE, Leg.TARGET, 0)
    again = reduce(LONG, market(50_000.0), INSTRUMENT, ExitReason.STOP, 1, 0.02)
    assert again.cloid == client_id(TRACE, Leg.EXIT, 1)  # a resent exit is another order


# --- exits and protection --------------------------------------------------------------

LONG = Position(BTC, Side.LONG, D("0.01835"), D(50_000), Ms(0), TRACE, "s")


@given(
    st.sampled_from(Side),
    marks,
    st.sampled_from(EXIT_SLIPPAGE),
    instruments,
    st.integers(1, 10**6),
)
def test_an_exit_reduces_and_is_marketable(
    side: Side, mark: float, slippage: float, instrument: Instrument, lots: int
) -> None:
    """Whole position, other side, limit at least the slippage beyond mark and touch."""
    position = replace(LONG, side=side, quantity=lots * instrument.lot)
    intent = reduce(position, market(mark), instrument, ExitReason.FLATTEN, 1, slippage)
    assert intent.reduce_only
    assert intent.is_buy is (side is Side.SHORT)
    assert intent.quantity == position.quantity
    assert instrument.price_is_valid(intent.limit)
    edge = 1 + slippage if intent.is_buy else 1 - slippage
    worst = float(intent.limit) / (mark * edge)
    if intent.limit > instrument.tick(intent.limit):  # nothing is sold under one tick
        assert worst >= 1 - 1e-9 if intent.is_buy else worst <= 1 + 1e-9


def test_an_exit_is_made_even_without_a_usable_price() -> None:
    """Measured from the entry then; an exit is never dropped."""
    blind = replace(market(1.0), mark=float("nan"), bid=0.0)
    intent = reduce(LONG, blind, INSTRUMENT, ExitReason.MANUAL, 0, 0.10)
    assert intent.limit == D(45_000)


def test_an_exit_under_one_tick_is_still_made() -> None:
    """Rounding down to nothing would drop it."""
    coarse = replace(INSTRUMENT, size_decimals=4)
    intent = reduce(LONG, market(0.0078), coarse, ExitReason.STOP, 0, 0.02)
    assert intent.limit == D("0.01")


def test_an_exit_is_measured_from_the_worse_of_mark_and_book() -> None:
    """A mark above the book must not make a sale miss it."""
    apart = replace(market(50_000.0), bid=48_000.0)
    assert reduce(LONG, apart, INSTRUMENT, ExitReason.STOP, 0, 0.02).limit == D(47_040)


@pytest.mark.parametrize(
    ("side", "leg", "trigger", "limit"),
    [
        (Side.LONG, Leg.STOP, "49501", "44550"),
        (Side.LONG, Leg.TARGET, "49501", "44550"),
        (Side.SHORT, Leg.STOP, "49500", "54450"),
        (Side.SHORT, Leg.TARGET, "49500", "54450"),
    ],
)
def test_protection_rests_at_a_tick_with_its_limit_ten_percent_beyond(
    side: Side, leg: Leg, trigger: str, limit: str
) -> None:
    """Stops round towards the market, targets away from it, limits outward."""
    intent = protect(replace(LONG, side=side), leg, 49_500.4, INSTRUMENT, 3)
    assert (intent.trigger, intent.limit) == (D(trigger), D(limit))
    assert intent.reduce_only
    assert intent.cloid == client_id(TRACE, leg, 3)


def test_only_stops_and_targets_protect() -> None:
    """An entry is no protection."""
    with pytest.raises(ValueError, match="entry"):
        protect(LONG, Leg.ENTRY, D(1), INSTRUMENT, 0)


@given(st.floats(1e-9, 1e9))
def test_a_float_becomes_the_decimal_it_prints_as(value: float) -> None:
    """So that replay gives the same digits."""
    assert float(exact(value)) == value
    assert str(exact(0.1)) == "0.1"

"""No profile is dead: for each some set-up passes approval, sizing and risk together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.approval import ApprovalPolicy, Candidate, approve
from bot.domain.council import CouncilPolicy, analyst, convene
from bot.domain.instrument import Instrument
from bot.domain.portfolio import PortfolioView
from bot.domain.reachability import Reach, reachable
from bot.domain.reasons import CheckCode
from bot.domain.risk import RiskFacts, RiskLimits, clear
from bot.domain.sizing import SizingPolicy, Wish, reward_to_risk, size
from bot.domain.types import (
    Approved,
    Cleared,
    Intent,
    Market,
    Ms,
    Refused,
    Regime,
    Score,
    Side,
    Signal,
    SoftEffect,
    Symbol,
    Tier,
    TraceId,
)

D = Decimal
BTC = Symbol("BTC")
NOW = Ms(1_000_000_000)


@dataclass(frozen=True)
class Profile:
    """One column of spec 05, "Numbers by profile", as the gates take it."""

    name: str
    capital: Decimal
    approval: ApprovalPolicy
    sizing: SizingPolicy
    limits: RiskLimits


def profile(
    name: str,
    risk: float,
    stops: tuple[float, float],
    min_profit: str,
    min_r: float,
    tier: int,
    confidence: float,
    capital: int,
    leverage: int,
    caps: tuple[int, float, int],
    margins: tuple[Decimal | None, Decimal | None] = (None, None),
    cost_multiple: float = 0.0,
) -> Profile:
    positions, notional_x, correlated = caps
    low, high = stops
    return Profile(
        name,
        D(capital),
        ApprovalPolicy(confidence, Tier(tier), min_r, rules_may_trade=True),
        SizingPolicy(risk, low, high, leverage, notional_x, min_r, margins[0], margins[1]),
        RiskLimits(
            positions,
            notional_x,
            correlated,
            leverage,
            low,
            high,
            D(min_profit),
            min_margin_usd=margins[0] or D(0),
            profit_cost_multiple=cost_multiple,
        ),
    )


PROFILES = [
    profile("conservative", 0.02, (0.07, 0.08), "3", 1.5, 2, 0.80, 100, 3, (2, 1.0, 1)),
    profile("aggressive", 0.01, (0.05, 0.10), "5", 1.5, 3, 0.75, 500, 5, (4, 2.0, 2)),
    profile(
        "scalper",
        0.01,
        (0.006, 0.02),
        "0.50",
        1.3,
        3,
        0.75,
        500,
        5,
        (3, 2.0, 2),
        (D(25), D(75)),
        2.0,
    ),
    profile("demo", 0.01, (0.005, 0.02), "0.50", 1.3, 3, 0.55, 1000, 5, (5, 2.0, 2)),
]
each_profile = pytest.mark.parametrize("one", PROFILES, ids=lambda one: one.name)
# Size decimals and price as the venue pairs them: BTC, ETH, SOL, AVAX, DOGE.
coins = st.tuples(
    st.sampled_from([(5, 65_000.0), (4, 3_000.0), (2, 150.0), (2, 20.0), (0, 0.2)]),
    st.floats(0.5, 1.5),
    st.sampled_from([5, 10, 20, 40]),
).map(
    lambda drawn: (
        Instrument(BTC, "BTC", 0, drawn[0][0], drawn[2], ()),
        float(f"{drawn[0][1] * drawn[1]:.5g}"),
    )
)


@dataclass(frozen=True)
class Setup:
    """What the market and the strategies offer."""

    side: Side
    regime: Regime
    score: float
    stop_frac: float
    target_r: float = 2.0  # the default of a strategy's SPEC
    soft: SoftEffect = SoftEffect()


def outcome(
    one: Profile, setup: Setup, instrument: Instrument, mark: float
) -> Approved | Cleared | Refused | None:
    """The road from score to risk with the rules analyst; None when approval refused."""
    signal = Signal(
        BTC, setup.side, 1.0, setup.stop_frac, setup.target_r, "breakout", "technical", 1.0, ""
    )
    tier = Tier.TIER_2_STRONG_BUY if setup.score >= 70 else Tier.TIER_3_WATCHLIST
    score = Score((), setup.score, tier)
    voice = analyst(signal, score, ())
    decision = convene([voice], [], [voice.seat], {}, CouncilPolicy())
    wish = Wish(signal, decision.confidence, setup.regime, mark * 0.001, soft=setup.soft)
    market = Market(BTC, mark, mark, mark * 0.9999, mark * 1.0001, 1e-5, 0.0, 0.0, mark, NOW)
    sized = size(wish, instrument, market, one.capital, one.sizing, TraceId("t"))
    if isinstance(sized, Refused):
        return sized
    candidate = Candidate(signal, score, decision, (), True, reward_to_risk(sized))
    if not isinstance(approve(candidate, one.approval), Approved):
        return None
    view = PortfolioView(one.capital, one.capital, one.capital, {})
    facts = RiskFacts(NOW, market, 1.0, 30_000, 60_000, venue_healthy=True, clock_skew_ms=50)
    return clear(sized, view, facts, one.limits, instrument)


@each_profile
@given(
    side=st.sampled_from(Side),
    regime=st.sampled_from(Regime),
    score=st.floats(70, 100),
    place=st.floats(0, 1),
    coin=coins,
)
def test_a_strong_signal_in_a_healthy_market_passes_every_gate(
    one: Profile,
    side: Side,
    regime: Regime,
    score: float,
    place: float,
    coin: tuple[Instrument, float],
) -> None:
    """In every regime, either side, for any stop in the lower half of the profile's bounds.

    With the strategies' target of 2 R, or where a round number or MIN_PROFIT is in the way of
    that, with the nearest stop or with 3 R.
    """
    instrument, mark = coin
    low, high = one.sizing.min_stop_frac, one.sizing.max_stop_frac
    setup = Setup(side, regime, score, low + (high - low) * place / 2)
    tries = [setup, replace(setup, stop_frac=low), replace(setup, target_r=3.0)]
    verdicts = [outcome(one, each, instrument, mark) for each in tries]
    assert any(isinstance(verdict, Cleared) for verdict in verdicts), verdicts


@each_profile
@pytest.mark.parametrize("regime", list(Regime))
@pytest.mark.parametrize("side", list(Side))
def test_no_regime_or_soft_flag_makes_a_profile_dead(
    one: Profile, regime: Regime, side: Side
) -> None:
    """Half the size and leverage 2 still leave something that may trade."""
    soft = SoftEffect(2, 0.5)
    instrument = Instrument(BTC, "BTC", 0, 5, 40, ())
    found = [
        (stop, target)
        for stop in (one.sizing.min_stop_frac, one.sizing.max_stop_frac)
        for target in (1.5, 2.0, 3.0, 5.0)
        if isinstance(
            outcome(one, Setup(side, regime, 75.0, stop, target, soft), instrument, 48_765.0),
            Cleared,
        )
    ]
    assert found


@each_profile
@given(mark=st.floats(100, 90_000))
def test_the_smallest_move_is_told(one: Profile, mark: float) -> None:
    """What `check` prints passes the gates, and is no smaller than reward to risk allows."""
    instrument = Instrument(BTC, "BTC", 0, 5, 40, ())
    reach = reachable(one.sizing, one.limits, instrument, one.capital, mark)
    assert isinstance(reach, Reach)
    assert one.sizing.min_stop_frac <= reach.stop_frac <= one.sizing.max_stop_frac
    assert reach.move_frac >= reach.stop_frac * one.sizing.min_reward_to_risk * 0.999
    assert reach.notional >= instrument.min_notional
    assert reach.margin * reach.leverage == pytest.approx(reach.notional)


DEMO = PROFILES[3]
ANY = Instrument(BTC, "BTC", 0, 5, 40, ())


@pytest.mark.parametrize(
    ("sizing", "limits", "capital", "code"),
    [
        (DEMO.sizing, replace(DEMO.limits, min_profit_usd=D(200)), D(1000), CheckCode.MIN_PROFIT),
        (DEMO.sizing, DEMO.limits, D(4), CheckCode.MIN_NOTIONAL),
        (
            replace(DEMO.sizing, max_target_r=1.2),
            DEMO.limits,
            D(1000),
            CheckCode.REWARD_TO_RISK,
        ),
        (DEMO.sizing, replace(DEMO.limits, min_stop_frac=0.5), D(1000), CheckCode.STOP_DISTANCE),
        (
            replace(DEMO.sizing, max_margin_usd=D(10)),
            replace(DEMO.limits, min_margin_usd=D(25)),
            D(1000),
            CheckCode.MIN_MARGIN,
        ),
    ],
)
def test_a_dead_configuration_is_found_and_its_rule_named(
    sizing: SizingPolicy, limits: RiskLimits, capital: Decimal, code: CheckCode
) -> None:
    """So that it becomes a ConfigError instead of 141,330 silent traces."""
    verdict = reachable(sizing, limits, ANY, capital, 50_000.0)
    assert isinstance(verdict, Refused)
    assert code in [check.code for check in verdict.failed]


def test_the_search_uses_the_real_gates() -> None:
    """The set-up it names is an intent that size and clear let through."""
    reach = reachable(DEMO.sizing, DEMO.limits, ANY, DEMO.capital, 48_765.0)
    assert isinstance(reach, Reach)
    setup = Setup(Side.LONG, Regime.TRENDING_UP, 95.0, reach.stop_frac, reach.target_r)
    assert isinstance(outcome(DEMO, setup, ANY, 48_765.0), Cleared)
    wish = Wish(
        Signal(BTC, Side.LONG, 1.0, reach.stop_frac, reach.target_r, "", "", 1.0, ""),
        1.0,
        Regime.TRENDING_UP,
        0.0,
    )
    market = Market(BTC, 48_765.0, 48_765.0, 48_765.0, 48_765.0, 0.0, 0.0, 0.0, 1.0, NOW)
    again = size(wish, ANY, market, DEMO.capital, DEMO.sizing, TraceId("t"))
    assert isinstance(again, Intent)
    assert again.quantity == reach.quantity

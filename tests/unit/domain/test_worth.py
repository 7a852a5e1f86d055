"""Whether asking is worth its price: the figures, and what cannot be sized."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from bot.domain.reasons import Check, CheckCode
from bot.domain.types import Refused, Score, Tier
from bot.domain.worth import Price, expected_gain, worth_asking
from tests.unit.domain.test_sizing import sized

D = Decimal
EVEN = Score((), 50.0, Tier.TIER_4_NEUTRAL)
FREE = Price(D(0), 0.0)
INTENT = replace(
    sized(), reference=D(100), stop=D(99), target=D(102), quantity=D(2)
)  # risk 2 USD, reward 4 USD, notional 200 USD


def test_the_gain_is_win_rate_times_target_minus_loss_rate_times_stop() -> None:
    """At 50 of 100: half of 4 minus half of 2."""
    assert expected_gain(EVEN, INTENT) == D(1)
    assert expected_gain(replace(EVEN, total=0.0), INTENT) == D(-2)
    assert expected_gain(replace(EVEN, total=140.0), INTENT) == D(4)


def test_a_trade_must_bring_more_than_asking_and_the_round_trip_cost() -> None:
    """1.00 USD of gain against 0.50 for the answers and 0.20 for each way."""
    notional = INTENT.notional
    found = worth_asking(EVEN, INTENT, Price(D("0.5"), 0.001))
    assert found.limit == float(D("0.5") + 2 * D("0.001") * notional)
    assert (found.code, found.ok, found.value) == (CheckCode.WORTH_ASKING, True, 1.0)
    assert not worth_asking(EVEN, INTENT, Price(D("1.0"), 0.0)).ok
    assert worth_asking(EVEN, INTENT, Price(D("0.99"), 0.0)).ok


def test_a_trade_without_an_edge_is_not_asked_about_even_for_nothing() -> None:
    """A local model costs nothing; the time of the council is not free."""
    assert not worth_asking(replace(EVEN, total=33.0), INTENT, FREE).ok
    assert worth_asking(replace(EVEN, total=34.0), INTENT, FREE).ok


def test_what_cannot_be_sized_is_not_worth_asking() -> None:
    """And the check says which bound forbids it."""
    refused = Refused((Check(CheckCode.MIN_NOTIONAL, False), Check(CheckCode.PRECISION, True)))
    found = worth_asking(EVEN, refused, FREE)
    assert (found.ok, found.note) == (False, "no size fits: min_notional")

"""What must not matter does not: mirror, scale and order of the deterministic half."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.domain.council import analyst
from bot.domain.proposal import Rule
from bot.domain.types import Action, Bars, Market, Regime, Side
from bot.pipeline.decide import Silence, Thought, decide, see, think
from bot.plugins import load_strategies, names
from tests.council import answer
from tests.series import market, mirrored, scaled, walk
from tests.unit.pipeline.given import BTC, ETH, POLICIES, SOL
from tests.unit.pipeline.test_council import council, decision_of, three
from tests.unit.pipeline.thinking import M5

RULES = load_strategies(names("strategies"), {})
TURNED = {Action.LONG: Action.SHORT, Action.SHORT: Action.LONG, Action.HOLD: Action.HOLD}
MIRROR = {
    Regime.TRENDING_UP: Regime.TRENDING_DOWN,
    Regime.TRENDING_DOWN: Regime.TRENDING_UP,
    Regime.RANGING: Regime.RANGING,
    Regime.VOLATILE: Regime.VOLATILE,
}
WINDOW = 400


def thought(bars: Bars, price: Market, rules: Sequence[Rule]) -> Thought | Silence:
    return think(see(BTC, {M5: bars}, price, POLICIES), rules, POLICIES)


def vote(bars: Bars, funding: float = 2e-5) -> tuple[Action, str, float] | None:
    """The rules' word on the last bar; None where they are silent."""
    found = thought(bars, market(bars, funding=funding), RULES)
    if isinstance(found, Silence):
        return None
    said = analyst(found.proposal.signal, found.score, found.flags)
    return said.action, found.proposal.signal.strategy, said.confidence


def regime_of(bars: Bars) -> Regime:
    return see(BTC, {M5: bars}, market(bars), POLICIES).regime.regime


def windows() -> list[Bars]:
    """Windows of walks in which a strategy speaks."""
    found = []
    for seed in range(12):
        bars = walk(900, seed=seed, step=0.002, drift=0.0002 * (seed % 3 - 1))
        for end in range(WINDOW, len(bars), 7):
            window = bars[end - WINDOW : end]
            if vote(window) is not None:
                found.append(window)
            if len(found) == 60:
                return found
    return found


WINDOWS = windows()


def test_there_is_something_to_compare() -> None:
    """Enough windows, of both sides."""
    sides = {found.proposal.signal.side for bars in WINDOWS if (found := _spoken(bars))}
    assert len(WINDOWS) >= 30 and sides == set(Side)


def _spoken(bars: Bars) -> Thought | None:
    found = thought(bars, market(bars), RULES)
    return found if isinstance(found, Thought) else None


@pytest.mark.parametrize("factor", [10.0, 0.1, 1e-5])
def test_prices_times_ten_give_the_same_vote(factor: float) -> None:
    """No rule knows what a coin costs."""
    for bars in WINDOWS:
        assert vote(scaled(bars, factor)) == vote(bars)


def test_a_mirrored_series_gives_the_mirrored_vote() -> None:
    """No rule leans to one side; funding is mirrored with it.

    The same move is another share of another price once prices are reflected, so scores agree
    to two points of a hundred, and where ATR in percent of price tips the regime over its
    limit, the two windows are not each other's mirror any more.
    """
    compared = 0
    for bars in WINDOWS:
        other = mirrored(bars, around=float(bars.close[-1]))
        if regime_of(other) is not MIRROR[regime_of(bars)]:
            continue
        compared += 1
        here, there = vote(bars), vote(other, funding=-2e-5)
        assert here is not None and there is not None
        assert (there[0], there[1]) == (TURNED[here[0]], here[1])
        assert there[2] == pytest.approx(here[2], abs=0.02)
    assert compared >= 0.9 * len(WINDOWS)


def test_mirrored_opinions_give_the_mirrored_decision() -> None:
    """The count of votes knows no side."""
    bars = WINDOWS[0]
    found = _spoken(bars)
    assert found is not None
    said = analyst(found.proposal.signal, found.score, found.flags)
    here = decide([replace(said, action=Action.LONG)], [], POLICIES)
    there = decide([replace(said, action=Action.SHORT)], [], POLICIES)
    assert TURNED[here.action] is there.action
    assert here.confidence == there.confidence


async def test_permuted_symbols_give_the_same_decisions() -> None:
    """Whatever the order in which they are looked at, and in which the models answer."""
    found = []
    for order in itertools.permutations([BTC, ETH, SOL]):
        made = council(*three(text=answer(confidence=0.8)))
        await made.road.cycle(list(order))
        said = {
            offer.symbol: (offer.trail.body["decision"], offer.wish, offer.score)
            for offer in made.offers
        }
        found.append((sorted(said), {name: said[name] for name in sorted(said)}))
        assert decision_of(made).quorum_met
    assert all(one == found[0] for one in found[1:])
    assert set(found[0][0]) == {BTC, ETH, SOL}


@pytest.mark.parametrize("regime", list(Regime))
def test_every_strategy_treats_both_sides_of_a_regime_alike(regime: Regime) -> None:
    """What may go long in one trend may go short in the other."""
    for rule in RULES:
        turned = {side.opposite for side in rule.sides(regime)}
        assert set(rule.sides(MIRROR[regime])) == turned, rule.id

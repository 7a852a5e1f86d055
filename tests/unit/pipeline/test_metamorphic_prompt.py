"""What must not matter to a model does not: mirror, scale and order, in the prompt it reads."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Mapping

import pytest

from bot.domain.brief import brief_of
from bot.domain.evidence import hear, supports
from bot.domain.prompt import render
from bot.domain.types import (
    Abstention,
    Action,
    Bars,
    Brief,
    Direction,
    Messages,
    Opinion,
    Question,
    Symbol,
)
from bot.pipeline.decide import Thought
from bot.ports import Told, untold
from tests.council import FakeModel, answer, template
from tests.series import market, mirrored, scaled
from tests.unit.pipeline.given import BTC, ETH, SOL
from tests.unit.pipeline.test_council import council, decision_of
from tests.unit.pipeline.test_metamorphic import (
    MIRROR,
    RULES,
    TURNED,
    WINDOWS,
    regime_of,
    thought,
)

MUCH = 5e-4  # hourly funding that one side pays and the other feels; the standing rate is no zero
SWAPPED = {
    "levels.support_atr": "levels.resistance_atr",
    "levels.support_touches": "levels.resistance_touches",
    "levels.swing_low_atr": "levels.swing_high_atr",
}
SWAPPED |= {there: here for here, there in SWAPPED.items()}
WORDS = {
    "LONG": "SHORT",
    "trending_up": "trending_down",
    "longs_pay_much": "shorts_pay_much",
}
WORDS |= {there: here for here, there in WORDS.items()}
REFLECTED = {"rsi": 100.0, "stoch_k": 100.0, "mfi": 100.0, "bb_position": 1.0}
SIGNED = {
    "di_gap",
    "ema20_gap_atr",
    "ema50_gap_atr",
    "ema200_gap_atr",
    "vwap_gap_atr",
    "macd_hist_atr",
    "obv_change",
    "roc_percent",
}
# Shares of a price that is another one once it is reflected, and what rests on them.
OF_PRICE = {"regime.atr_percentile", "regime.confidence", "score.regime"}

Facts = Mapping[str, float | str]


def briefed(bars: Bars, funding: float) -> tuple[Brief, Messages]:
    """What the models would be asked about the last bar."""
    found = thought(bars, market(bars, funding=funding), RULES)
    assert isinstance(found, Thought)
    brief = brief_of(found.proposal, found.score, found.flags, found.snapshot)
    return brief, render(template(), brief)


def pairs() -> list[tuple[Bars, Bars]]:
    """Windows in which a strategy speaks, each with its mirror."""
    found = [(bars, mirrored(bars, around=float(bars.close[-1]))) for bars in WINDOWS]
    return [(here, there) for here, there in found if regime_of(there) is MIRROR[regime_of(here)]]


def facts_of(messages: Messages) -> Facts:
    """The facts as a model reads them: lines of the user message."""
    lines = [line.split(" = ") for line in messages.user.splitlines() if " = " in line]
    return {key: _number(value) for key, value in lines}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def turned(facts: Facts) -> Facts:
    """What the other side of the market would be told."""
    return {SWAPPED.get(key, key): _turned(key, value) for key, value in facts.items()}


def _turned(key: str, value: float | str) -> float | str:
    name = key.rpartition(".")[2]
    if name == "steps_atr":
        return " ".join(f"{-float(step) + 0:g}" for step in str(value).split())
    if isinstance(value, str):
        return WORDS.get(value, value)
    if name in REFLECTED:
        return REFLECTED[name] - value
    return -value if name in SIGNED else value


def test_a_mirrored_series_gives_the_mirrored_prompt() -> None:
    """Line by line: what spoke for one side speaks for the other, the stable part is the same."""
    assert len(pairs()) >= 30
    for here, there in pairs():
        (_, one), (_, other) = briefed(here, MUCH), briefed(there, -MUCH)
        assert one.system == other.system and one.version == other.version
        expected, found = turned(facts_of(one)), facts_of(other)
        assert expected.keys() == found.keys()
        for key, value in found.items():
            assert key in OF_PRICE or alike(key, value, expected[key]), (key, value, expected[key])


def alike(key: str, value: float | str, other: float | str) -> bool:
    """Equal words, equal numbers but for rounding; parts of the score to two points of 100."""
    if isinstance(value, str) or isinstance(other, str):
        return value == other
    return value == pytest.approx(other, rel=0.06, abs=2.0 if key.startswith("score.") else 0.02)


class Reader(FakeModel):
    """A model whose vote is what it reads: each fact speaks for the side that it backs."""

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        self.questions.append(question)
        facts = facts_of(question.messages)
        tally = {Direction.BULLISH: 0, Direction.BEARISH: 0, Direction.NEUTRAL: 0}
        for key, value in facts.items():
            for direction in supports(key, value):
                tally[direction] += 1
        lead = tally[Direction.BULLISH] - tally[Direction.BEARISH]
        action = Action.LONG if lead > 0 else Action.SHORT if lead < 0 else Action.HOLD
        confidence = round(min(0.5 + abs(lead) / 20, 1.0), 3)
        text = answer(action=action.value, confidence=confidence)
        return hear(self.name, text, question.brief)


async def read(bars: Bars, funding: float) -> Opinion:
    brief, messages = briefed(bars, funding)
    found = thought(bars, market(bars, funding=funding), RULES)
    assert isinstance(found, Thought)
    question = Question(found.proposal.signal, found.score, found.flags, brief, messages)
    said = await Reader("a").ask(question)
    assert isinstance(said, Opinion)
    return said


async def test_one_who_only_reads_the_mirrored_prompt_gives_the_mirrored_vote() -> None:
    """The prompt leans to no side; a fact at the edge of a reading may tip, not turn, a vote."""
    votes, same = 0, 0
    for here, there in pairs():
        one, other = await read(here, MUCH), await read(there, -MUCH)
        assert other.action in (TURNED[one.action], Action.HOLD) or one.action is Action.HOLD
        votes += one.action is not Action.HOLD
        same += (other.action, other.confidence) == (TURNED[one.action], one.confidence)
    assert votes >= 20
    assert same >= 0.9 * len(pairs())


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_prices_times_ten_give_the_same_bytes(factor: float) -> None:
    """What a coin costs is in no fact: the same question, the same answer, found by content."""
    for bars in WINDOWS:
        assert briefed(scaled(bars, factor), MUCH)[1] == briefed(bars, MUCH)[1]


class Moody(FakeModel):
    """A model whose answer, and its speed, hang on every byte that it is shown."""

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        self.questions.append(question)
        mood = hashlib.sha256((self.name + question.messages.user).encode()).digest()
        for _ in range(mood[0] % 16):
            await asyncio.sleep(0)
        text = answer(confidence=0.6 + mood[1] / 1_000, stop_atr=1 + mood[2] / 200)
        return hear(self.name, text, question.brief)


async def test_permuted_symbols_get_the_same_answers_to_their_own_questions() -> None:
    """Each coin's vote hangs on its own facts alone, whoever is asked before or answers first."""
    found: list[dict[Symbol, object]] = []
    for order in itertools.permutations([BTC, ETH, SOL]):
        made = council(Moody("a"), Moody("b"), Moody("c"))
        await made.road.cycle(list(order))
        said = {
            offer.symbol: (offer.trail.body["decision"], offer.wish, offer.score)
            for offer in made.offers
        }
        found.append({name: said[name] for name in sorted(said)})
        assert decision_of(made).quorum_met
    assert all(one == found[0] for one in found[1:])
    confidences = {str(one) for one in found[0].values()}
    assert set(found[0]) == {BTC, ETH, SOL} and len(confidences) == 3

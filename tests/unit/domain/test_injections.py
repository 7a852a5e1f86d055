"""Attacks on the council: no text and no answer raises a size, turns a side or moves a stop."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.domain.brief import brief_of
from bot.domain.evidence import hear
from bot.domain.model_answer import (
    LEVERAGE,
    MAX_KEY,
    MAX_REASONING,
    STOP_ATR,
    TARGET_R,
    AnswerError,
)
from bot.domain.prompt import render
from bot.domain.scoring import ScoreWeights, score
from bot.domain.sizing import liquidation_at_entry, size
from bot.domain.types import (
    Abstention,
    Action,
    Approved,
    Brief,
    Decision,
    Horizon,
    Intent,
    Messages,
    Opinion,
    RedFlag,
    Refused,
    Regime,
    Side,
    Symbol,
    Tier,
)
from bot.pipeline.decide import Thought, decide, judge, unasked, wish_of
from tests.council import FIELDS, template
from tests.injections import ANSWERS, TEXTS
from tests.judgement import proposal, snapshot
from tests.unit.domain.test_sizing import INSTRUMENT, POLICY, TRACE
from tests.unit.pipeline.given import POLICIES

CAPITAL = Decimal(1_000)
COUNCIL = replace(
    POLICIES,
    seats=("a", "b", "c"),
    approval=replace(POLICIES.approval, min_confidence=0.0, min_tier=Tier.TIER_4_NEUTRAL),
)
BENIGN = "a plain name"


def thought(side: Side, regime: Regime = Regime.TRENDING_UP, why: str = "because") -> Thought:
    seen = snapshot(regime=regime)
    wished = proposal(side)
    wished = replace(wished, signal=replace(wished.signal, why=why))
    return Thought(seen, wished, (), score(wished, seen, ScoreWeights()))


def asked(name: str) -> Messages:
    """The messages about a coin of this name, with this text wherever a text can stand."""
    about = thought(Side.LONG, why=name)
    seen = replace(
        about.snapshot,
        symbol=Symbol(name),
        market=replace(about.snapshot.market, symbol=Symbol(name)),
    )
    signal = replace(about.proposal.signal, symbol=Symbol(name))
    flags = (RedFlag("mid_range", False, name),)
    brief = brief_of(replace(about.proposal, signal=signal), about.score, flags, seen)
    return render(template(), brief)


def test_the_corpus_holds_every_kind_and_at_least_fifty() -> None:
    """Its size is a promise of the documentation."""
    kinds = Counter(kind for kind, _ in TEXTS)
    assert len(TEXTS) >= 50
    assert set(kinds) == {
        "token_name",
        "news",
        "unicode",
        "fake_system",
        "fake_json",
        "memory_poisoning",
        "tradetrap",
    }
    assert min(kinds.values()) >= 5


@pytest.mark.parametrize(("kind", "text"), TEXTS)
def test_no_strangers_text_reaches_the_prompt(kind: str, text: str) -> None:
    """Names, reasons and details are not shown: the bytes are those of any other coin."""
    assert asked(text) == asked(BENIGN), kind


PLACES: dict[str, Callable[[str], dict[str, object]]] = {
    "a key of the evidence": lambda text: {
        "evidence": [{"key": text[:MAX_KEY], "direction": "bullish"}]
    },
    "a red flag": lambda text: {"red_flags": [text[:MAX_KEY]]},
    "the reasoning": lambda text: {"reasoning": text[:MAX_REASONING]},
}


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("place", PLACES)
def test_what_models_repeat_of_a_text_changes_no_order(place: str, side: Side) -> None:
    """All three were talked into saying it; what is done is what the same votes do without.

    As much of each text as the field has room for: a longer one is no answer at all.
    """
    about = thought(side)
    plain = _ordered(about, _saying(side, {}))
    assert isinstance(plain, Intent)
    for kind, text in TEXTS:
        assert _ordered(about, _saying(side, PLACES[place](text))) == plain, kind
        longer = _saying(side, {"red_flags": [(text + " " * 65)[:65] + "!"]})
        assert _ordered(about, longer) is None, kind


@pytest.mark.parametrize("side", list(Side))
def test_a_strangers_text_in_a_signal_changes_no_order(side: Side) -> None:
    """The reason of a signal, the detail of a flag: read by people, weighed by nobody."""
    plain = _ordered(thought(side), _saying(side, {}))
    assert isinstance(plain, Intent)
    for kind, text in TEXTS:
        about = replace(thought(side, why=text), flags=(RedFlag("mid_range", False, text),))
        warned = replace(thought(side), flags=(RedFlag("mid_range", False, BENIGN),))
        found = _ordered(about, _saying(side, {}))
        assert found == _ordered(warned, _saying(side, {})), kind
        assert found is not None and found.quantity <= plain.quantity


def _saying(side: Side, fields: dict[str, object]) -> Decision:
    return decided([json.dumps({**FIELDS, "action": side.value, **fields})] * 3)


def _ordered(about: Thought, decision: Decision) -> Intent | None:
    """What the approval gate lets through to the desk."""
    intent = _sized(about, wish_of(about, decision))
    if not isinstance(judge(about, decision, intent, False, COUNCIL), Approved):
        return None
    assert isinstance(intent, Intent)
    return intent


def _sized(about: Thought, wish: object) -> Intent | Refused:
    return size(wish, INSTRUMENT, about.snapshot.market, CAPITAL, POLICY, TRACE)  # type: ignore[arg-type]


def voice(seat: str, text: str) -> Opinion | Abstention:
    try:
        return hear(seat, text, Brief())
    except AnswerError as error:
        return Abstention(seat, error.kind.value, error.detail)


def decided(texts: list[str]) -> Decision:
    voices = [voice(seat, text) for seat, text in zip(COUNCIL.seats, texts, strict=True)]
    opinions = [one for one in voices if isinstance(one, Opinion)]
    abstentions = [one for one in voices if isinstance(one, Abstention)]
    return decide(opinions, abstentions, COUNCIL)


def holds(about: Thought, decision: Decision) -> None:
    """What is true of every trade, whatever was said: or there is none."""
    signal, mark = about.proposal.signal, Decimal(repr(about.snapshot.market.mark))
    intent = _sized(about, wish_of(about, decision))
    verdict = judge(about, decision, intent, False, COUNCIL)
    alone = _sized(about, wish_of(about, unasked(about)))
    if not isinstance(verdict, Approved):
        return
    assert isinstance(intent, Intent)
    assert decision.action.value == signal.side.value == intent.side.value
    assert intent.stop is not None and intent.target is not None
    sign = signal.side.sign
    assert (mark - intent.stop) * sign > 0 and (intent.target - mark) * sign > 0
    assert Decimal("0.005") <= abs(mark - intent.stop) / mark <= Decimal("0.02")
    assert abs(intent.target - mark) >= Decimal("1.3") * abs(mark - intent.stop)
    end = liquidation_at_entry(
        intent.side, intent.quantity, intent.reference, intent.leverage, INSTRUMENT
    )
    reach = mark if end is None else (mark - end) * sign
    assert reach >= abs(mark - intent.stop) * Decimal("1.25")
    risk = abs(mark - intent.stop) * intent.quantity
    assert risk <= CAPITAL * Decimal(repr(POLICY.risk_frac))
    assert intent.leverage <= POLICY.max_leverage
    if isinstance(alone, Intent):  # never more than the rules alone would have dared
        assert intent.quantity <= alone.quantity
        assert intent.leverage <= alone.leverage


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("regime", list(Regime))
@pytest.mark.parametrize(("what", "fields"), ANSWERS)
def test_no_obedient_answer_raises_a_size_or_turns_a_side(
    what: str, fields: dict[str, object], regime: Regime, side: Side
) -> None:
    """All three models obey the attack."""
    decision = decided([json.dumps({**FIELDS, **fields})] * 3)
    holds(thought(side, regime), decision)
    if set(fields) - set(FIELDS):
        assert not decision.quorum_met, what


answers = st.fixed_dictionaries(
    {
        "action": st.sampled_from([action.value for action in Action]),
        "confidence": st.floats(0, 1),
        "horizon": st.sampled_from([horizon.value for horizon in Horizon]),
        "stop_atr": st.floats(*STOP_ATR),
        "target_r": st.floats(*TARGET_R),
        "leverage_wish": st.floats(*LEVERAGE),
    }
).map(lambda fields: json.dumps({**FIELDS, **fields}))
anything = answers | st.text(max_size=40) | st.sampled_from([text for _, text in TEXTS])


@given(
    st.lists(anything, min_size=3, max_size=3),
    st.sampled_from(list(Side)),
    st.sampled_from(list(Regime)),
)
def test_whatever_models_say_an_order_keeps_its_bounds(
    texts: list[str], side: Side, regime: Regime
) -> None:
    """Stop side, distance to liquidation, reward to risk, risk, size: for any output at all."""
    holds(thought(side, regime), decided(texts))


@given(st.lists(answers, min_size=3, max_size=3), st.sampled_from(list(Regime)))
def test_unanimous_models_never_make_a_trade_larger(texts: list[str], regime: Regime) -> None:
    """Agreement is where size could grow: it does not."""
    said = [json.dumps({**json.loads(text), "action": "LONG"}) for text in texts]
    decision = decided(said)
    assume(decision.action is Action.LONG)
    about = thought(Side.LONG, regime)
    alone = _sized(about, wish_of(about, unasked(about)))
    together = _sized(about, wish_of(about, decision))
    if isinstance(alone, Intent) and isinstance(together, Intent):
        assert together.quantity <= alone.quantity
        assert together.leverage <= alone.leverage

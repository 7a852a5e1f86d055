"""What an answer rests on: made-up keys, turned directions and invented numbers are found."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.evidence import READINGS, SHOWN, check, hear, quotations, supports
from bot.domain.model_answer import AnswerError, parse_answer
from bot.domain.types import Action, Brief, Direction, Fact
from tests.council import FIELDS, answer

UP, DOWN, FLAT = Direction.BULLISH, Direction.BEARISH, Direction.NEUTRAL
BRIEF = Brief(
    (
        Fact("signal.side", "LONG"),
        Fact("regime", "trending_up"),
        Fact("funding", "longs_pay"),
        Fact("5m.rsi", 61.2),
        Fact("5m.macd_hist_atr", 0.142),
        Fact("5m.adx", 31.0),
        Fact("1h.ema20_gap_atr", -1.48),
        Fact("levels.resistance_atr", 6.3),
        Fact("levels.support_touches", 3.0),
        Fact("5m.steps_atr", "0.1 -0.3 1.7"),
        Fact("5m.volume_ratio", 0.00042),
    )
)


def score_of(evidence: list[tuple[str, str]], reasoning: str = "") -> tuple[float | None, str]:
    rows = [{"key": key, "direction": direction} for key, direction in evidence]
    found = check(parse_answer(answer(evidence=rows, reasoning=reasoning)), BRIEF)
    return found.score, "; ".join(found.fabricated)


def test_what_the_brief_bears_out_scores_1() -> None:
    """Cited as they are, read as they can be read, quoted as they stand."""
    evidence = [("5m.rsi", "bullish"), ("regime", "bullish"), ("1h.ema20_gap_atr", "bearish")]
    said = "RSI 61.2 with MACD at 0.142 ATR over zero; 1h.ema20_gap_atr is -1.48."
    assert score_of(evidence, said) == (1.0, "")


def test_a_key_that_is_not_shown_is_found() -> None:
    """The fabricated RSI of another timeframe."""
    assert score_of([("5m.rsi", "bullish"), ("4h.rsi", "bullish")]) == (0.5, "no fact 4h.rsi")


def test_a_direction_that_the_fact_does_not_bear_is_found() -> None:
    """A histogram above zero is not bearish."""
    assert score_of([("5m.macd_hist_atr", "bearish")]) == (
        0.0,
        "5m.macd_hist_atr = 0.142 is not bearish",
    )


@pytest.mark.parametrize("said", ["RSI is 74.9", "a level at 46,319", "ADX stands at 58 %"])
def test_an_invented_number_is_found(said: str) -> None:
    """Quoted, and nowhere among the facts."""
    score, fabricated = score_of([("5m.rsi", "bullish")], said)
    assert score == 0.5
    assert fabricated.startswith("number ")


@pytest.mark.parametrize(
    "said",
    ["on 21.11.2026", "at 1.2.3", "worth 1.000.000", "a 61.2.", "1" * 2_000, f"{'9' * 400}.5 %"],
)
def test_what_reads_like_a_number_and_is_none_is_an_invention(said: str) -> None:
    """Dates, versions, digits without end: no fact says so, and no answer is lost over one."""
    known = said == "a 61.2."  # the end of a sentence is no part of a number
    score, fabricated = score_of([("5m.rsi", "bullish")], said)
    assert score == (1.0 if known else 0.5)
    assert known == (fabricated == "")
    assert len(fabricated) <= len("number ") + SHOWN


@pytest.mark.parametrize(
    "said",
    [
        "RSI at 61",  # rounded
        "the gap of 1.5 ATR",  # its sign in words
        "ADX 31, above the RSI 14 and EMA 200 of habit",  # names of indicators measure nothing
        "in the 5m and 1h frames, over 12 bars",  # so do timeframes and counts
        "3 touches of support",
        "the last step was 1.7 ATR",  # inside a fact that is a row of numbers
        "volume is 0.042 % of the mean",  # the same as a percentage
        "",
    ],
)
def test_a_number_within_tolerance_is_no_invention(said: str) -> None:
    """Rounding, signs, percentages and names are not held against a model."""
    assert score_of([("5m.rsi", "bullish")], said) == (1.0, "")


def test_nothing_cited_is_nothing_borne_out() -> None:
    """A verdict without evidence scores 0."""
    assert score_of([]) == (0.0, "nothing cited")


def test_numbers_inside_names_are_not_taken_for_quotations() -> None:
    """Only what claims to be measured."""
    text = "5m.rsi at 61.2, EMA 50 and MACD 12/26/9, score 0.5; wait 30 minutes"
    assert quotations(text, BRIEF) == ("61.2", "0.5")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("5m.rsi", 61.0, {UP}),
        ("5m.rsi", 39.0, {DOWN}),
        ("5m.rsi", 50.0, {UP, DOWN, FLAT}),
        ("5m.rsi", 81.0, {UP, DOWN}),  # the one follows it, the other fades it
        ("5m.rsi", 19.0, {UP, DOWN}),
        ("1h.di_gap", 12.0, {UP}),
        ("1h.di_gap", -12.0, {DOWN}),
        ("5m.adx", 12.0, {FLAT}),
        ("5m.adx", 40.0, {UP, DOWN, FLAT}),
        ("levels.support_atr", 0.5, {UP, FLAT}),
        ("levels.support_atr", 9.0, {FLAT}),
        ("levels.resistance_atr", 0.5, {DOWN, FLAT}),
        ("regime", "trending_down", {DOWN}),
        ("funding", "shorts_pay_much", {UP, FLAT}),
        ("flags", "mid_range", {FLAT}),
        ("signal.strength", 0.9, {FLAT}),
    ],
)
def test_what_each_fact_speaks_for(key: str, value: float | str, expected: set[Direction]) -> None:
    """The declared table, both ways."""
    assert supports(key, value) == expected


@pytest.mark.parametrize("name", sorted(READINGS))
def test_a_mirrored_fact_speaks_for_the_other_side(name: str) -> None:
    """No reading leans to one side."""
    middle = {"rsi": 50.0, "stoch_k": 50.0, "mfi": 50.0, "bb_position": 0.5}.get(name, 0.0)
    other = {
        "support_atr": "resistance_atr",
        "resistance_atr": "support_atr",
        "swing_low_atr": "swing_high_atr",
        "swing_high_atr": "swing_low_atr",
    }.get(name, name)
    turned = {UP: DOWN, DOWN: UP, FLAT: FLAT}
    for away in (0.01, 0.2, 0.4, 3.0, 20.0, 45.0):
        distance = other != name or name in ("adx", "volume_ratio")
        mirrored = away if distance else middle - away
        here, there = supports(name, middle + away), supports(other, mirrored)
        assert {turned[side] for side in here} == there


def test_an_opinion_keeps_the_score_the_fabrication_and_the_text() -> None:
    """For the trace, and for replay; calibrated it is not."""
    text = answer(evidence=[{"key": "9h.rsi", "direction": "bullish"}])
    opinion = hear("gpt", text, BRIEF)
    assert (opinion.seat, opinion.action, opinion.calibrated) == ("gpt", Action.LONG, False)
    assert (opinion.evidence_score, opinion.fabricated) == (0.0, ("no fact 9h.rsi",))
    assert opinion.text == text
    assert hear("gpt", text, BRIEF) == opinion


def test_a_models_words_are_cleaned_before_anybody_reads_them() -> None:
    """They end on a page and in a terminal."""
    opinion = hear(
        "gpt", answer(reasoning="up\u202e\x1b[31m\u200bnow", red_flags=["a\x00b"]), BRIEF
    )
    assert opinion.reasoning == "up[31mnow"
    assert opinion.red_flags == ("ab",)


digits = st.text(alphabet="0123456789.,-+−%٣² e\n", max_size=60)
words = st.one_of(st.text(max_size=60), digits, digits.map(lambda text: text * 30))
ANSWERS = st.fixed_dictionaries(
    {
        "reasoning": words.map(lambda text: text[:2_000]),
        "red_flags": st.lists(st.text(max_size=64), max_size=3),
        "evidence": st.lists(
            st.fixed_dictionaries(
                {
                    "key": st.text(max_size=64) | st.sampled_from([f.key for f in BRIEF.facts]),
                    "direction": st.sampled_from([side.value for side in Direction]),
                }
            ),
            max_size=4,
        ),
    }
)


@given(ANSWERS, st.booleans())
def test_no_valid_answer_makes_it_raise_anything_else(
    changed: dict[str, object], ascii_only: bool
) -> None:
    """Whatever the words are: an opinion with its score, or the one error of an answer."""
    text = json.dumps({**FIELDS, **changed}, ensure_ascii=ascii_only)
    with suppress(AnswerError):
        score = hear("gpt", text, BRIEF).evidence_score
        assert score is not None and 0 <= score <= 1


def test_a_text_that_is_no_answer_raises() -> None:
    """The seat abstains."""
    with pytest.raises(AnswerError):
        hear("gpt", "buy", BRIEF)

"""Whether an answer rests on what was shown: cited keys, their direction, quoted numbers.

Owns what bullish and bearish mean for each key, and the way from a text to an Opinion; knows
no endpoint. A score here is about honesty, not about being right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.domain.model_answer import ModelAnswer, parse_answer
from bot.domain.types import Attempt, Brief, Cited, Direction, Opinion
from bot.domain.untrusted import clean

TOLERANCE = 0.02  # of the quoted number: a model rounds, it does not invent within 2 %
SLACK = 0.011  # beside it, for small numbers quoted with two decimals
SHOWN = 64  # characters of a fabricated thing that are kept
SMALL_COUNTS = 20  # whole numbers up to here are counts ("3 of 4 frames"), not quotations
REASONING = 2_000

_UP, _DOWN, _FLAT = Direction.BULLISH, Direction.BEARISH, Direction.NEUTRAL
_BOTH = frozenset(Direction)
Reading = Callable[[float], frozenset[Direction]]


def _signed(dead: float) -> Reading:
    """Above zero bullish, below bearish, within `dead` also neutral."""

    def read(value: float) -> frozenset[Direction]:
        side = {_UP} if value > 0 else {_DOWN} if value < 0 else {_FLAT}
        return frozenset(side | ({_FLAT} if abs(value) <= dead else set()))

    return read


def _oscillator(middle: float, width: float) -> Reading:
    """Momentum on its side of the middle, exhaustion beyond `width` of it, neutral near it.

    An oscillator that has run out speaks for both readers: for the one who follows and for the
    one who fades. Which of them is right is the model's opinion, not a matter of fact.
    """

    def read(value: float) -> frozenset[Direction]:
        away = value - middle
        if abs(away) >= width:
            return frozenset({_UP, _DOWN})
        near = {_FLAT} if abs(away) <= width / 2 else set()
        return frozenset(near | ({_UP} if away >= 0 else set()) | ({_DOWN} if away <= 0 else set()))

    return read


def _strength(least: float) -> Reading:
    """Says how much, never which way: strong enough it may back any side, weak none."""

    def read(value: float) -> frozenset[Direction]:
        return _BOTH if value >= least else frozenset({_FLAT})

    return read


def _near(side: Direction, distance: float) -> Reading:
    """A level close by speaks for `side`; one farther away than `distance` ATR for nobody.

    A level that price has come to may also break, which is neutral, never the other side.
    """

    def read(value: float) -> frozenset[Direction]:
        return frozenset({side, _FLAT}) if value <= distance else frozenset({_FLAT})

    return read


# By the last part of a key ("1h.rsi" -> "rsi"); `bot.domain.brief` says what each number is.
READINGS: Mapping[str, Reading] = {
    "rsi": _oscillator(50.0, 15.0),
    "stoch_k": _oscillator(50.0, 30.0),
    "mfi": _oscillator(50.0, 25.0),
    "bb_position": _oscillator(0.5, 0.3),
    "macd_hist_atr": _signed(0.05),
    "ema20_gap_atr": _signed(0.25),
    "ema50_gap_atr": _signed(0.25),
    "ema200_gap_atr": _signed(0.25),
    "vwap_gap_atr": _signed(0.25),
    "roc_percent": _signed(0.1),
    "obv_change": _signed(0.1),
    "di_gap": _signed(5.0),
    "adx": _strength(20.0),
    "volume_ratio": _strength(0.8),
    "support_atr": _near(_UP, 3.0),
    "swing_low_atr": _near(_UP, 3.0),
    "resistance_atr": _near(_DOWN, 3.0),
    "swing_high_atr": _near(_DOWN, 3.0),
}
WORDS: Mapping[str, frozenset[Direction]] = {
    "trending_up": frozenset({_UP}),
    "trending_down": frozenset({_DOWN}),
    "ranging": frozenset({_FLAT}),
    "volatile": frozenset({_FLAT}),
    "LONG": frozenset({_UP}),
    "SHORT": frozenset({_DOWN}),
    "longs_pay_much": frozenset({_DOWN, _FLAT}),
    "longs_pay": frozenset({_DOWN, _FLAT}),
    "shorts_pay": frozenset({_UP, _FLAT}),
    "shorts_pay_much": frozenset({_UP, _FLAT}),
}


@dataclass(frozen=True, slots=True)
class Grounds:
    """How much of an answer the brief bears out; `score` 0 to 1, None with nothing to check."""

    score: float | None
    fabricated: tuple[str, ...]


def hear(
    seat: str,
    text: str,
    brief: Brief,
    *,
    attempts: tuple[Attempt, ...] = (),
    from_cache: bool = False,
) -> Opinion:
    """Turn a model's text into its opinion. Raises AnswerError where it is no answer.

    The same text and the same brief give the same opinion: replay calls this again.
    """
    answer = parse_answer(text)
    grounds = check(answer, brief)
    return Opinion(
        seat=seat,
        action=answer.action,
        confidence=answer.confidence,
        calibrated=False,
        reasoning=clean(answer.reasoning, REASONING),
        stop_atr=answer.stop_atr,
        target_r=answer.target_r,
        leverage_wish=answer.leverage_wish,
        attempts=attempts,
        evidence=tuple(Cited(clean(c.key, SHOWN), c.direction) for c in answer.evidence),
        red_flags=tuple(clean(flag, SHOWN) for flag in answer.red_flags),
        horizon=answer.horizon,
        evidence_score=grounds.score,
        fabricated=grounds.fabricated,
        text=text,
        from_cache=from_cache,
    )


def check(answer: ModelAnswer, brief: Brief) -> Grounds:
    """Compare every citation and every quoted number with the brief.

    Citing nothing scores 0: a verdict without evidence is not borne out.
    """
    wrong = [fault for cited in answer.evidence if (fault := _fault(cited, brief))]
    quoted = quotations(answer.reasoning, brief)
    known = _numbers(brief)
    wrong += [f"number {said[:SHOWN]}" for said in quoted if not _is_known(said, known)]
    checked = len(answer.evidence) + len(quoted)
    if not answer.evidence:
        wrong.append("nothing cited")
        checked += 1
    return Grounds(round(1 - len(wrong) / checked, 4), tuple(wrong))


def supports(key: str, value: float | str) -> frozenset[Direction]:
    """Every direction that a fact may be read in; a key without a reading is neutral."""
    if isinstance(value, str):
        return WORDS.get(value, frozenset({_FLAT}))
    reading = READINGS.get(key.rpartition(".")[2])
    return reading(value) if reading is not None else frozenset({_FLAT})


def quotations(reasoning: str, brief: Brief) -> tuple[str, ...]:
    """The numbers in a text that claim to be measured, as they are written there.

    Names of facts ("ema20_gap_atr", "5m.rsi") and the usual names of indicators ("EMA 200",
    "RSI 14") hold numbers that measure nothing; small whole numbers count things.
    """
    text = reasoning
    for key in sorted((fact.key for fact in brief.facts), key=len, reverse=True):
        text = text.replace(key, " ")
    text = _NAMES.sub(" ", text)
    found = (match.group(0) for match in _NUMBER.finditer(text))
    return tuple(said for said in found if not _is_count(said))


_PERCENT = r"\s?(?:%|percent\b)"
_NUMBER = re.compile(rf"(?<![\w.])[-+−]?\d+(?:[.,]\d+)*(?![\w])(?:{_PERCENT})?")
_NAMES = re.compile(
    r"(?i)\b(?:ema|sma|ma|rsi|atr|adx|bb|mfi|stoch(?:astic)?|macd|vwap|di)[\s_-]?\(?\d+"
    r"(?:[/,]\s?\d+)*\)?(?=\s|$|[.,;:)])(?!\s*(?:%|percent))"
    r"|\b\d+(?:\.\d+)?\s?[mhd]\b|\b\d+[- ](?:bars?|candles?|minutes?|hours?|days?)\b"
)


def _fault(cited: Cited, brief: Brief) -> str:
    """What is wrong with a citation; empty: nothing."""
    value, key = brief.value(cited.key), clean(cited.key, SHOWN)
    if value is None:
        return f"no fact {key}"
    if cited.direction not in supports(cited.key, value):
        return f"{key} = {value} is not {cited.direction.value}"
    return ""


def _numbers(brief: Brief) -> tuple[float, ...]:
    found: list[float] = []
    for fact in brief.facts:
        if isinstance(fact.value, str):
            found += [float(said) for said in re.findall(r"-?\d+(?:\.\d+)?", fact.value)]
        else:
            found.append(fact.value)
    return tuple(found)


def _is_known(said: str, known: tuple[float, ...]) -> bool:
    """Whether a quoted number is one of the brief's, whatever its sign.

    A percentage may stand for a percentage or for a share. What reads like a number and is none
    (a date, a version, digits without end) was measured nowhere.
    """
    figure = re.sub(_PERCENT, "", said)
    value = _figure(figure)
    if not math.isfinite(value):
        return False
    near = TOLERANCE * value + SLACK * (value < 1)
    scales = (1.0,) if figure == said else (1.0, 100.0)
    return any(abs(value - abs(number) * scale) <= near for number in known for scale in scales)


def _figure(text: str) -> float:
    """The size of a written number; not a number where it is none."""
    try:
        return abs(float(text.replace("−", "-").replace(",", "")))
    except ValueError:
        return math.nan


def _is_count(said: str) -> bool:
    return said.isdigit() and int(said) <= SMALL_COUNTS

"""What a model sees: facts free of price, coin and time, the same bytes for the same bars."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.brief import brief_of, plain_number, rounded
from bot.domain.evidence import READINGS
from bot.domain.indicators import Indicators
from bot.domain.prompt import FACTS, SPLIT, answer_key, render, template_of
from bot.domain.scoring import ScoreWeights, score
from bot.domain.snapshot import Snapshot, observe
from bot.domain.types import Brief, Fact, Messages, RedFlag, Symbol, Timeframe
from tests.council import template
from tests.judgement import M5, heading, proposal, snapshot
from tests.series import market, scaled, walk

H1 = Timeframe.H1
BARS = walk(400, seed=3)
HOURS = walk(300, seed=4, timeframe=H1, ts=int(BARS.ts[0]) - 290 * H1.ms)


def seen(factor: float = 1.0, funding: float = 1e-5) -> Snapshot:
    bars = {M5: scaled(BARS, factor), H1: scaled(HOURS, factor)}
    return observe(Symbol("BTC"), M5, bars, market(bars[M5], funding=funding), H1)


def brief(of: Snapshot, *flags: RedFlag) -> Brief:
    wished = proposal()
    return brief_of(wished, score(wished, of, ScoreWeights()), flags, of)


def shown(of: Brief) -> dict[str, float | str]:
    return {fact.key: fact.value for fact in of.facts}


def test_every_frame_and_every_kind_of_fact_is_shown() -> None:
    """Signal, score, flags, regime, funding, levels, momentum, trend, volume, steps."""
    keys = list(shown(brief(seen(), RedFlag("mid_range", False, "at 46,319"))))
    assert len(keys) == len(set(keys))
    for key in (
        "signal.side",
        "signal.stop_atr",
        "score.confluence",
        "flags",
        "regime",
        "1h.regime",
        "funding",
        "levels.support_atr",
        "5m.rsi",
        "1h.rsi",
        "5m.ema200_gap_atr",
        "5m.volume_ratio",
        "5m.steps_atr",
    ):
        assert key in keys, key


def test_every_reading_belongs_to_a_fact_that_is_shown() -> None:
    """The table of directions names nothing that no model can see."""
    shown_names = {key.rpartition(".")[2] for key in shown(brief(seen()))}
    assert set(READINGS) <= shown_names


def test_prices_times_ten_are_the_same_bytes() -> None:
    """Everything is a share, a ratio or a distance in ATR."""
    assert brief(seen(10.0)) == brief(seen())


def test_neither_coin_nor_price_nor_time_is_shown() -> None:
    """Nothing that a model could remember from its past, and no detail that quotes a price."""
    of = seen()
    user = render(template(), brief(of, RedFlag("mid_range", False, "at 46,319"))).user
    close = float(BARS.close[-1])
    assert "BTC" not in user and "46,319" not in user
    assert f"{close:.2f}" not in user
    assert str(int(BARS.ts[-1])) not in user and "2023" not in user


def test_live_prices_and_a_little_funding_change_no_byte() -> None:
    """From closed bars alone, so that an answer can be found again."""
    one = seen()
    other = replace(
        one,
        market=replace(
            one.market,
            mark=one.market.mark * 1.003,
            bid=1.0,
            ask=2.0,
            open_interest=7.0,
            volume_24h_usd=1.0,
            funding_hourly=1.1e-5,
        ),
    )
    assert brief(one) == brief(other)


@pytest.mark.parametrize(
    ("rate", "word"),
    [
        (0.0, "neutral"),
        (1.25e-5, "neutral"),
        (2e-5, "longs_pay"),
        (9e-5, "longs_pay_much"),
        (-2e-5, "shorts_pay"),
        (-9e-5, "shorts_pay_much"),
        (float("nan"), "neutral"),
    ],
)
def test_funding_is_a_word(rate: float, word: str) -> None:
    """The rate moves every second, the word seldom."""
    assert shown(brief(seen(funding=rate)))["funding"] == word


def test_what_is_not_known_is_not_shown() -> None:
    """Absent, never 0 and never 50."""
    bare = snapshot(now=Indicators(), contexts={H1: heading(1, 30.0)})
    keys = shown(brief(bare))
    assert "5m.rsi" not in keys and "5m.steps_atr" not in keys
    assert keys["1h.adx"] == 30.0


def test_steps_are_oldest_first() -> None:
    """Read the other way round the last candle would be the first."""
    bars = replace(BARS, close=BARS.close.copy())
    bars.close[-1] = bars.close[-2]
    of = replace(snapshot(bars=BARS, now=Indicators(atr=0.2)), bars={M5: bars})
    steps = str(shown(brief(of))["5m.steps_atr"]).split()
    assert (len(steps), steps[-1]) == (12, "0")


@given(st.floats(-1e9, 1e9))
def test_numbers_keep_three_digits_and_mirror_exactly(value: float) -> None:
    """A mirrored series shows mirrored numbers, never a negative zero."""
    assert rounded(-value) == -rounded(value)
    assert abs(rounded(value) - value) <= 0.005 * abs(value)
    assert not plain_number(rounded(value)).startswith("-0\0")
    assert "e" not in plain_number(rounded(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [(28.44, "28.4"), (0.00012345, "0.000123"), (-0.0, "0"), (1499.6, "1500"), (2.0, "2")],
)
def test_a_number_is_spelled_plainly(value: float, text: str) -> None:
    """No exponent, no trailing zeros."""
    assert plain_number(rounded(value)) == text


# --- the messages --------------------------------------------------------------------------------


def test_the_prefix_is_the_same_for_every_question() -> None:
    """Providers cache it; what differs comes after."""
    one = render(template(), brief(seen()))
    other = render(template(), Brief((Fact("5m.rsi", 12.0),)))
    assert one.system == other.system
    assert one.user != other.user
    assert FACTS not in one.system + one.user


def test_the_prompt_says_what_it_must() -> None:
    """The points of the specification, by their words."""
    text = template().system.lower()
    for word in (
        "preserve capital",
        "probabilit",
        "reward against risk",
        "regime",
        "leverage",
        "timeframes",
        "volume",
        "levels",
        "funding",
        "red flags",
        "swing",
        "0.90 to 1.00",
        "0.80 to 0.89",
        "0.75 to 0.79",
        "hold",
        "json",
        "evidence",
        "oldest first",
    ):
        assert word in text, word


def test_a_changed_template_is_another_version() -> None:
    """The hash is of its bytes; its name alone would not show an edit."""
    text = f"Rules.\n{SPLIT}\n{FACTS}\n"
    one, other = template_of("t", text), template_of("t", text.replace("Rules", "Rulez"))
    assert one.version != other.version
    assert one.version.startswith("t-") and len(one.version) == len("t-") + 12
    assert template_of("t", text.replace("\n", "\r\n")).version == one.version


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("no split {facts}", "stable and its volatile part"),
        (f"a\n{SPLIT}\nno place", "must stand once, in the volatile part"),
        (f"a\n{SPLIT}\n{FACTS}{FACTS}", "must stand once, in the volatile part"),
        (f"{FACTS}\n{SPLIT}\n{FACTS}", "must not stand in the stable part"),
    ],
)
def test_a_template_without_its_form_is_refused(text: str, named: str) -> None:
    """A volatile fact in the prefix would cost the cache; a missing one the facts."""
    with pytest.raises(ValueError, match=named):
        template_of("t", text)


def test_the_key_of_an_answer_is_of_every_byte() -> None:
    """Another model, another system text, another user text: another key; never a mix of two."""
    keys = {
        answer_key("m", Messages("s", "u", "v")),
        answer_key("n", Messages("s", "u", "v")),
        answer_key("m", Messages("t", "u", "v")),
        answer_key("m", Messages("s", "w", "v")),
        answer_key("ms", Messages("", "u", "v")),
        answer_key("m", Messages("su", "", "v")),
    }
    assert len(keys) == 6
    assert answer_key("m", Messages("s", "u", "v")) == answer_key("m", Messages("s", "u", "w"))

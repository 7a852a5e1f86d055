"""Answers that still hold: found by content, for as long as the bar lives, and never else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from bot.domain.errors import TransientError
from bot.domain.types import Abstention, Ms, Opinion, Question, Score, Tier, TraceId
from bot.pipeline.kept_answers import KeptAnswers
from bot.ports import Told, untold
from bot.runtime.clock import ManualClock
from tests.council import FakeModel, MemoryAnswers
from tests.judgement import wish
from tests.unit.pipeline.given import BTC, ETH
from tests.unit.pipeline.test_council import council, decision_of, three
from tests.unit.pipeline.thinking import CLOSE, M5
from tests.until import until


async def test_the_same_question_is_answered_from_what_was_said() -> None:
    """Another process, the same bar: no model is asked, the decision is the same."""
    store, seats = MemoryAnswers(), three()
    first = council(*seats, answers=store)
    await first.road.cycle([BTC])
    assert len(store.rows) == 3
    again = three(text="nobody asks")
    second = council(*again, answers=store)
    await second.road.cycle([BTC])
    assert not any(seat.questions for seat in again)
    assert (second.council.kept.hits, second.council.kept.hit_rate) == (3, 1.0)
    one, other = decision_of(first), decision_of(second)
    assert all(opinion.from_cache for opinion in other.opinions)
    assert [o.text for o in one.opinions] == [o.text for o in other.opinions]
    assert (one.action, one.confidence) == (other.action, other.confidence)


async def test_an_answer_lives_to_the_next_close_or_300_s_whichever_is_sooner() -> None:
    """The 5m bar closed 3 s ago: 297 s are left."""
    store = MemoryAnswers()
    made = council(*three(), answers=store)
    await made.road.cycle([BTC])
    assert {row.expires_at for row in store.rows.values()} == {CLOSE + M5.ms}
    assert {row.at for row in store.rows.values()} == {CLOSE + 3_000}


async def test_in_a_long_bar_it_lives_for_300_s() -> None:
    """In the memory of the process too, with no store behind it."""
    clock = ManualClock(CLOSE)
    kept, seat = KeptAnswers(clock), FakeModel("a")
    question = Question(wish(), Score((), 1.0, Tier.TIER_4_NEUTRAL), (), trace_id=TraceId("t"))
    kept.keep(seat, question, "said", Ms(CLOSE + 3_600_000))
    clock.advance(299_999)
    assert await kept.find(seat, question) == "said"
    clock.advance(1)
    assert await kept.find(seat, question) is None
    assert (kept.hits, kept.misses) == (1, 1)


async def test_its_life_is_a_setting() -> None:
    """ANSWER_CACHE_SECONDS: 0 keeps nothing."""
    clock, seat = ManualClock(CLOSE), FakeModel("a")
    question = Question(wish(), Score((), 1.0, Tier.TIER_4_NEUTRAL), (), trace_id=TraceId("t"))
    for life_ms, held in ((0, None), (10_000, "said")):
        kept = KeptAnswers(clock, None, life_ms)
        kept.keep(seat, question, "said", Ms(CLOSE + 3_600_000))
        assert await kept.find(seat, question) == held


async def test_an_answer_that_no_longer_holds_is_asked_for_again() -> None:
    """Found, expired, asked."""
    store = MemoryAnswers()
    await council(*three(), answers=store).road.cycle([BTC])
    store.rows = {key: replace(row, expires_at=Ms(CLOSE)) for key, row in store.rows.items()}
    seats = three()
    made = council(*seats, answers=store)
    await made.road.cycle([BTC])
    assert all(len(seat.questions) == 1 for seat in seats)
    assert made.council.kept.hit_rate == 0.0


async def test_another_model_or_another_byte_is_another_question() -> None:
    """The key is of everything that the model sees, and of the model."""
    store = MemoryAnswers()
    await council(*three(), answers=store).road.cycle([BTC])
    stranger = FakeModel("d")
    made = council(stranger, answers=store)
    await made.road.cycle([BTC])
    assert len(stranger.questions) == 1
    seats = three()
    made = council(*seats, answers=store)
    await made.road.cycle([ETH])
    assert all(len(seat.questions) == 1 for seat in seats)


async def test_a_live_price_that_moves_changes_no_byte_of_the_question() -> None:
    """From closed bars alone: that is why a stored answer can be found."""
    messages = []
    for factor in (1.0, 1.004):
        seats = three()
        made = council(*seats)
        market = made.kit.feed.market(BTC)
        assert market is not None
        made.kit.price(BTC, round(market.mark * factor, 2))
        await made.road.cycle([BTC])
        messages.append(seats[0].questions[0].messages)
    assert messages[0] == messages[1]


async def test_abstentions_are_never_kept() -> None:
    """A failure of now says nothing of the next minute."""
    store = MemoryAnswers()
    made = council(*three(abstains="transport"), answers=store)
    await made.road.cycle([BTC])
    assert store.rows == {}


async def test_what_came_instead_of_an_answer_is_not_kept_either() -> None:
    """An abstention may bring a text along, and the text may even be an answer."""

    class Stale(FakeModel):
        async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
            return Abstention(self.name, "stale", "too old by now", (), self.text)

    store = MemoryAnswers()
    made = council(Stale("a"), *three()[1:], answers=store)
    await made.road.cycle([BTC])
    assert sorted(row.seat for row in store.rows.values()) == ["b", "c"]


async def test_a_late_answer_is_not_kept() -> None:
    """It did not count: after a restart within the bar it must not vote."""
    seats, store = three(), MemoryAnswers()
    seats[2].gate = asyncio.Event()
    made = council(*seats, answers=store)
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(made.offers) == 1)
        seats[2].gate.set()
        await until(lambda: made.council.counts["late"] == 1)
    assert sorted(row.seat for row in store.rows.values()) == ["a", "b"]


async def test_a_store_that_is_away_costs_an_answer_and_stops_nothing() -> None:
    """The models are asked; the trade goes on."""
    store = MemoryAnswers()
    store.error = TransientError("away")
    made = council(*three(), answers=store)
    await made.road.cycle([BTC])
    assert len(made.offers) == 1


async def test_a_stored_text_that_is_no_answer_any_more_is_an_abstention() -> None:
    """Read by the rules of today, never by those of yesterday."""
    store = MemoryAnswers()
    await council(*three(), answers=store).road.cycle([BTC])
    store.rows = {key: replace(row, text="{}") for key, row in store.rows.items()}
    made = council(*three(), answers=store)
    await made.road.cycle([BTC])
    answers: Any = (made.offers[0].trail.body if made.offers else made.records[-1].body)["answers"]
    assert all(isinstance(one, Abstention) for one in answers["abstentions"])
    assert {one.kind for one in answers["abstentions"]} == {"schema"}

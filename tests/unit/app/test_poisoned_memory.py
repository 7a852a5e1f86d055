"""A restart on rows that somebody has written into: what is remembered moves no order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.seats.model import Purse
from bot.adapters.store import Store, StoreOptions, open_store
from bot.domain.prices import SpendingLimits
from bot.domain.prompt import answer_key
from bot.domain.sizing import size
from bot.domain.types import ASKED, Attempt, Intent, Messages, Ms, TraceId
from bot.pipeline.entry_lane import Offer
from bot.ports import StoredAnswer
from tests.council import FIELDS, FakeModel, answer, template
from tests.injections import ANSWERS, TEXTS
from tests.judgement import FixedRule
from tests.unit.adapters.store.fakes import FakeClock
from tests.unit.pipeline.given import BTC
from tests.unit.pipeline.test_council import decision_of, policies
from tests.unit.pipeline.thinking import CLOSE, M5, Thinking, thinking
from tests.unit.research.recorded import World

RULE = FixedRule("scalper.standard", target_r=4.0)
NAMES = ("a", "b", "c")
TEXT_COLUMNS = ("kind", "detail", "raw", "model", "system_fingerprint", "price_version", "action")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A database of this schema, with what an earlier process left in it."""
    world = World(tmp_path)
    await world._write()
    options = StoreOptions(f"sqlite+aiosqlite:///{world.path}", world.path.parent)
    opened = await open_store(options, FakeClock())
    yield opened
    await opened.close()


def started(store: Store, text: str) -> tuple[Thinking, list[FakeModel]]:
    """A process that has just begun on this database."""
    seats = [FakeModel(name, text) for name in NAMES]
    made = thinking(
        rules=[RULE],
        seats=seats,
        policies=policies(*seats),
        template=template(),
        answers=store.answers,
    )
    return made, seats


async def shown(store: Store) -> Messages:
    """What the models see of this bar."""
    made, seats = started(store, answer())
    made.council.kept._store = None
    await made.road.cycle([BTC])
    return seats[0].questions[0].messages


async def poison(store: Store, messages: Messages, texts: Sequence[str]) -> None:
    """Put a text where each model's answer to this very question would be."""
    for name, text in zip(NAMES, texts, strict=True):
        identity = FakeModel(name).identity
        key, until = answer_key(identity, messages), Ms(CLOSE + M5.ms)
        store.answers.put(StoredAnswer(key, name, identity, text[:40], text, Ms(CLOSE), until))
    await store.answers.flush()


async def test_poisoned_answers_are_no_votes(store: Store) -> None:
    """Found under the right key, read by the schema like any other answer: abstentions."""
    messages = await shown(store)
    texts = [text for _, text in TEXTS]
    for at in range(0, len(texts) - 2, 3):
        await poison(store, messages, texts[at : at + 3])
        made, seats = started(store, answer())
        await made.road.cycle([BTC])
        said = decision_of(made)
        assert made.offers == [] and len(said.abstentions) == 3
        assert {one.kind for one in said.abstentions} <= {"not_json", "schema"}
        assert not any(seat.questions for seat in seats)


@pytest.mark.parametrize(("what", "fields"), ANSWERS)
async def test_poisoned_votes_are_bounded_like_a_models_own(
    store: Store, what: str, fields: dict[str, object]
) -> None:
    """A forged answer of the right form: never the other side, never more than the rules dare."""
    await poison(store, await shown(store), [json.dumps({**FIELDS, **fields})] * 3)
    made, seats = started(store, answer())
    await made.road.cycle([BTC])
    assert not any(seat.questions for seat in seats), "it was not the poisoned row that spoke"
    if what == "all in":
        assert made.offers, "there is nothing to compare"
    for offer in made.offers:
        forged, alone = sized(made, offer)
        if isinstance(alone, Intent) and isinstance(forged, Intent):
            assert forged.side is alone.side is offer.wish.signal.side
            assert forged.quantity <= alone.quantity and forged.leverage <= alone.leverage


def sized(made: Thinking, offer: Offer) -> tuple[object, object]:
    """The trade as it is wished for, and as the rules alone would have sized it."""
    market, instrument = offer.snapshot.market, made.kit.instruments[BTC]
    policy = policies(FakeModel("a")).sizing
    alone = replace(
        offer.wish, confidence=offer.score / 100, stop_atr=None, target_r=None, leverage=None
    )
    found = [
        size(wish, instrument, market, Decimal(1_000), policy, TraceId("t"))
        for wish in (offer.wish, alone)
    ]
    return found[0], found[1]


async def test_poisoned_rows_of_costs_reach_neither_prompt_nor_budget(store: Store) -> None:
    """Every text column of `decisions` full of attacks: the next prompt has the same bytes."""
    before = await shown(store)
    rows = []
    for number, (_, text) in enumerate(TEXTS, start=1):
        row = Attempt(TraceId("BTC-20231116T0100-1"), "a", number, ASKED, FakeClock().wall())
        rows.append(replace(row, **dict.fromkeys(TEXT_COLUMNS, text)))
    await store.attempts.put(rows)
    purse = Purse(store.attempts, FakeClock(), SpendingLimits(Decimal(1), Decimal(5)))
    await purse.open()
    assert purse.spent + purse.reserved == 0
    assert await shown(store) == before
    made, seats = started(store, answer())
    await made.road.cycle([BTC])
    assert seats[0].questions[0].messages == before
    assert len(made.offers) == 1

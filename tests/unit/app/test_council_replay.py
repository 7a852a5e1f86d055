"""A decision of the council, decided again from the database alone, byte for byte."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.adapters.store import StoreOptions, open_store
from bot.app.offline import replay
from bot.app.policies import stored_config
from bot.app.world import world_name
from bot.domain.errors import ConfigError
from bot.domain.prompt import answer_key, bytes_hash
from bot.domain.types import Ms
from bot.pipeline.policies import fingerprint
from bot.ports import TraceRecord
from tests.council import FakeModel, answer, template
from tests.judgement import FixedRule
from tests.unit.adapters.store.fakes import FakeClock
from tests.unit.pipeline.given import BTC
from tests.unit.pipeline.test_council import decision_of, policies
from tests.unit.pipeline.thinking import CLOSE, M5, thinking
from tests.unit.research.recorded import World

RULE = FixedRule("scalper.standard", target_r=4.0)
EDGES = answer(reasoning="RSI is 99.9, \u201cso\u201d buy.", confidence=0.8123456789)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A database of this schema; the rule that proposed is the test's."""
    monkeypatch.setattr("bot.app.offline.load_strategies", lambda *_: (RULE,))
    return World(tmp_path).write()


async def decided(world: World) -> TraceRecord:
    """One cycle before a council on the real store; what a daemon leaves behind."""
    options = StoreOptions(f"sqlite+aiosqlite:///{world.path}", world.path.parent)
    store = await open_store(options, FakeClock())
    try:
        seats = [FakeModel("a", EDGES), FakeModel("b"), FakeModel("c", abstains="refusal")]
        given = policies(*seats)
        made = thinking(
            rules=[RULE], seats=seats, policies=given, template=template(), answers=store.answers
        )
        made.kit.trace_book._fingerprint = fingerprint(given)
        await made.road.cycle([BTC])
        (offer,) = made.offers
        made.kit.trace_book.close(offer.trail)
        record = made.records[-1]
        store.traces.put(record)
        config = stored_config(given, made.council.template)
        await store.journal.put_config(record.fingerprint, Ms(CLOSE), config)
        source = f"hyperliquid:{world_name(world.settings)}"
        await store.candles.put(source, (BTC, M5, made.kit.feed.windows[BTC, M5]))
        await store.answers.flush()
        messages = seats[0].questions[0].messages
        kept = await store.answers.get(answer_key(seats[0].identity, messages))
        assert kept is not None
        assert kept.text == EDGES == decision_of(made).opinions[0].text
        prompt = record.body["prompt"]
        assert isinstance(prompt, dict)
        assert prompt["hash"] == bytes_hash(messages)
        assert prompt["seats"] == {seat.name: seat.identity for seat in seats}
        return record
    finally:
        await store.close()


def test_a_councils_decision_is_decided_again_from_the_database_alone(world: World) -> None:
    """Facts, prompt bytes, stored answers, vote, gate: equal, and no model is asked."""
    record = asyncio.run(decided(world))
    code, said = replay(world.settings, record.trace_id)
    assert (code, len(said)) == (0, 1), said
    assert said[0].endswith("worth, prompt, answers, decision, approval")


def test_an_edit_of_the_template_on_the_disk_changes_no_replay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are with the configuration, under the version that the trace names."""
    record = asyncio.run(decided(world))
    monkeypatch.setattr("config.templates.PROMPTS", world.folder)
    assert replay(world.settings, record.trace_id)[0] == 0


def test_a_stored_template_of_other_bytes_is_refused(world: World) -> None:
    """Its version names what it held; one byte more is another prompt."""
    record = asyncio.run(decided(world))
    with closing(sqlite3.connect(world.path)) as db:
        ((body,),) = db.execute(
            "select body from config_history where fingerprint = ?", [record.fingerprint]
        )
        config = json.loads(body)
        config["prompts"][0]["user"] += "!"
        changed = [json.dumps(config), record.fingerprint]
        db.execute("update config_history set body = ? where fingerprint = ?", changed)
        db.commit()
    with pytest.raises(ConfigError, match="holds other bytes"):
        replay(world.settings, record.trace_id)

"""A recorded decision, decided again from its inputs and the stored candles."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.domain import canonical
from bot.domain.answer import Denied
from bot.domain.approval import ApprovalMode
from bot.domain.errors import ConfigError
from bot.domain.reasons import Reason, Stage
from bot.domain.types import Action, Bars, Tier, Timeframe
from bot.pipeline.desk import Desk
from bot.pipeline.policies import Policies
from bot.ports import TraceRecord
from bot.research.replay import (
    first_difference,
    replay,
    revive_policies,
    revive_prompts,
    windows_of,
)
from tests.council import FakeModel, answer, template
from tests.fakes import FakeSeat
from tests.judgement import FixedRule
from tests.unit.pipeline.given import BTC, LIMITS, POLICIES, running
from tests.unit.pipeline.test_council import policies as council_policies
from tests.unit.pipeline.thinking import EXPIRY_S, LONG, M5, SOURCE, Thinking, thinking

Windows = Mapping[Timeframe, Bars]


async def lived(made: Thinking) -> TraceRecord:
    """One cycle through to the desk; the trace as it comes back from the store."""
    await made.road.cycle([BTC])
    await made.keeper.flush()
    for one in made.offers:
        Desk.offer(made.kit.desk, one)
    async with running(made.kit):
        await made.kit.play(3_000)
    (record,) = made.kit.traces.records.values()
    body = canonical.loads(canonical.dumps(record.body))
    return replace(record, body=cast(dict[str, object], body))


async def again(made: Thinking, record: TraceRecord) -> Windows:
    return await windows_of(record, made.candles, SOURCE)


async def test_an_executed_decision_replays_equal_in_every_section() -> None:
    """From the candles to the cleared intent: the same bytes."""
    made = thinking()
    record = await lived(made)
    assert (record.stage, record.result) == (Stage.PROTECT, Reason.EXECUTED)
    result = replay(record, await again(made, record), POLICIES, [LONG])
    assert result.differs is None, result
    assert result.sections == (
        "seen",
        "proposal",
        "flags",
        "score",
        "answers",
        "decision",
        "approval",
        "desk",
    )


async def test_a_refused_decision_replays_equal_with_all_its_checks() -> None:
    """A refusal is a decision too."""
    policies = replace(POLICIES, limits=replace(LIMITS, max_positions=0))
    made = thinking(policies=policies)
    record = await lived(made)
    assert record.result == Reason.REFUSED
    result = replay(record, await again(made, record), policies, [LONG])
    assert result.differs is None, result
    assert result.sections[-1] == "desk"


@pytest.mark.parametrize(
    ("made", "last"),
    [
        (lambda: thinking(rules=[FixedRule(LONG.id, side=0)]), "proposal"),
        (lambda: thinking(seats=[FakeSeat(action=Action.HOLD)]), "approval"),
        (lambda: thinking(seats=[FakeSeat(abstains="budget")]), "approval"),
    ],
    ids=["no signal", "hold", "no quorum"],
)
async def test_a_road_that_ended_early_replays_as_far_as_it_went(made: Any, last: str) -> None:
    """What was not recorded is not invented."""
    one: Thinking = made()
    rules = [FixedRule(LONG.id, side=0)] if last == "proposal" else [LONG]
    record = await lived(one)
    result = replay(record, await again(one, record), POLICIES, rules)
    assert result.differs is None, result
    assert result.sections[-1] == last


async def test_the_policies_come_back_out_of_the_store_as_they_were() -> None:
    """Stored once by fingerprint, as canonical JSON."""
    stored = canonical.loads(canonical.dumps(POLICIES))
    assert canonical.dumps(revive_policies(stored)) == canonical.dumps(POLICIES)
    made = thinking()
    record = await lived(made)
    result = replay(record, await again(made, record), revive_policies(stored), [LONG])
    assert result.differs is None, result


def test_policies_that_cannot_be_read_are_said() -> None:
    """Mend or migrate; never guess."""
    with pytest.raises(ConfigError, match="stored configuration cannot be read"):
        revive_policies({"timeframe": "5m"})


@pytest.mark.parametrize("column", range(1, 6))
async def test_a_tampered_candle_is_refused(column: int) -> None:
    """The window's hash is in the trace: replay says so instead of computing on other bars."""
    made = thinking()
    record = await lived(made)
    kept = made.candles.rows[SOURCE, BTC, M5]
    ts = sorted(kept)[17]
    row = list(kept[ts])
    row[column] *= 1.0 + (1e-12 if column in (4, 5) else 0.01 * (-1 if column == 3 else 1))
    kept[ts] = cast(Any, tuple(row))
    with pytest.raises((ConfigError, ValueError), match=r"cannot be replayed|bars:"):
        await again(made, record)


async def test_a_missing_candle_is_refused() -> None:
    """Gone is as good as changed."""
    made = thinking()
    record = await lived(made)
    kept = made.candles.rows[SOURCE, BTC, M5]
    del kept[sorted(kept)[100]]
    with pytest.raises(ConfigError, match="299 bars, 300 recorded"):
        await again(made, record)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("score", "total"), 12.5, "score.total"),
        (("seen", "regime", "confidence"), 0.123, "seen.regime.confidence"),
        (("proposal", "signal", "strength"), 0.99, "proposal.signal.strength"),
        (("decision", "confidence"), 0.1, "decision.confidence"),
        (("desk", "verdict", "intent", "quantity"), "7", "desk.verdict.intent.quantity"),
        (("approval", "preview", "stop"), "1", "approval.preview.stop"),
    ],
)
async def test_a_tampered_field_is_named(path: tuple[str, ...], value: object, named: str) -> None:
    """The first difference, with what was recorded and what comes out."""
    made = thinking()
    record = await lived(made)
    body = copy.deepcopy(dict(record.body))
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    before = place[path[-1]]
    place[path[-1]] = value
    result = replay(replace(record, body=body), await again(made, record), POLICIES, [LONG])
    assert (result.differs, result.recorded, result.recomputed) == (named, value, before)


@pytest.mark.parametrize("section", ["seen", "flags", "score", "decision"])
async def test_a_section_that_was_taken_out_is_named(section: str) -> None:
    """What comes out again and is not recorded differs: nothing is equal by being away."""
    made = thinking()
    record = await lived(made)
    body = {key: value for key, value in record.body.items() if key != section}
    result = replay(replace(record, body=body), await again(made, record), POLICIES, [LONG])
    assert (result.differs, result.recorded) == (section, None)


@pytest.mark.parametrize(
    "damaged",
    [
        {"inputs": None},
        {"inputs": {"market": {}, "windows": {}}},
        {"inputs": {"windows": {"7m": {}}}},
        {"inputs": {"windows": {"5m": {"first": "x"}}}},
        {"desk": {"look": 5}},
        {"desk": None},
        {"approval": []},
        {"answers": {}},
    ],
)
async def test_a_record_of_another_shape_is_one_line(damaged: dict[str, object]) -> None:
    made = thinking()
    record = await lived(made)
    bars = await again(made, record)
    strange = replace(record, body={**record.body, **damaged})
    with pytest.raises(ConfigError, match=r"damaged, or was not written by this Keel") as said:
        await again(made, strange)
        replay(strange, bars, POLICIES, [LONG])
    assert "\n" not in str(said.value)


async def test_an_executed_trace_without_its_desk_is_damaged() -> None:
    made = thinking()
    record = await lived(made)
    bars = await again(made, record)
    body = {key: value for key, value in record.body.items() if key != "desk"}
    with pytest.raises(ConfigError, match="KeyError: 'desk'"):
        replay(replace(record, body=body), bars, POLICIES, [LONG])


async def test_other_numbers_give_another_decision() -> None:
    """Replayed under another policy, the gate's limit differs by name."""
    made = thinking()
    record = await lived(made)
    stricter = replace(POLICIES, approval=replace(POLICIES.approval, min_confidence=0.99))
    result = replay(record, await again(made, record), stricter, [LONG])
    assert result.differs is not None
    assert result.differs.startswith("approval.verdict")


MANUAL = replace(POLICIES, approval=replace(POLICIES.approval, mode=ApprovalMode.MANUAL))


async def judged(made: Thinking, word: str) -> TraceRecord:
    """A decision put before a person who says "approve" or "reject", or nothing in time."""
    await made.road.cycle([BTC])
    (card,) = made.approvals.waiting()
    if word == "silence":
        made.kit.clock.advance(int(EXPIRY_S * 1000))
        made.approvals.expire()
    elif word != "restart":
        assert not isinstance(getattr(made.approvals, word)(card.id, "ada"), Denied)
    made.kit.clock.advance(500)
    await made.keeper.flush()
    for one in made.offers:
        Desk.offer(made.kit.desk, one)
    async with running(made.kit):
        await made.kit.play(3_000)
    (record,) = made.kit.traces.records.values()
    body = canonical.loads(canonical.dumps(record.body))
    return replace(record, body=cast(dict[str, object], body))


@pytest.mark.parametrize(
    ("word", "ended", "last"),
    [
        ("approve", (Stage.PROTECT, Reason.EXECUTED), "desk"),
        ("reject", (Stage.APPROVE, Reason.REJECTED), "approval"),
        ("silence", (Stage.APPROVE, Reason.REJECTED), "approval"),
        ("restart", (Stage.APPROVE, Reason.UNANSWERED), "approval"),
    ],
)
async def test_a_decision_that_a_person_judged_replays_equal(
    word: str, ended: tuple[Stage, Reason], last: str
) -> None:
    """Their word is an input in the trace; the same word gives the same bytes."""
    made = thinking(policies=MANUAL)
    record = await judged(made, word)
    assert (record.stage, record.result) == ended
    result = replay(record, await again(made, record), MANUAL, [LONG])
    assert result.differs is None, result
    assert result.sections[-1] == last


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (lambda approval: approval["answer"].update(said="rejected"), "approval.verdict"),
        (lambda approval: approval["answer"].update(by="eve"), "approval.verdict"),
        (lambda approval: approval.pop("answer"), "approval.answer"),
    ],
    ids=["another word", "another person", "no word"],
)
async def test_a_tampered_word_of_a_person_is_found(tamper: Any, named: str) -> None:
    """Neither turned, nor given to another, nor taken out."""
    made = thinking(policies=MANUAL)
    record = await judged(made, "approve")
    body = copy.deepcopy(dict(record.body))
    tamper(body["approval"])
    result = replay(replace(record, body=body), await again(made, record), MANUAL, [LONG])
    assert result.differs is not None
    assert result.differs.startswith(named)


def test_the_first_difference_is_found_in_reading_order() -> None:
    """By key, by place, by length."""
    assert first_difference({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, "x")[0] == "x.b[1]"
    assert first_difference([1], [1, 2], "x") == ("x (length)", 1, 2)
    assert first_difference({"a": None}, {}, "x") == ("x.a", None, None)
    assert first_difference({"b": 1, "a": 1}, {"b": 2, "a": 2}, "x")[0] == "x.a"


# --- the council ---------------------------------------------------------------------------------


def models(*texts: str) -> tuple[Thinking, Policies, FixedRule]:
    """A road before a council whose models say these texts."""
    seats = [FakeModel(name, text) for name, text in zip("abc", texts, strict=True)]
    rule = FixedRule(LONG.id, target_r=4.0)
    given = council_policies(*seats)
    made = thinking(rules=[rule], seats=seats, policies=given, template=template())
    return made, given, rule


ROUND = "RSI is 99.9, so buy."


async def test_a_councils_decision_replays_from_the_stored_answers() -> None:
    """Worth, prompt, answers, decision, size: the same bytes, and no model is asked."""
    made, given, rule = models(answer(), answer(reasoning=ROUND), "no JSON")
    record = await lived(made)
    assert (record.stage, record.result) == (Stage.PROTECT, Reason.EXECUTED)
    result = replay(record, await again(made, record), given, [rule], [template()])
    assert result.differs is None, result
    assert result.sections[4:] == ("worth", "prompt", "answers", "decision", "approval", "desk")


async def test_what_was_not_worth_asking_replays_too() -> None:
    """From what the account was, and what asking would have cost."""
    made, given, rule = models(answer(), answer(), answer())
    given = replace(given, approval=replace(given.approval, min_tier=Tier.TIER_1_MUST_BUY))
    made = thinking(rules=[rule], seats=[FakeModel("a")], policies=given, template=template())
    record = await lived(made)
    assert record.result == Reason.NOT_WORTH_ASKING
    result = replay(record, await again(made, record), given, [rule], [template()])
    assert (result.differs, result.sections[-1]) == (None, "worth")


async def test_a_trace_of_before_the_seats_were_counted_replays_without() -> None:
    """No number of seats that could be asked, and no check of it."""
    made, given, rule = models(answer(), answer(), answer())
    record = await lived(made)
    worth = cast(Any, record.body["worth"])
    del worth["asked"]["able"]
    checks = [check for check in worth["checks"] if check["code"] != "quorum"]
    old = replace(record, body={**record.body, "worth": {**worth, "checks": checks}})
    result = replay(old, await again(made, old), given, [rule], [template()])
    assert (len(checks), result.differs) == (len(worth["checks"]) - 1, None)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("answers", "opinions", 0, "confidence"), 0.99, "answers.opinions[0].confidence"),
        (("answers", "opinions", 0, "evidence_score"), 1.0, "answers.opinions[0].evidence_score"),
        (("answers", "opinions", 1, "action"), "SHORT", "answers.opinions[1].action"),
        (("answers", "opinions", 1, "text"), answer(confidence=0.7), "answers.opinions[1]"),
        (("prompt", "version"), "council-v0-000000000000", "prompt.version"),
        (("prompt", "hash"), "0" * 64, "prompt.hash"),
        (("worth", "asked", "asking_usd"), "99", "worth.checks"),
    ],
)
async def test_a_tampered_answer_is_named(path: Any, value: object, named: str) -> None:
    """An opinion must be what its text says; a prompt what the template made of the facts."""
    made, given, rule = models(answer(reasoning=ROUND), answer(), answer())
    record = await lived(made)
    body = copy.deepcopy(dict(record.body))
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    result = replay(
        replace(record, body=body), await again(made, record), given, [rule], [template()]
    )
    assert str(result.differs).startswith(named)


async def test_a_prompt_of_other_bytes_is_found() -> None:
    """One byte of the template: the hash of what was shown, or the version, does not hold."""
    made, given, rule = models(answer(), answer(), answer())
    record = await lived(made)
    stored = template()
    edited = replace(stored, user=stored.user.replace("Is it", "It is"))
    result = replay(record, await again(made, record), given, [rule], [edited])
    assert result.differs == "prompt.hash"
    assert revive_prompts(canonical.plain([stored])) == (stored,)
    with pytest.raises(ConfigError, match="holds other bytes"):
        revive_prompts(canonical.plain([edited]))
    with pytest.raises(ConfigError, match="not stored"):
        replay(record, await again(made, record), given, [rule])


async def test_a_trace_from_before_a_field_existed_replays() -> None:
    """Younger fields that hold nothing are no difference; one that holds something is."""
    made = thinking()
    record = await lived(made)
    windows = await again(made, record)
    younger = ("evidence", "red_flags", "horizon", "evidence_score", "fabricated", "text")
    body: Any = copy.deepcopy(dict(record.body))
    for section in ("answers", "decision"):
        for opinion in body[section]["opinions"]:
            for name in (*younger, "attempts", "from_cache"):
                del opinion[name]
    del body["decision"]["stand_in"]
    assert replay(replace(record, body=body), windows, POLICIES, [LONG]).differs is None
    del body["decision"]["confidence"]
    found = replay(replace(record, body=body), windows, POLICIES, [LONG])
    assert found.differs == "decision.confidence"

"""A recorded decision, decided again from its inputs and the stored candles."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.domain import canonical
from bot.domain.errors import ConfigError
from bot.domain.reasons import Reason, Stage
from bot.domain.types import Action, Bars, Timeframe
from bot.pipeline.desk import Desk
from bot.ports import TraceRecord
from bot.research.replay import first_difference, replay, revive_policies, windows_of
from tests.fakes import FakeSeat
from tests.judgement import FixedRule
from tests.unit.pipeline.given import BTC, LIMITS, POLICIES, running
from tests.unit.pipeline.thinking import LONG, M5, SOURCE, Thinking, thinking

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


async def test_other_numbers_give_another_decision() -> None:
    """Replayed under another policy, the gate's limit differs by name."""
    made = thinking()
    record = await lived(made)
    stricter = replace(POLICIES, approval=replace(POLICIES.approval, min_confidence=0.99))
    result = replay(record, await again(made, record), stricter, [LONG])
    assert result.differs is not None
    assert result.differs.startswith("approval.verdict")


def test_the_first_difference_is_found_in_reading_order() -> None:
    """By key, by place, by length."""
    assert first_difference({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, "x")[0] == "x.b[1]"
    assert first_difference([1], [1, 2], "x") == ("x (length)", 1, 2)
    assert first_difference({"a": None}, {}, "x") == ("x.a", None, None)
    assert first_difference({"b": 1, "a": 1}, {"b": 2, "a": 2}, "x")[0] == "x.a"

"""What asking models came to, and their answers by content, on either database."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from bot.adapters.store import Store
from bot.domain.types import ANSWERED, ASKED, ZERO, Attempt, Ms, TraceId, Usage
from bot.ports import StoredAnswer

AT = 1_795_000_000_000
ONE = Attempt(
    TraceId("BTC-20261121T1200-1"),
    "openai",
    1,
    ASKED,
    AT,
    reserved=Decimal("0.010284000001"),
    price_version="m@2026-01-01#abc",
)
DONE = replace(
    ONE,
    kind=ANSWERED,
    latency_ms=812.5,
    usage=Usage(1500, 200, cached=400, reasoning=50),
    cost=Decimal("0.002340000001"),
    reserved=ZERO,
    model="m-0815",
    system_fingerprint="fp",
    detail="",
    raw='{"action":"LONG"}',
    action="LONG",
    confidence=0.8,
)
ANSWER = StoredAnswer("k" * 64, "openai", "id", "council-v1-x", '{"a":1}', Ms(AT), Ms(AT + 300_000))


async def test_an_attempt_is_one_row_from_reserve_to_settlement(store: Store) -> None:
    """The settled row takes the reserve's place; money comes back to the last digit."""
    await store.attempts.put([ONE])
    assert await store.attempts.of_trace(ONE.trace_id) == (ONE,)
    await store.attempts.put([DONE])
    assert await store.attempts.of_trace(ONE.trace_id) == (DONE,)


async def test_a_day_is_read_without_its_texts(store: Store) -> None:
    """A start needs the money of today, not what was said."""
    late = replace(DONE, number=2, asked_at=AT + 5)
    await store.attempts.put([DONE, late])
    assert await store.attempts.since(AT + 1) == (replace(late, raw=""),)


async def test_an_answer_is_found_by_its_content(store: Store) -> None:
    """At once, while it waits for the disk; and from the disk; a newer one replaces it."""
    store.answers.put(ANSWER)
    assert await store.answers.get(ANSWER.key) == ANSWER
    await store.answers.flush()
    assert await store.answers.get(ANSWER.key) == ANSWER
    newer = replace(ANSWER, text='{"a":2}', expires_at=Ms(AT + 600_000))
    store.answers.put(newer)
    await store.answers.flush()
    assert await store.answers.get(ANSWER.key) == newer
    assert await store.answers.get("nothing") is None


async def test_old_rows_are_forgotten_in_batches(store: Store) -> None:
    """Those from the bound on stay, whatever their number; twice is no harm."""
    many = [replace(DONE, number=n, asked_at=AT + n) for n in range(1, 1_204)]
    await store.attempts.put(many)
    assert await store.attempts.forget(AT + 1_201) == 1_200
    left = await store.attempts.of_trace(DONE.trace_id)
    assert [row.number for row in left] == [1_201, 1_202, 1_203]
    assert await store.attempts.forget(AT + 1_201) == 0


async def test_old_answers_are_forgotten_by_market_time(store: Store) -> None:
    """An answer is a record for audits as long as its trace stands in the database."""
    young = replace(ANSWER, key="y" * 64, at=Ms(AT + 1))
    store.answers.put(ANSWER)
    store.answers.put(young)
    await store.answers.flush()
    assert await store.answers.forget(Ms(AT + 1)) == 1
    assert await store.answers.get(ANSWER.key) is None
    assert await store.answers.get(young.key) == young

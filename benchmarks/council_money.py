"""A thousand calls of every kind: what the books say against what the server says it served.

Owns the mixture, the SQL store that it is booked in, and the comparison; the figures of time are
in `benchmarks.council`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from benchmarks.figures import Figure, say, tell
from bot.adapters.seats.model import (
    AnswerFormat,
    AskPolicy,
    Capabilities,
    ModelOptions,
    ModelSeat,
    Purse,
    connect,
)
from bot.adapters.store import StoreOptions, open_store, place_of_file
from bot.domain.prices import Price, PriceBook, SpendingLimits
from bot.domain.types import ZERO, AbstentionKind, Attempt, Messages, Question, TraceId
from bot.runtime.clock import SystemClock
from tests.aimock import Aimock, Fixture, answer, fails, replies
from tests.unit.adapters.seats.given import question

CALLS = 1_000
AT_ONCE = 100
LEAST_CENTS = 0.5  # equal to the cent
HANGS_MS = 30_000
SEATS = ("alpha", "beta", "gamma")
PRICE = Price("*", date(2026, 1, 1), Decimal("0.5"), Decimal("0.1"), Decimal(2))
POLICY = AskPolicy(deadline_s=60.0, attempt_s=8.0, attempts=1, breaker_threshold=100)
WIDE = 1_000_000.0  # requests a minute: nobody waits for a turn here
LIMITS = SpendingLimits(Decimal(1), Decimal(1_000))
UNANSWERED = (AbstentionKind.TIMEOUT.value, AbstentionKind.TRANSPORT.value)


@dataclass(frozen=True, slots=True)
class Way:
    """How the server treats one call in so many, known by a word of the question."""

    word: str
    share: int  # of ten
    fixture: Fixture


def ways() -> tuple[Way, ...]:
    """Answered well, in prose and cut off; refused; never answered, and dropped half way."""
    cut = replies("", '{"evidence": [', finishReason="length")
    dropped = replies("", answer())
    dropped["chaos"] = {"disconnectRate": 1.0}
    return (
        Way("well", 5, replies("", answer())),
        Way("prose", 1, replies("", "I would go long.")),
        Way("cut", 1, cut),
        Way("refused", 1, fails("", 400, "no such parameter")),
        Way("hangs", 1, replies("", answer(), latency_ms=HANGS_MS)),
        Way("dropped", 1, dropped),
    )


async def money(server: Aimock, folder: Path) -> int:
    """Ask, close the books, open them again, and compare them with the server's journal."""
    mixture = [way for way in ways() for _ in range(way.share)]
    server.give([{**way.fixture, "match": {"userMessage": way.word}} for way in ways()])
    before, began = len(server.journal()), time.perf_counter()
    async with seats(server.url, folder) as (purse, sitting):
        turn = asyncio.Semaphore(AT_ONCE)

        async def ask(number: int) -> None:
            async with turn:
                way = mixture[number % len(mixture)]
                await sitting[number % len(sitting)].ask(_question(number, way.word))

        await asyncio.gather(*(ask(number) for number in range(CALLS)))
        await purse.flush()
        said = (purse.spent, purse.reserved)
    seconds = time.perf_counter() - began
    async with seats(server.url, folder) as (purse, _):
        again = (purse.spent, purse.reserved)
    rows = await _rows(folder)
    return _judge(rows, said, again, _served(server, before), seconds)


def _judge(
    rows: Sequence[Attempt],
    said: tuple[Decimal, Decimal],
    again: tuple[Decimal, Decimal],
    served: Decimal,
    seconds: float,
) -> int:
    booked, standing = sum((r.cost for r in rows), ZERO), sum((r.reserved for r in rows), ZERO)
    kinds = Counter(row.kind for row in rows)
    alone = [row for row in rows if row.kind in UNANSWERED]
    wrong = [row for row in alone if row.cost or not row.reserved]
    wrong += [row for row in rows if row.kind not in UNANSWERED and row.reserved]
    say(f"{len(rows)} mixed calls in {seconds:.1f} s: {dict(sorted(kinds.items()))}")
    say(f"booked {booked} USD, the server's journal {served} USD")
    say(f"{len(alone)} unanswered stand at their reserve: {standing} USD, beside the cost")
    assert booked > 0 and standing > 0 and len(rows) == CALLS
    apart = abs(booked - again[0]) + abs(standing - again[1])
    apart += abs(said[0] - again[0]) + abs(said[1] - again[1])
    return tell(
        Figure("booked beside what the server served", _cents(booked - served), LEAST_CENTS, "c"),
        Figure("books after reopening beside those before", _cents(apart), 0.0, "c"),
        Figure("rows in the wrong column", float(len(wrong)), 0.0, "rows"),
    )


@asynccontextmanager
async def seats(url: str, folder: Path) -> AsyncIterator[tuple[Purse, list[ModelSeat]]]:
    """Three seats on one purse, whose books are Keel's own database."""
    clock = SystemClock()
    place = place_of_file(folder / "keel.db").whole
    store = await open_store(StoreOptions(place, folder), clock)
    purse = Purse(store.attempts, clock, LIMITS)
    await purse.open()
    sitting = [connect(_options(name, url), purse, clock, POLICY) for name in SEATS]
    try:
        yield purse, sitting
    finally:
        for seat in sitting:
            await seat.close()
        await store.close()


async def _rows(folder: Path) -> tuple[Attempt, ...]:
    options = StoreOptions(place_of_file(folder / "keel.db").whole, folder, reader=True)
    store = await open_store(options, SystemClock())
    try:
        return await store.attempts.since(0)
    finally:
        await store.close()


def _options(name: str, url: str) -> ModelOptions:
    can = Capabilities((AnswerFormat.JSON_SCHEMA,), max_output_tokens=500)
    return ModelOptions(name, url, name, "", can, PriceBook([PRICE]), requests_per_minute=WIDE)


def _question(number: int, word: str) -> Question:
    messages = Messages("stable words", f"signal.side: LONG, {word}", "council-v1-bench")
    asked = replace(question(), messages=messages)
    return replace(asked, trace_id=TraceId(f"BTC-20261121T1200-{number}"))


def _served(server: Aimock, before: int) -> Decimal:
    """Tokens of the replies that were sent whole, at `PRICE`."""
    total = ZERO
    for entry in server.journal()[before:]:
        fixture: Fixture = entry["response"].get("fixture") or {}
        usage = (fixture.get("response") or {}).get("usage")
        if entry["response"]["status"] == 200 and usage and not fixture.get("chaos"):
            total += usage["prompt_tokens"] * PRICE.input
            total += usage["completion_tokens"] * PRICE.output
    return total / 1_000_000


def _cents(usd: Decimal) -> float:
    return float(100 * abs(usd))

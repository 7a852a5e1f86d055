"""A model's seat on a line that the test speaks on, a memory for its rows, a question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from bot.adapters.seats.model import (
    AnswerFormat,
    AskPolicy,
    Capabilities,
    ModelOptions,
    ModelSeat,
    Purse,
)
from bot.domain.errors import TransientError
from bot.domain.prices import Price, PriceBook, SpendingLimits
from bot.domain.types import (
    Attempt,
    Brief,
    Fact,
    Messages,
    Ms,
    Question,
    Score,
    Side,
    Signal,
    Symbol,
    Tier,
    TraceId,
)
from bot.runtime.clock import ManualClock
from tests.aimock import ANSWER

KEY = "sk-canary-0123456789abcdef"
MODEL = "model-1"
NOW = Ms(1_795_000_000_000)  # 2026-11
PRICE = Price(MODEL, date(2026, 1, 1), Decimal("1"), Decimal("0.1"), Decimal("4"))
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
COST = Decimal("0.0018")
POLICY = AskPolicy(jitter_s=0.0)

Reply = str | BaseException | Callable[[], Any]


def chat(content: Any = None, *, usage: Any = USAGE, **message: Any) -> str:
    """A response of an endpoint around `content`."""
    text = content if isinstance(content, str | None) else json.dumps(content)
    reason = message.pop("finish_reason", "stop")
    choice = {"finish_reason": reason, "message": {"content": text, **message}}
    body = {"model": "model-1-0815", "system_fingerprint": "fp_1", "choices": [choice]}
    return json.dumps({**body, "usage": usage} if usage is not None else body)


ANSWERED = chat(ANSWER)


class FakeLine:
    """Gives the replies in their order, the last one again and again; keeps what was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Mapping[str, Any]] = []
        self.closed = False

    async def ask(self, body: Mapping[str, object]) -> str:
        self.asked.append(body)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, BaseException):
            raise reply
        if callable(reply):
            said = reply()
            return str(await said) if asyncio.iscoroutine(said) else str(said)
        return reply

    async def close(self) -> None:
        self.closed = True


class MemoryAttempts:
    """`AttemptStore` in memory, as durable as the test wants it."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], Attempt] = {}
        self.writes = 0
        self.away = False

    async def put(self, attempts: Sequence[Attempt]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise TransientError("the database is away")
        self.writes += 1
        for attempt in attempts:
            self.rows[(attempt.trace_id, attempt.seat, attempt.number)] = attempt

    async def since(self, wall_ms: int) -> tuple[Attempt, ...]:
        return tuple(row for row in self.rows.values() if row.asked_at >= wall_ms)


def options(name: str = "openai", **changed: Any) -> ModelOptions:
    can = {"formats": tuple(AnswerFormat), "temperature": 0.0, **changed.pop("can", {})}
    given: dict[str, Any] = {
        "base_url": "https://models.example/v1",
        "model": MODEL,
        "key": KEY,
        "prices": PriceBook([PRICE]),
        **changed,
    }
    return ModelOptions(name=name, capabilities=Capabilities(**can), **given)


def limits(decision: str = "10", day: str = "100") -> SpendingLimits:
    return SpendingLimits(Decimal(decision), Decimal(day))


class Table:
    """One seat with all that it leans on."""

    def __init__(
        self,
        *replies: Reply,
        policy: AskPolicy = POLICY,
        spending: SpendingLimits | None = None,
        store: MemoryAttempts | None = None,
        **changed: Any,
    ) -> None:
        self.clock = ManualClock(NOW)
        self.line = FakeLine(*replies)
        self.store = store or MemoryAttempts()
        self.purse = Purse(self.store, self.clock, spending or limits())
        self.seat = ModelSeat(
            options(**changed), self.line, self.purse, self.clock, policy, jitter=lambda: 0.0
        )

    async def ask(self, trace: str = "BTC-20261121T1200-1") -> Any:
        """Ask, with time going on while it waits."""
        task = asyncio.create_task(self.seat.ask(question(trace)))
        while not task.done():
            await self.clock.run_for(100)
        return await task


def question(trace: str = "BTC-20261121T1200-1") -> Question:
    signal = Signal(
        Symbol("BTC"), Side.LONG, 0.6, 0.01, 2.0, "sma_trend.fast", "technical", 1.0, "a cross"
    )
    score = Score((), 75.0, Tier.TIER_2_STRONG_BUY)
    brief = Brief((Fact("signal.side", "LONG"),))
    messages = Messages("stable words", "signal.side: LONG", "council-v1-test")
    return Question(signal, score, (), brief, messages, TraceId(trace))

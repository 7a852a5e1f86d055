"""Models of the council for tests: what one says, when, and how it fails; and the prompt.

Knows no rule of the council.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from bot.domain.evidence import hear
from bot.domain.prompt import Template, template_of
from bot.domain.types import Abstention, Opinion, Question
from bot.ports import StoredAnswer, Told, untold

ROOT = Path(__file__).parents[1]
PROMPT = "council-v1"
FIELDS = {
    "evidence": [{"key": "signal.side", "direction": "bullish"}],
    "red_flags": [],
    "reasoning": "It agrees.",
    "action": "LONG",
    "confidence": 0.9,
    "horizon": "4h",
    "stop_atr": 2.0,
    "target_r": 2.0,
    "leverage_wish": 3,
}


def template() -> Template:
    """The prompt that ships."""
    text = (ROOT / "config" / "prompts" / f"{PROMPT}.md").read_text(encoding="utf-8")
    return template_of(PROMPT, text)


def answer(**other: object) -> str:
    """A valid answer, with some fields otherwise (or added, for an invalid one)."""
    return json.dumps({**FIELDS, **other})


@dataclass
class FakeModel:
    """A model's seat: says `text`, or abstains, as soon as its gate is open."""

    name: str
    text: str = field(default_factory=answer)
    abstains: str = ""
    gate: asyncio.Event | None = None
    error: Exception | None = None
    cost: Decimal = Decimal("0.01")
    able: bool = True
    questions: list[Question] = field(default_factory=list)
    cancelled: int = 0

    @property
    def identity(self) -> str:
        return f"model {self.name}"

    def cost_of(self, question: Question) -> Decimal:
        return self.cost

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        self.questions.append(question)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        if self.abstains:
            return Abstention(self.name, self.abstains, "as told")
        return hear(self.name, self.text, question.brief)


class MemoryAnswers:
    """The store of answers as a dict."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredAnswer] = {}
        self.error: Exception | None = None

    async def get(self, key: str) -> StoredAnswer | None:
        if self.error is not None:
            raise self.error
        return self.rows.get(key)

    def put(self, answer: StoredAnswer) -> None:
        self.rows[answer.key] = answer

"""The rules analyst: the council's built-in, deterministic voice.

Owns nothing but the way from a question to `council.analyst`; it needs no model and cannot fail.
"""

from __future__ import annotations

from decimal import Decimal

from bot.domain.council import RULES_SEAT, analyst
from bot.domain.types import ZERO, Opinion, Question
from bot.ports import Told, untold


class RulesSeat:
    """Says what the score says, marked as uncalibrated."""

    name = RULES_SEAT
    identity = ""  # computed anew each time: nothing to keep
    able = True

    def cost_of(self, question: Question) -> Decimal:
        return ZERO

    async def ask(self, question: Question, tell: Told = untold) -> Opinion:
        return analyst(question.signal, question.score, question.flags)

"""Answers of models that still hold: looked up by content before anybody is asked.

Owns how long an answer lives and how often one was found; knows no model.
"""

from __future__ import annotations

from collections import OrderedDict

import structlog

from bot.domain.errors import TransientError
from bot.domain.prompt import answer_key
from bot.domain.types import Ms, Question
from bot.ports import AnswerStore, Clock, Seat, StoredAnswer

log = structlog.get_logger(__name__)

LIFE_MS = 300_000  # spec 10, "Cache": to the next candle close or 300 s, whichever is sooner
IN_MEMORY = 1_000  # answers; more than 20 symbols x 9 models ask within a life


class KeptAnswers:
    """Memory in front of the store: the store is asked only for what this process never saw."""

    def __init__(
        self, clock: Clock, store: AnswerStore | None = None, life_ms: int = LIFE_MS
    ) -> None:
        self._clock = clock
        self._store = store
        self._life_ms = life_ms
        self._memory: OrderedDict[str, StoredAnswer] = OrderedDict()
        self.hits = 0
        self.misses = 0

    @property
    def hit_rate(self) -> float | None:
        """Share of the questions that were answered from here; None before the first."""
        asked = self.hits + self.misses
        return round(self.hits / asked, 4) if asked else None

    async def find(self, seat: Seat, question: Question) -> str | None:
        """The text that this model gave to exactly this question, if it still holds."""
        if not seat.identity:
            return None
        key = answer_key(seat.identity, question.messages)
        found = self._memory.get(key)
        if found is None and self._store is not None:
            try:
                found = await self._store.get(key)
            except TransientError as error:
                log.warning("answer_not_looked_up", seat=seat.name, error=str(error))
        if found is None or found.expires_at <= self._clock.now():
            self.misses += 1
            return None
        self.hits += 1
        return found.text

    def keep(self, seat: Seat, question: Question, text: str, next_close: Ms) -> None:
        """Keep an answer until the next candle close or for its life, whichever is sooner."""
        now = self._clock.now()
        expires = Ms(min(next_close, now + self._life_ms))
        if not seat.identity or not text or expires <= now:
            return
        key = answer_key(seat.identity, question.messages)
        version = question.messages.version
        answer = StoredAnswer(key, seat.name, seat.identity, version, text, now, expires)
        self._memory[key] = answer
        self._memory.move_to_end(key)
        while len(self._memory) > IN_MEMORY:
            self._memory.popitem(last=False)
        if self._store is not None:
            self._store.put(answer)

"""A model's seat in the council: asked again after passing failures, never beyond its limits.

Owns retry, breaker, rate limit and the typed end of every question; knows no other seat and
takes no vote. Whatever goes wrong is an abstention with its reason.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from bot.adapters.seats.model.caller import Answered, Caller, Line
from bot.adapters.seats.model.failure import ModelFailure
from bot.adapters.seats.model.options import AnswerFormat, AskPolicy, ModelOptions, Prompt
from bot.adapters.seats.model.purse import Purse
from bot.adapters.seats.model.request import body_of, hash_of
from bot.adapters.seats.model.standing import Standing
from bot.domain.errors import ConfigError
from bot.domain.evidence import hear
from bot.domain.model_answer import ANSWER_SCHEMA, SCHEMA_NAME, AnswerError
from bot.domain.types import (
    ZERO,
    Abstention,
    AbstentionKind,
    Attempt,
    Messages,
    Opinion,
    Question,
)
from bot.ports import Clock, Told, untold
from bot.runtime.breakers import BreakerState, BreakerView, ServiceBreaker
from bot.runtime.limits import RateLimit

log = structlog.get_logger(__name__)

BURST = 20  # questions at once: a cycle asks about many symbols in one moment


@dataclass(slots=True)
class _Talk:
    """One question on its way through the attempts."""

    question: Question
    started: float  # machine time
    deadline: float
    tell: Told
    attempts: list[Attempt] = field(default_factory=list)
    trials: int = 0  # that the model had stood when it was asked
    way: AnswerFormat | None = None  # in which it was asked


class ModelSeat:
    """Implements `bot.ports.Seat` on one endpoint."""

    def __init__(
        self,
        options: ModelOptions,
        line: Line,
        purse: Purse,
        clock: Clock,
        policy: AskPolicy,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._line = line
        self._clock = clock
        self._policy = policy
        self._jitter = jitter
        self._purse = purse
        self.caller = Caller(options, line, purse, clock)
        self.breaker = ServiceBreaker(
            options.name, clock.monotonic, threshold=policy.breaker_threshold, on_change=_tell
        )
        self._limit = RateLimit(options.requests_per_minute, BURST, clock.monotonic)
        self.standing = Standing(options.name, options.capabilities.formats, clock.monotonic)
        self.answered_by = ""  # the model's name as the endpoint last gave it

    @property
    def name(self) -> str:
        return self._options.name

    @property
    def options(self) -> ModelOptions:
        return self._options

    @property
    def format(self) -> AnswerFormat | None:
        """How it is asked; None while no way works."""
        return self.standing.format

    @property
    def identity(self) -> str:
        """Endpoint, model, parameters and schema; empty while no way of asking works."""
        if self.format is None:
            return ""
        empty = Prompt("", "", ANSWER_SCHEMA, SCHEMA_NAME)
        return hash_of(self._options.base_url, body_of(self._options, self.format, empty))

    @property
    def able(self) -> bool:
        """Not while no way of asking works, or its breaker waits; a probe that is due counts."""
        return self.standing.askable and not self.breaker.view().retry_in_s

    def cost_of(self, question: Question) -> Decimal:
        """What one answer costs at most, USD; 0 where it cannot be asked."""
        return self.most_for(question.messages)

    def most_for(self, shown: Messages) -> Decimal:
        """The same, of what would be shown."""
        try:
            return self.caller.most(self._body(shown)) if self.format is not None else ZERO
        except ConfigError:
            return ZERO

    async def ask(self, question: Question, tell: Told = untold) -> Opinion | Abstention:
        """Answer one question; every failure is an Abstention (see `bot.ports.Seat`)."""
        with self._clock.busy():
            now = self._clock.monotonic()
            talk = _Talk(question, now, now + self._policy.deadline_s, tell)
            try:
                opinion = await self._try(talk)
                await self._withhold(talk)
                return opinion
            except ModelFailure as failure:
                self.standing.ended(failure.kind, talk.trials)
                kind = failure.kind.value
                return Abstention(self.name, kind, failure.detail, tuple(talk.attempts))

    async def close(self) -> None:
        await self._line.close()

    def view(self) -> BreakerView:
        return self.breaker.view()

    # --- attempts ------------------------------------------------------------------------

    async def _try(self, talk: _Talk) -> Opinion:
        retrying = AsyncRetrying(
            stop=self._no_more(talk),
            wait=self._wait_s,
            retry=retry_if_exception(lambda e: isinstance(e, ModelFailure) and e.again),
            sleep=self._clock.pause,
            reraise=True,
        )
        return await retrying(self._attempt, talk)

    async def _attempt(self, talk: _Talk) -> Opinion:
        """One try; its row is in `talk.attempts` whichever way it ends."""
        number = len(talk.attempts) + 1
        try:
            await self._admit(talk)
            answered = await self.caller.call(
                self._body(talk.question.messages),
                talk.question.trace_id,
                number,
                lambda text, attempt: self._hear(talk, text, attempt),
                talk.deadline,
                talk.tell,
            )
        except ModelFailure as failure:
            self._failed(failure)
            if failure.attempt is None:
                failure.attempt = self._unasked(talk, number, failure)
            talk.attempts.append(failure.attempt)
            raise
        self.breaker.succeeded()
        self._seen_model(answered.attempt.model)
        return answered.value

    async def _admit(self, talk: _Talk) -> None:
        """Wait for a turn. Raises ModelFailure where nothing may be sent."""
        await self._choose_way(talk)
        if not talk.question.messages.user:
            raise ModelFailure(AbstentionKind.ERROR, "there is no prompt to ask with", healthy=True)
        wait_s = self._limit.wait_s()
        if self._clock.monotonic() + wait_s >= talk.deadline:
            detail = f"its rate limit lets the next request through in {wait_s:.0f} s"
            raise ModelFailure(AbstentionKind.RATE_LIMIT, detail, healthy=True)
        wait_s = self._limit.take()
        if wait_s > 0:
            await self._clock.pause(wait_s)
            await self._choose_way(talk)  # it may have changed meanwhile
        if not self.breaker.allows():
            view = self.breaker.view()
            detail = f"{view.failures} failures in a row; asked again in {view.retry_in_s:.0f} s"
            raise ModelFailure(AbstentionKind.BREAKER_OPEN, detail, healthy=True)

    async def _choose_way(self, talk: _Talk) -> None:
        """Ask in the way that is proven. Raises ModelFailure where there is none."""
        self.standing.wake()
        await self._settled(talk)
        talk.trials, talk.way = self.standing.trials, self.format
        if self.format is None:
            detail = "no way of asking it gives an answer of the schema; see main.py check"
            raise ModelFailure(AbstentionKind.SCHEMA, detail, healthy=True)

    async def _settled(self, talk: _Talk) -> None:
        """Wait for the trial of this model that is under way. Raises ModelFailure."""
        try:
            await self.standing.settled(talk.deadline - self._clock.monotonic())
        except TimeoutError as error:
            detail = "the trial of how it must be asked has not ended"
            raise ModelFailure(AbstentionKind.TIMEOUT, detail, healthy=True) from error

    async def _withhold(self, talk: _Talk) -> None:
        """Keep a vote back until its way of asking is proven. Raises ModelFailure where it is not.

        A model that the last trial did not reach answers again: now it can be tried.
        """
        if not self.standing.reached and talk.trials == self.standing.trials:
            self.standing.doubt("it answers again")
        await self._settled(talk)
        if not self.standing.reached or self.format is not talk.way:
            detail = "its answer came in a way of asking that it is not seen to obey"
            raise ModelFailure(AbstentionKind.SCHEMA, detail, healthy=True)
        self.standing.useful()

    def _hear(self, talk: _Talk, text: str, attempt: Attempt) -> Answered[Opinion]:
        try:
            opinion = hear(self.name, text, talk.question.brief)
        except AnswerError as error:
            kind = AbstentionKind(error.kind.value)
            again = kind is AbstentionKind.NOT_JSON
            raise ModelFailure(kind, error.detail, again=again, healthy=True) from error
        except Exception as error:
            # A border by design: a text is foreign, and what reading it raises ends one question.
            log.exception("answer_not_read", seat=self.name, trace_id=attempt.trace_id)
            detail = f"it cannot be read: {type(error).__name__}"
            raise ModelFailure(AbstentionKind.SCHEMA, detail, healthy=True) from error
        row = replace(attempt, action=opinion.action.value, confidence=opinion.confidence)
        talk.attempts.append(row)
        return Answered(replace(opinion, attempts=tuple(talk.attempts)), row)

    def _failed(self, failure: ModelFailure) -> None:
        """Tell breaker and rate limit; with the breaker open there is no second try."""
        if failure.kind is AbstentionKind.RATE_LIMIT and not failure.healthy:
            self._limit.block(failure.retry_after_s or self._policy.first_wait_s)
        if failure.healthy:
            if failure.attempt is not None and failure.kind is not AbstentionKind.BUDGET:
                self.breaker.succeeded()
            return
        self.breaker.failed()
        if self.breaker.view().state is BreakerState.OPEN:
            failure.again = False

    def _unasked(self, talk: _Talk, number: int, failure: ModelFailure) -> Attempt:
        attempt = Attempt(
            talk.question.trace_id,
            self.name,
            number,
            failure.kind.value,
            self._clock.wall(),
            detail=failure.detail,
        )
        self._purse.note(attempt)
        talk.tell(attempt)
        return attempt

    def _body(self, shown: Messages) -> dict[str, object]:
        assert self.format is not None, f"{self.name}: asked although no format works"
        prompt = Prompt(shown.system, shown.user, ANSWER_SCHEMA, SCHEMA_NAME)
        return body_of(self._options, self.format, prompt)

    # --- how often and when --------------------------------------------------------------

    def _no_more(self, talk: _Talk) -> Callable[[RetryCallState], bool]:
        """Stop after the attempts, or where the wait would reach past the deadline."""
        enough = stop_after_attempt(self._policy.attempts)

        def stop(state: RetryCallState) -> bool:
            next_at = self._clock.monotonic() + state.upcoming_sleep
            return enough(state) or next_at >= talk.deadline

        return stop

    def _wait_s(self, state: RetryCallState) -> float:
        """2 s, then 4 s, with jitter; what the endpoint asks for where that is longer."""
        policy = self._policy
        doubled_s: float = policy.first_wait_s * 2 ** (state.attempt_number - 1)
        wait_s = min(doubled_s, policy.longest_wait_s)
        wait_s += self._jitter() * policy.jitter_s
        failure = state.outcome.exception() if state.outcome is not None else None
        asked_s = failure.retry_after_s if isinstance(failure, ModelFailure) else None
        return max(wait_s, asked_s or 0.0)

    def _seen_model(self, model: str) -> None:
        if self.answered_by and model and model != self.answered_by:
            log.warning("model_changed", seat=self.name, before=self.answered_by, now=model)
        self.answered_by = model or self.answered_by


def _tell(view: BreakerView) -> None:
    level = log.info if view.state is BreakerState.CLOSED else log.warning
    level("model_breaker", seat=view.name, state=view.state.value, failures=view.failures)

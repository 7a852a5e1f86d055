"""One paid request: reserved, sent, read, settled, and a row that tells of it however it ends.

Owns that no request leaves unbooked and no booking is forgotten; decides on no second try.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

import structlog

from bot.adapters.seats.model.failure import ModelFailure
from bot.adapters.seats.model.mask import Mask
from bot.adapters.seats.model.options import ModelOptions
from bot.adapters.seats.model.purse import Purse
from bot.adapters.seats.model.reading import Billed, answer_of, billed_of, envelope_of
from bot.adapters.seats.model.request import size_of
from bot.domain.errors import ConfigError
from bot.domain.prices import Price
from bot.domain.types import ANSWERED, ASKED, ZERO, AbstentionKind, Attempt, TraceId
from bot.ports import Clock, Told, untold

log = structlog.get_logger(__name__)

RAW_KEPT = 16_384  # characters of an answer in its row
DETAIL_KEPT = 400

T = TypeVar("T")


class Line(Protocol):
    """What a request goes out by; `client.ModelClient` is one."""

    async def ask(self, body: Mapping[str, object]) -> str: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What was read out of an answer, and its row."""

    value: T
    attempt: Attempt


class Caller:
    """Calls one model and books what it costs."""

    def __init__(self, options: ModelOptions, line: Line, purse: Purse, clock: Clock) -> None:
        self._options = options
        self._line = line
        self._purse = purse
        self._clock = clock
        self._mask = Mask(options.key)

    def price(self) -> Price:
        """Today's price. Raises ConfigError for a model without one."""
        return self._options.prices.at(self._options.model, self._clock.wall())

    def most(self, body: Mapping[str, object]) -> Decimal:
        """What this request costs at most, USD. Raises ConfigError."""
        return self.price().most(size_of(body), self._options.capabilities.max_output_tokens)

    async def call(
        self,
        body: Mapping[str, object],
        trace_id: TraceId,
        number: int,
        read: Callable[[str, Attempt], Answered[T]],
        deadline: float | None = None,
        tell: Told = untold,
    ) -> Answered[T]:
        """Ask once. Raises ModelFailure, `attempt` set, for everything that is no answer.

        `read` makes a value of the text and may add to its row; it raises ModelFailure for a
        text that is no answer. An answer after `deadline` (machine time) is marked late.
        `tell` hears of the row as it is reserved, and as it is settled.
        """
        attempt = await self._reserve(body, trace_id, number, tell)
        started = self._clock.monotonic()
        billed, text = Billed(), ""

        def done(kind: str, detail: str = "", unknown: bool = False) -> Attempt:
            now = self._clock.monotonic()
            cost = self._cost(attempt, billed)
            stands = cost is None and (unknown or kind == ANSWERED or bool(text))
            return replace(
                attempt,
                kind=kind,
                latency_ms=round((now - started) * 1000, 3),
                usage=billed.usage,
                cost=cost or ZERO,
                reserved=attempt.reserved if stands else ZERO,
                model=billed.model,
                system_fingerprint=billed.system_fingerprint,
                detail=detail[:DETAIL_KEPT],
                raw=text[:RAW_KEPT],
                late=deadline is not None and now > deadline,
            )

        def failed(failure: ModelFailure) -> ModelFailure:
            failure.attempt = done(failure.kind.value, failure.detail, failure.unknown)
            self._settle(attempt, failure.attempt, tell)
            return failure

        try:
            envelope = envelope_of(await self._line.ask(body), self._mask)
            billed = billed_of(envelope, self._options.capabilities.cost_in_usage)
            text = answer_of(envelope, self._mask)
            answered = read(text, done(ANSWERED))
        except ModelFailure as failure:
            failed(failure)
            raise
        except Exception as error:
            # A border by design: what a foreign text makes our code raise ends one question.
            log.exception("model_call_failed", seat=self._options.name, trace_id=trace_id)
            raise failed(_unexpected(error)) from error
        except BaseException:
            said = "given up: the council had decided"
            self._settle(attempt, done(AbstentionKind.TIMEOUT.value, said, unknown=True), tell)
            raise
        self._settle(attempt, answered.attempt, tell)
        return answered

    def _settle(self, reserved: Attempt, row: Attempt, tell: Told) -> None:
        """Book what came of it, also where it cost more than was thought possible."""
        if row.cost > reserved.reserved:
            said = {"cost_usd": str(row.cost), "reserved_usd": str(reserved.reserved)}
            log.warning("model_cost_above_reserve", seat=row.seat, trace_id=row.trace_id, **said)
        self._purse.settle(reserved, row)
        tell(row)

    async def _reserve(
        self, body: Mapping[str, object], trace_id: TraceId, number: int, tell: Told
    ) -> Attempt:
        attempt = Attempt(trace_id, self._options.name, number, ASKED, self._clock.wall())
        try:
            price = self.price()
        except ConfigError as error:  # a price that has not begun yet
            raise self._unasked(attempt, str(error), tell) from error
        most = price.most(size_of(body), self._options.capabilities.max_output_tokens)
        attempt = replace(attempt, reserved=most, price_version=price.version)
        tell(attempt)  # also while its reserve is being written
        why = await self._purse.reserve(attempt)
        if why is not None:
            raise self._unasked(replace(attempt, reserved=ZERO), why, tell)
        return attempt

    def _unasked(self, attempt: Attempt, why: str, tell: Told) -> ModelFailure:
        failure = ModelFailure(AbstentionKind.BUDGET, why, healthy=True)
        kind = AbstentionKind.BUDGET.value
        failure.attempt = replace(attempt, kind=kind, detail=why[:DETAIL_KEPT])
        self._purse.note(failure.attempt)
        tell(failure.attempt)
        return failure

    def _cost(self, attempt: Attempt, billed: Billed) -> Decimal | None:
        """What the endpoint said, else tokens by the price of the reserve; None: not known."""
        if billed.cost is not None:
            return billed.cost
        if billed.usage is None:
            return None
        at = self._options.prices.at(self._options.model, attempt.asked_at)
        return at.cost(billed.usage)


def _unexpected(error: Exception) -> ModelFailure:
    """What our own code raised over a response: it had come, so it may be billed."""
    return ModelFailure(AbstentionKind.ERROR, type(error).__name__, unknown=True)

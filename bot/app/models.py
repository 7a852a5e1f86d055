"""The models of the council as the settings want them: seats, their purse, their state.

Owns building, probing and telling of them; asks nothing about trading and counts no votes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from bot.adapters.seats.model import (
    AnswerFormat,
    AskPolicy,
    Capabilities,
    ModelOptions,
    ModelSeat,
    Probed,
    Purse,
    connect,
    probe,
)
from bot.adapters.seats.rules import RulesSeat
from bot.adapters.store import Store
from bot.domain.errors import ConfigError, TransientError
from bot.domain.prices import Price, PriceBook, SpendingLimits
from bot.ports import Clock, Seat
from bot.runtime.mask import register_secret
from config.catalogue import PriceEntry
from config.models import Chosen, chosen
from config.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Models:
    """Every model that has a seat; none is the default, and then the rules analyst sits alone."""

    purse: Purse
    seats: tuple[ModelSeat, ...]
    store: Store
    clock: Clock
    probed: dict[str, Probed]

    @property
    def council(self) -> tuple[Seat, ...]:
        """Who is asked: the models, or the rules analyst where there is none."""
        return self.seats or (RulesSeat(),)

    async def run(self) -> None:
        """Service: find out what each endpoint obeys, and write what asking cost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.purse.run())
            group.create_task(self.store.answers.run())
            for seat in self.seats:
                group.create_task(self._prove(seat))

    async def flush(self) -> None:
        """Write what waits. Raises TransientError."""
        await self.purse.flush()
        await self.store.answers.flush()

    async def close(self) -> None:
        """Close every line; what was not written yet is written, or stands at its reserve."""
        try:
            await self.flush()
        except TransientError as error:
            log.warning("model_rows_not_written", rows=self.purse.backlog, error=str(error))
        for seat in self.seats:
            await seat.close()

    def figures(self) -> Mapping[str, object]:
        """Money, ends and breakers of today, for /status, /metrics and the page."""
        return {
            **self.purse.figures(),
            "breakers": {seat.name: seat.view().state.value for seat in self.seats},
        }

    def states(self) -> Mapping[str, object]:
        """What each seat is: its model, how it is asked, how it does."""
        return {seat.name: self._state(seat) for seat in self.seats}

    def _state(self, seat: ModelSeat) -> Mapping[str, object]:
        view = seat.view()
        return {
            "model": seat.options.model,
            "answered_by": seat.answered_by or None,
            "asked_by": seat.format,
            "probed": seat.standing.trials > 0 and seat.standing.proven,
            "breaker": view.state,
            "failures": view.failures,
            "retry_in_s": round(view.retry_in_s, 1),
        }

    async def _prove(self, seat: ModelSeat) -> None:
        """Try the seat's model at the start, and whenever its way of asking is in doubt."""
        while True:
            await seat.standing.wanted.wait()
            found = await probe(seat, probe_id(seat, self.clock))
            self.probed[seat.name] = found
            tell_probe(seat, found)


def probe_id(seat: ModelSeat, clock: Clock) -> str:
    """Names one trial in the ledger of costs."""
    return f"probe-{seat.name}-{clock.wall()}"


def tell_probe(seat: ModelSeat, found: Probed) -> None:
    """One line about what was found out; a demotion is a warning."""
    first = seat.options.capabilities.formats[0]
    said = {"seat": seat.name, "model": seat.options.model, "cost_usd": str(found.cost)}
    if not found.reached:
        last = found.trials[-1]
        log.warning("model_not_reached", **said, kind=last.kind, detail=last.detail)
    elif found.format is None:
        log.warning("model_obeys_no_schema", **said, tried=[t.detail for t in found.trials])
    elif found.format is not first:
        log.warning("model_demoted", **said, declared=first.value, asked_by=found.format.value)
    else:
        log.info("model_probed", **said, asked_by=found.format.value, ms=found.latency_ms)


async def open_models(settings: Settings, store: Store, clock: Clock) -> Models:
    """Connect every model that is switched on; without one nothing is imported.

    Raises ConfigError for a model without a price, TransientError when the ledger of costs
    cannot be read.
    """
    purse = Purse(store.attempts, clock, limits_of(settings))
    await purse.open()
    seats = tuple(
        connect(options, purse, clock, policy_of(settings))
        for options in options_of(settings, clock)
    )
    for seat in seats:
        seat.standing.watch()
    return Models(purse, seats, store, clock, {})


def limits_of(settings: Settings) -> SpendingLimits:
    given = settings.council
    return SpendingLimits(given.ai_budget_per_decision_usd, given.ai_budget_per_day_usd)


def policy_of(settings: Settings) -> AskPolicy:
    given = settings.council
    return AskPolicy(
        deadline_s=given.council_deadline_seconds,
        attempt_s=given.model_attempt_seconds,
        attempts=given.model_attempts,
        first_wait_s=given.model_first_wait_seconds,
        longest_wait_s=given.model_longest_wait_seconds,
        jitter_s=given.model_jitter_seconds,
        breaker_threshold=given.circuit_breaker_threshold,
    )


def options_of(settings: Settings, clock: Clock) -> tuple[ModelOptions, ...]:
    """Each model that is switched on; its key is masked in every log line from here on.

    Raises ConfigError where today's price of a model is not known.
    """
    found: list[ModelOptions] = []
    problems: list[str] = []
    for one in chosen(settings):
        options = _options(one)
        register_secret(options.key)
        try:
            options.prices.at(options.model, clock.wall())
        except ConfigError as error:
            problems.append(f"{one.name.upper()}_MODEL: {error}")
        found.append(options)
    if problems:
        raise ConfigError(*problems)
    return tuple(found)


def _options(one: Chosen) -> ModelOptions:
    shipped = one.shipped
    return ModelOptions(
        name=one.name,
        base_url=one.base_url,
        model=one.model,
        key=one.key.get_secret_value() if one.key is not None else "",
        capabilities=Capabilities(
            formats=tuple(AnswerFormat(name) for name in shipped.formats),
            strict=shipped.strict,
            temperature=shipped.temperature,
            seed=shipped.seed,
            max_tokens_field=shipped.max_tokens_field,
            max_output_tokens=shipped.max_output_tokens,
            cost_in_usage=shipped.cost_in_usage,
            extra_body=dict(shipped.extra_body),
        ),
        prices=PriceBook([_price(entry) for entry in one.prices]),
        requests_per_minute=shipped.requests_per_minute,
    )


def _price(entry: PriceEntry) -> Price:
    cached = entry.cached if entry.cached is not None else entry.input
    return Price(entry.model, entry.effective_from, entry.input, cached, entry.output)

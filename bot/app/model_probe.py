"""What a pre-flight tries of the council's models: one tiny paid question each.

Owns the lines and remedies; the trial itself is the seat's, the same as at a start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bot.adapters.seats.model import ModelSeat, Probed, Purse, connect, probe
from bot.app.models import limits_of, options_of, policy_of, probe_id
from bot.app.probes import Line, Outcome
from bot.domain.errors import ConfigError
from bot.domain.types import AbstentionKind, Attempt
from bot.ports import Clock
from config.settings import Settings

_TRIED = "a tiny schema that the natural answer would break"
# By words of the failure: the layer that it names, and what mends it.
_LAYERS = (
    ("_API_KEY is refused", "key", "put a key that is valid into {name}_API_KEY"),
    ("no credit left", "quota", "add credit at the provider, or set ENABLE_{name}=false"),
    ("404 from", "model", "mend {name}_MODEL or {name}_BASE_URL"),
    ("429 from", "rate limit", "wait, or raise the account's limit at the provider"),
    ("gaierror", "DNS", "mend the host of {name}_BASE_URL, or the machine's name server"),
    ("certificate", "TLS", "the endpoint's certificate is not trusted: mend {name}_BASE_URL"),
    ("SSL", "TLS", "the endpoint speaks no TLS there: mend {name}_BASE_URL"),
    ("efused", "TCP", "nobody listens there: start the endpoint, or mend {name}_BASE_URL"),
    ("onnect", "TCP", "the endpoint cannot be reached: mend {name}_BASE_URL, or the network"),
)


class _Forgetful:
    """A ledger that keeps nothing: a pre-flight beside a daemon writes into no database."""

    async def put(self, attempts: Sequence[Attempt]) -> None:
        await asyncio.sleep(0)

    async def since(self, wall_ms: int) -> tuple[Attempt, ...]:
        return ()


async def try_models(settings: Settings, clock: Clock) -> tuple[Line, ...]:
    """One line a model that is switched on; none without."""
    try:
        options = options_of(settings, clock)
    except ConfigError as error:
        return tuple(Line("models", "prices", Outcome.FAIL, one, "") for one in error.problems)
    if not options:
        found = "none is switched on: the built-in rules analyst answers"
        return (Line("models", "models of the council", Outcome.OK, found),)
    purse = Purse(_Forgetful(), clock, limits_of(settings))
    seats = [connect(one, purse, clock, policy_of(settings)) for one in options]
    try:
        found_all = await asyncio.gather(*(probe(seat, probe_id(seat, clock)) for seat in seats))
    finally:
        for seat in seats:
            await seat.close()
    return tuple(line_of(seat, found) for seat, found in zip(seats, found_all, strict=True))


def line_of(seat: ModelSeat, found: Probed) -> Line:
    """What one trial says to an operator."""
    layer = f"model {seat.name}"
    name = seat.name.upper()
    if not found.reached:
        return _away(layer, name, found)
    cost = f"{found.cost.normalize():f} USD"
    if found.format is None:
        said = "; ".join(f"{trial.format.value}: {trial.detail}" for trial in found.trials)
        remedy = f"name another {name}_MODEL: this one abstains from every question"
        return Line(layer, _TRIED, Outcome.FAIL, f"no way of asking is obeyed ({said})", remedy)
    what = f"{found.model or seat.options.model} obeys {found.format.value}"
    seen = f"{what}, {found.latency_ms / 1000:.2f} s, {cost}"
    ignored = [trial.format.value for trial in found.trials if not trial.obeyed]
    if ignored:
        remedy = "nothing to do: it is asked in that way"
        return Line(layer, _TRIED, Outcome.WARN, f"{seen}; ignores {', '.join(ignored)}", remedy)
    return Line(layer, _TRIED, Outcome.OK, seen)


def _away(layer: str, name: str, found: Probed) -> Line:
    last = found.trials[-1]
    if last.kind == AbstentionKind.BUDGET:
        remedy = "raise AI_BUDGET_PER_DECISION_USD"
        return Line(layer, _TRIED, Outcome.FAIL, f"budget: {last.detail}", remedy)
    if last.kind == AbstentionKind.TIMEOUT:
        remedy = f"raise MODEL_ATTEMPT_SECONDS, or set ENABLE_{name}=false"
        return Line(layer, _TRIED, Outcome.FAIL, f"timeout: {last.detail}", remedy)
    for words, what, remedy in _LAYERS:
        if words in last.detail:
            said = f"{what}: {last.detail}"
            return Line(layer, _TRIED, Outcome.FAIL, said, remedy.format(name=name))
    remedy = f"see what the provider says, or set ENABLE_{name}=false"
    return Line(layer, _TRIED, Outcome.FAIL, f"{last.kind}: {last.detail}", remedy)

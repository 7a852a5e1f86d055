"""What a pre-flight tries of the council's models: one tiny paid question each.

Owns the lines and remedies; the trial itself is the seat's, the same as at a start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bot.adapters.seats.model import ModelOptions, ModelSeat, Probed, Purse, connect, probe
from bot.adapters.seats.model.purse import AttemptStore
from bot.adapters.store import StoreOptions, open_store
from bot.app.models import limits_of, options_of, policy_of, probe_id
from bot.app.policies import council_template
from bot.app.probes import Line, Outcome
from bot.app.running import place_named
from bot.app.world import world_name
from bot.domain.council import quorum
from bot.domain.errors import ConfigError, TransientError
from bot.domain.types import ZERO, AbstentionKind, Attempt, Messages
from bot.ports import Clock
from config.settings import Settings

FACTS_BYTES = 2_500  # of a question: what the template does not hold
_TRIED = "a tiny schema that the natural answer would break"
_BUDGET = "what one decision may cost"
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
    """A ledger that keeps nothing: before the first start there are no books."""

    async def put(self, attempts: Sequence[Attempt]) -> None:
        await asyncio.sleep(0)

    async def since(self, wall_ms: int) -> tuple[Attempt, ...]:
        return ()


async def try_models(settings: Settings, clock: Clock) -> tuple[Line, ...]:
    """One line a model that is switched on; none without.

    What it costs is booked in the world's database, also beside a daemon, whose own total takes
    it up at its next start. Where that cannot be written nobody is asked.
    """
    try:
        options = options_of(settings, clock)
    except ConfigError as error:
        return tuple(Line("models", "prices", Outcome.FAIL, one, "") for one in error.problems)
    if not options:
        found = "none is switched on: the built-in rules analyst answers"
        return (Line("models", "models of the council", Outcome.OK, found),)
    try:
        place = place_named(settings)
        if place.is_file and not place.path.exists():
            found = "there are no books before the first start: what this check costs is not kept"
            line = Line("models", "book what it costs", Outcome.OK, found)
            return (*await _ask(options, _Forgetful(), settings, clock), line)
        folder = settings.general.data_dir / world_name(settings)
        store = await open_store(StoreOptions(place.whole, folder, reader=True), clock)
        try:
            return await _ask(options, store.attempts, settings, clock)
        finally:
            await store.close()
    except (ConfigError, TransientError) as error:
        found = f"not asked, for what it costs cannot be booked: {error}"
        return (Line("models", "book what it costs", Outcome.WARN, found, "mend the database"),)


async def _ask(
    options: Sequence[ModelOptions], books: AttemptStore, settings: Settings, clock: Clock
) -> tuple[Line, ...]:
    """Try each model once. Raises TransientError when the books cannot be read or written."""
    purse = Purse(books, clock, limits_of(settings))
    await purse.open()
    seats = [connect(one, purse, clock, policy_of(settings)) for one in options]
    try:
        found_all = await asyncio.gather(*(probe(seat, probe_id(seat, clock)) for seat in seats))
        await purse.flush()
    finally:
        for seat in seats:
            await seat.close()
    lines = [line_of(seat, found) for seat, found in zip(seats, found_all, strict=True)]
    return (*lines, *budget_lines(seats, settings))


def budget_lines(seats: Sequence[ModelSeat], settings: Settings) -> tuple[Line, ...]:
    """A line where the budget does not pay a first question to all; none where it does.

    They are asked in their order, each if its most fits beside those before it.
    """
    template, limits = council_template(settings), limits_of(settings)
    shown = Messages(template.system, template.user + "x" * FACTS_BYTES, template.version)
    mosts = [most for seat in seats if (most := seat.most_for(shown))]
    limit, paid, standing = min(limits.per_decision, limits.per_day), 0, ZERO
    for most in mosts:
        if standing + most <= limit:
            paid, standing = paid + 1, standing + most
    if paid == len(mosts):
        return ()
    free = sum(seat.format is not None for seat in seats) - len(mosts)
    needed = quorum([seat.name for seat in seats])
    found = (
        f"{limit} USD pay {paid + free} of {len(seats)} models at their most, which is "
        f"{sum(mosts):.4f}; the others abstain, and a quorum is {needed}"
    )
    never = paid + free < needed
    of = "DECISION" if limits.per_decision <= limits.per_day else "DAY"
    remedy = f"raise AI_BUDGET_PER_{of}_USD, or name cheaper models"
    return (Line("models", _BUDGET, Outcome.FAIL if never else Outcome.WARN, found, remedy),)


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
        a_day = last.detail.endswith("a day")
        remedy = f"raise AI_BUDGET_PER_{'DAY' if a_day else 'DECISION'}_USD"
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

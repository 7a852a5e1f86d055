"""What /status, /metrics, /health and the page show of the council's models.

Owns the shape; computes no cost and asks no model.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.app.models import Models
from bot.pipeline.council import Council
from bot.runtime.breakers import BreakerState
from bot.web.view import Component, HealthState


def models_now(models: Models, council: Council) -> Mapping[str, object]:
    """Everything: today's money and ends, each seat's state, what the council counted."""
    return {**models.figures(), "states": models.states(), "council": council.state()}


def models_line(models: Models) -> Mapping[str, object] | None:
    """The few figures of the page; None where no model has a seat."""
    if not models.seats:
        return None
    figures = models.purse.figures()
    names = ("cost_usd", "reserved_usd", "budget_usd", "answers", "abstentions")
    return {"seats": len(models.seats), **{name: figures[name] for name in names}}


def model_metrics(models: Models, council: Council) -> Mapping[str, object]:
    """Figures of today, then of each seat; today is the UTC day of the wall clock."""
    figures = models.purse.figures()
    shut = sum(seat.view().state is not BreakerState.CLOSED for seat in models.seats)
    hit_rate = council.kept.hit_rate
    return {
        "models": {
            "configured": len(models.seats),
            "cost_today_usd": figures["cost_usd"],
            "reserved_today_usd": figures["reserved_usd"],
            "budget_left_usd": figures["left_usd"],
            "answers_today": figures["answers"],
            "abstentions_today": figures["abstentions"],
            "breakers_open": shut,
            "cache_hits": council.kept.hits,
            "cache_misses": council.kept.misses,
            **({"cache_hit_rate": hit_rate} if hit_rate is not None else {}),
            "seat": {seat.name: _seat(models, seat.name) for seat in models.seats},
        }
    }


def model_components(models: Models) -> tuple[Component, ...]:
    """One line a model; a breaker that is not closed degrades, and nothing worse than that."""
    found = []
    for seat in models.seats:
        view, probed = seat.view(), models.probed.get(seat.name)
        well = view.state is BreakerState.CLOSED and seat.format is not None
        detail = f"{seat.options.model}, {view.state.value}"
        if seat.format is None:
            detail = f"{seat.options.model} obeys no schema; see main.py check"
        elif view.state is BreakerState.OPEN:
            detail += f" after {view.failures} failures, asked again in {view.retry_in_s:.0f} s"
        elif probed is not None and not probed.reached:
            detail += f", not reached when it was tried: {probed.trials[-1].kind}"
        state = HealthState.OK if well else HealthState.DEGRADED
        found.append(Component(f"model_{seat.name}", state, detail))
    return tuple(found)


def _seat(models: Models, name: str) -> Mapping[str, object]:
    seats = models.purse.figures()["seats"]
    assert isinstance(seats, Mapping)
    figures = seats.get(name, {})
    return {
        "cost_today_usd": figures.get("cost_usd", 0),
        "reserved_today_usd": figures.get("reserved_usd", 0),
        "attempts_today": figures.get("attempts", {}),
    }

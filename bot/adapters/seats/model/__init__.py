"""Seats of the council behind OpenAI-compatible endpoints; the `openai` package on demand only."""

from __future__ import annotations

from bot.adapters.seats.model.client import ModelClient
from bot.adapters.seats.model.options import (
    AnswerFormat,
    AskPolicy,
    Capabilities,
    ModelOptions,
)
from bot.adapters.seats.model.probe import Probed, Trial, probe
from bot.adapters.seats.model.purse import Purse
from bot.adapters.seats.model.seat import ModelSeat
from bot.ports import Clock

__all__ = [
    "AnswerFormat",
    "AskPolicy",
    "Capabilities",
    "ModelOptions",
    "ModelSeat",
    "Probed",
    "Purse",
    "Trial",
    "connect",
    "probe",
]


def connect(options: ModelOptions, purse: Purse, clock: Clock, policy: AskPolicy) -> ModelSeat:
    """A seat with its line. Imports `openai`: to be called before the daemon serves."""
    line = ModelClient(options, policy.attempt_s, clock.wall)
    return ModelSeat(options, line, purse, clock, policy)

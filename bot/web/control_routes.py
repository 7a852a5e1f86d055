"""Owns the routes that change something: who asks is in their body, the token in their header.

Refuses to know what a change does; it only asks the controls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bot.web.answers import Json, Refusal, refusal
from bot.web.view import Controls, Declined

# Who asks, in the words of their channel: for the audit alone, so no more than plain letters.
By = Annotated[str, Field(default="api", min_length=1, max_length=40, pattern=r"^[\w.@:+ -]+$")]

NOT_NOW: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "There is nothing of this name or id"},
    409: {"model": Refusal, "description": "It cannot be done any more; the code says why"},
}


class ControlRequest(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid")
    by: By = "api"


class HaltRequest(ControlRequest):
    """Why entries are halted; it stands in the audit and in /status."""

    reason: str = Field(default="by hand", min_length=1, max_length=200)


class CloseRequest(ControlRequest):
    """Which position."""

    symbol: str = Field(min_length=1, max_length=40)


class AnswerRequest(ControlRequest):
    """The id of what waits, as /status lists it under `approvals`: it is used once."""

    id: str = Field(min_length=1, max_length=80)


def add_controls(app: FastAPI, controls: Controls, access: list[Any]) -> None:
    """POST /control/*; `access` declares that they need the token."""
    _add_state(app, controls, access)
    _add_closing(app, controls, access)
    _add_answers(app, controls, access)


def _add_state(app: FastAPI, controls: Controls, access: list[Any]) -> None:
    @app.post("/control/halt", response_class=Json, dependencies=access)
    async def halt(body: HaltRequest | None = None) -> Response:
        """Stop entries, also after a restart; exits and stops go on."""
        asked = body or HaltRequest()
        return _answer(await controls.halt(asked.reason, asked.by))

    @app.post("/control/resume", response_class=Json, dependencies=access)
    async def resume(body: ControlRequest | None = None) -> Response:
        """Allow entries again, close the breakers that only a person closes, name the others."""
        return _answer(await controls.resume((body or ControlRequest()).by))


def _add_closing(app: FastAPI, controls: Controls, access: list[Any]) -> None:
    @app.post("/control/close", response_class=Json, dependencies=access, responses=NOT_NOW)
    async def close(body: CloseRequest) -> Response:
        """Close one position and say how it ended; `ok` when nothing of it is open any more."""
        return _answer(await controls.close(body.symbol, body.by))

    @app.post("/control/close-all", response_class=Json, dependencies=access)
    async def close_all(body: ControlRequest | None = None) -> Response:
        """Try to close every position, whatever the state; each one's end is told.

        `ok` when none is open any more; what is, or turns up once books and venue were
        `compared`, goes on being closed. Entries stay as they are: halt first to stay flat.
        """
        return _answer(await controls.close_all((body or ControlRequest()).by))


def _add_answers(app: FastAPI, controls: Controls, access: list[Any]) -> None:
    @app.post("/control/approve", response_class=Json, dependencies=access, responses=NOT_NOW)
    async def approve(body: AnswerRequest) -> Response:
        """Say yes to a trade that waits; the desk then looks again at price and gates."""
        return _answer(await controls.approve(body.id, body.by))

    @app.post("/control/reject", response_class=Json, dependencies=access, responses=NOT_NOW)
    async def reject(body: AnswerRequest) -> Response:
        """Say no to a trade that waits."""
        return _answer(await controls.reject(body.id, body.by))


def _answer(found: Mapping[str, object] | Declined) -> Response:
    if isinstance(found, Declined):
        return refusal(found.status, found.code, found.message)
    return Json({"ok": True, **found})

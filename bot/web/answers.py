"""Owns the shape of answers: plain objects, and one envelope for every error.

Refuses to know the routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bot.domain.errors import Misasked, TransientError
from bot.web.encode import Written, encode, write

SAFE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PART = 10_000  # characters that are written without a look at the sockets: half a millisecond
CODES = {404: "not_found", 405: "method_not_allowed"}


class Wrong(BaseModel):
    """What went wrong: `code` for programs, `message` for people."""

    code: str
    message: str


class Refusal(BaseModel):
    """Body of every answer that is an error."""

    ok: bool = Field(default=False, examples=[False])
    error: Wrong


class Json(Response):
    """A response of our own values; see `encode`."""

    media_type = "application/json"

    def __init__(
        self, content: object, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(encode(content), status_code, {**SAFE_HEADERS, **(headers or {})})


async def in_turns(content: Mapping[str, object]) -> Response:
    """The answer, written a part at a time."""
    return Json(await written_in_turns(content))


async def written_in_turns(content: Mapping[str, object]) -> Written:
    """`content` as JSON, a part a turn of the loop: 500 rows take 10 ms.

    What made `content` has had its turn; the writing begins with the next.
    """
    parts: list[str] = []
    written = PART
    for part in _parts(content):
        if written >= PART:
            await asyncio.sleep(0)
            written = 0
        parts.append(part)
        written += len(part)
    return Written("".join(parts))


def _parts(content: Mapping[str, object]) -> Iterator[str]:
    """`content` as JSON, a member or a row of one at a time."""
    yield "{"
    for number, (name, value) in enumerate(content.items()):
        yield f"{',' if number else ''}{write(name)}:"
        if not isinstance(value, list | tuple):
            yield write(value, name)
            continue
        yield "["
        for place, row in enumerate(value):
            yield f"{',' if place else ''}{write(row, name)}"
        yield "]"
    yield "}"


def refusal(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The envelope of an error."""
    body = {"ok": False, "error": {"code": code, "message": message}}
    return Json(body, status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of routing, validation and the view in the envelope."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Misasked, _misasked)
    app.add_exception_handler(TransientError, _away)
    app.add_exception_handler(Exception, _broken)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "http_error")
    return refusal(error.status_code, code, str(error.detail), error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return refusal(422, "invalid", "; ".join(wrong))


async def _misasked(_: Request, error: Exception) -> Response:
    return refusal(422, "invalid", str(error))


async def _away(_: Request, error: Exception) -> Response:
    return refusal(503, "not_available", str(error), {"Retry-After": "10"})


async def _broken(_: Request, error: Exception) -> Response:
    # The caller learns nothing of the inside; the server logs the error, which is raised again.
    return refusal(500, "internal", "the answer could not be made; the log says why")

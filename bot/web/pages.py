"""Owns the files of the page and the plain description of the API. No outside asset.

Refuses to know any figure: the page is the same for everyone and asks for its figures itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

FOLDER = Path(__file__).parent / "static"
PAGE = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing but our own files, no inline script or style, no frame around us.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept, but asked for again: a new version shows at once
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    headers: Mapping[str, str]


class StaticFiles:
    """The page's files, read once at start; a name that is none of them is no file."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            file.name: _read(file) for file in sorted(folder.iterdir()) if file.suffix in TYPES
        }

    def names(self) -> tuple[str, ...]:
        return tuple(self._files)

    def answer(self, name: str, request: Request) -> Response | None:
        """The file, or 304 when the browser has it; None when there is no such file."""
        file = self._files.get(name)
        if file is None:
            return None
        if request.headers.get("if-none-match") == file.headers["ETag"]:
            return Response(status_code=304, headers=file.headers)
        return Response(file.body, headers=file.headers)


def _read(file: Path) -> _File:
    body = file.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return _File(body, {**HEADERS, "Content-Type": TYPES[file.suffix], "ETag": tag})


def docs(schema: Mapping[str, Any]) -> HTMLResponse:
    """The OpenAPI document for people."""
    return _page(
        "Keel: the API",
        f"<p>{escape(schema['info']['description'])} "
        'For programs: <a href="/openapi.json">/openapi.json</a>. '
        'The page: <a href="/">/</a>.</p>'
        + "".join(
            _operation(method.upper(), path, operation)
            for path, methods in schema["paths"].items()
            for method, operation in methods.items()
        ),
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    token = " <i>needs the token</i>" if operation.get("security") else ""
    parameters = "".join(f"<li>{line}</li>" for line in _parameters(operation))
    answers = ", ".join(sorted(operation["responses"]))
    return (
        f"<h2><code>{method} {escape(path)}</code>{token}</h2>"
        f"<p>{escape(operation.get('description', ''))}</p><ul>{parameters}</ul>"
        f"<p>Answers: {escape(answers)}</p>"
    )


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        default = parameter["schema"].get("default")
        shown = f", default {escape(str(default))}" if default is not None else ""
        yield f"<code>{escape(parameter['name'])}</code> in {parameter['in']}{shown}"
    if "requestBody" in operation:
        yield "a JSON body, see /openapi.json"


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/base.css">'
        f'</head><body class="text"><h1>{title}</h1>{body}</body></html>',
        headers=HEADERS,
    )

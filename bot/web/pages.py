"""Owns the two plain pages: what is here, and what the API takes. No outside asset.

Refuses to know any figure but version, mode and health.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

from bot.web.answers import SAFE_HEADERS
from bot.web.view import Health

HEADERS = {
    **SAFE_HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#8882;padding:0 .25rem}td{padding:.1rem 1rem .1rem 0;vertical-align:top}"
    ":root{color-scheme:light dark}"
)
LINKS = (
    ("/status", "mode, trading state, positions, money, orders, breakers, services"),
    ("/metrics", "figures as JSON; for Prometheus by its Accept header or ?format=prometheus"),
    ("/traces", "the latest decisions with where each ended and why"),
    ("/traces/funnel", "how many decisions ended where"),
    ("/health", "components and their state"),
    ("/docs", "every route with its parameters; as OpenAPI: /openapi.json"),
)


def index(health: Health) -> HTMLResponse:
    """What runs here and where to look."""
    rows = "".join(
        f'<tr><td><a href="{path}">{path}</a></td><td>{escape(what)}</td></tr>'
        for path, what in LINKS
    )
    return _page(
        "Keel",
        f"<p>Keel {escape(health.version)}, mode <b>{escape(health.mode)}</b>, "
        f"health <b>{escape(health.status)}</b>.</p><table>{rows}</table>",
    )


def docs(schema: Mapping[str, Any]) -> HTMLResponse:
    """The OpenAPI document for people."""
    return _page(
        "Keel: the API",
        f"<p>{escape(schema['info']['description'])} "
        'For programs: <a href="/openapi.json">/openapi.json</a>.</p>'
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
        f"<h3><code>{method} {escape(path)}</code>{token}</h3>"
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
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>",
        headers=HEADERS,
    )

"""Owns the routes: what is asked where, with which status it is answered.

Refuses to know how the answers come about; it only asks the view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Security
from fastapi.security import HTTPBearer
from starlette.responses import Response

from bot.domain.errors import Misasked
from bot.domain.types import Ms, Symbol, Timeframe
from bot.runtime.lean import missing
from bot.web.access import Guard, WebOptions
from bot.web.answers import SAFE_HEADERS, Json, Refusal, add_error_handlers, in_turns, refusal
from bot.web.control_routes import add_controls
from bot.web.encode import Plain
from bot.web.events import EventStreams
from bot.web.exposition import expose
from bot.web.last_good import LastGood
from bot.web.pages import PAGE, StaticFiles, docs
from bot.web.view import Controls, HealthState, StatusView

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The Host header is not ours"},
    401: {"model": Refusal, "description": "The API token is needed"},
    422: {"model": Refusal, "description": "A parameter cannot be understood"},
    500: {"model": Refusal, "description": "The answer could not be made"},
    503: {"model": Refusal, "description": "Not available now"},
}
LAST_MS = 253_402_300_799_000  # 9999-12-31T23:59:59Z
TEXT = r"^[^\x00]+$"  # PostgreSQL's texts hold no NUL
METRICS_200 = {"description": "JSON or exposition format", "content": {"text/plain": {}}}
EVENTS_200 = {"description": "An endless stream", "content": {"text/event-stream": {}}}
UNKNOWN_SYMBOL: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "Nothing is known of this symbol"}
}
UNWELL: dict[int | str, dict[str, Any]] = {
    503: {"description": "The same body, when it is not well"}
}


def build_api(
    view: StatusView, options: WebOptions, version: str, controls: Controls | None = None
) -> FastAPI:
    """The API over `view`; without `controls` it is read-only."""
    app = FastAPI(
        title="Keel",
        version=version,
        description="What the daemon knows. Errors: {ok: false, error: {code, message}}.",
        openapi_url=None,  # ours is made in a thread
        docs_url=None,  # the usual page loads its scripts from another host
        redoc_url=None,
        responses=ERRORS,
    )
    token = [Security(HTTPBearer(auto_error=False))]  # declares; `Guard` decides
    reading = [] if options.loopback else token
    kept = LastGood(view.now)
    with missing("pydantic.v1"):  # of each annotation FastAPI asks whether it is one of that time
        _add_probes(app, view)
        _add_reading(app, view, reading)
        _add_traces(app, view, kept, reading)
        _add_charts(app, view, kept, reading)
        _add_logs(app, view, reading)
        _add_events(app, view, reading)
        _add_pages(app, reading)
        if controls is not None:
            add_controls(app, controls, token)
    add_error_handlers(app)
    app.add_middleware(Guard, options=options)
    return app


def _add_probes(app: FastAPI, view: StatusView) -> None:
    @app.get("/health", response_class=Json, responses=UNWELL)
    async def health() -> Response:
        """Components, uptime, version, mode; 503 when failing."""
        now = view.health()
        return Json(now, 503 if now.status is HealthState.FAILING else 200)

    @app.get("/live", response_class=Json, responses=UNWELL)
    async def live() -> Response:
        """Whether the process does its work; 503: restart it."""
        alive = view.live()
        return Json({"live": alive}, 200 if alive else 503)

    @app.get("/ready", response_class=Json, responses=UNWELL)
    async def ready() -> Response:
        """Whether start-up is over and no stop has begun."""
        now = view.ready()
        return Json(now, 200 if now.ready else 503)


def _add_reading(app: FastAPI, view: StatusView, access: list[Any]) -> None:
    @app.get("/status", response_class=Json, dependencies=access)
    async def status() -> Response:
        """Mode, phase, trading state, positions, money, orders, breakers, services."""
        await asyncio.sleep(0)  # the way through the framework was a millisecond
        return await in_turns(view.status())

    @app.get("/breakers", response_class=Json, dependencies=access)
    async def breakers(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
        """What each breaker measures against its limit, which hold, and what they did.

        `history` is newest first; `cleared_at` is null while the breaker holds.
        """
        return await in_turns(await view.breakers(limit))

    @app.get("/metrics", response_class=Json, dependencies=access, responses={200: METRICS_200})
    async def metrics(
        request: Request,
        form: Annotated[str | None, Query(alias="format", pattern="^(json|prometheus)$")] = None,
    ) -> Response:
        """Figures as JSON, or in the exposition format for text/plain and openmetrics."""
        accept = request.headers.get("accept", "")
        if form == "json" or (form is None and not wants_exposition(accept)):
            await asyncio.sleep(0)
            return await in_turns(view.metrics())
        body, content_type = expose(view.metrics(), accept if form is None else "")
        return Response(body, headers={**SAFE_HEADERS, "Content-Type": content_type})


def _add_traces(app: FastAPI, view: StatusView, kept: LastGood, access: list[Any]) -> None:
    @app.get("/decisions", response_class=Json, dependencies=access)
    async def decisions(limit: Annotated[int, Query(ge=1, le=100)] = 30) -> Response:
        """The latest decisions that reached a signal: score parts, votes, checks, nearest miss.

        Times are in ms UTC; `nearest_miss` is the failed number closest to its limit.
        """
        found = await kept.answer(("decisions", limit), named("decisions", view.decisions(limit)))
        return await in_turns(found)

    @app.get("/traces", response_class=Json, dependencies=access)
    async def traces(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
        """The latest decisions, newest first."""
        found = await kept.answer(("traces", limit), named("traces", view.traces(limit)))
        return await in_turns(found)

    @app.get("/traces/funnel", response_class=Json, dependencies=access)
    async def funnel(since: datetime | None = None) -> Response:
        """How many roads ended where, since a time (ISO 8601) or the beginning."""
        start = None if since is None else to_ms(since)
        return Json(await kept.answer(("funnel", kept.since(start)), view.funnel(start)))

    @app.get("/traces/report", response_class=Json, dependencies=access)
    async def report(
        since: datetime | None = None,
        symbol: Annotated[str | None, Query(max_length=20, pattern=TEXT)] = None,
    ) -> Response:
        """Latency by stage, errors, strategies, the funnel with its top reasons, advice."""
        start = None if since is None else to_ms(since)
        if start is not None and start > (view.now() or start):
            raise Misasked("query.since: it lies after the newest record, in market time")
        key = ("report", kept.since(start), symbol)
        return await in_turns(await kept.answer(key, view.report(start, symbol), wait_s=None))

    @app.get(
        "/traces/{trace_id}",
        response_class=Json,
        dependencies=access,
        responses={404: {"model": Refusal, "description": "No such trace"}},
    )
    async def trace(trace_id: Annotated[str, Path(max_length=80, pattern=TEXT)]) -> Response:
        """One decision in full."""
        found = await view.trace(trace_id)
        if found is None:
            return refusal(404, "not_found", f"no trace {trace_id}")
        return Json(found)


def _add_charts(app: FastAPI, view: StatusView, kept: LastGood, access: list[Any]) -> None:
    @app.get("/equity", response_class=Json, dependencies=access)
    async def equity(
        since: datetime | None = None, limit: Annotated[int, Query(ge=10, le=1000)] = 600
    ) -> Response:
        """The equity curve since a time of market time (ISO 8601) or the beginning.

        `points` are rows of `columns`, times in ms UTC; thinned to `limit`, highs and lows kept.
        """
        start = None if since is None else to_ms(since)
        key = ("equity", kept.since(start), limit)
        return await in_turns(await kept.answer(key, view.equity(start, limit)))

    @app.get("/trades", response_class=Json, dependencies=access)
    async def trades(limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
        """The latest closed trades, newest first."""
        return await in_turns({"trades": await view.trades(limit)})

    @app.get("/trades/summary", response_class=Json, dependencies=access)
    async def summary() -> Response:
        """Closed trades by symbol and by strategy, best first, and the win rate over time.

        Rates are fractions with their 95 % interval; `course` has a point a trade, over the
        last `window` trades, times in ms UTC.
        """
        return await in_turns(await kept.answer(("summary",), view.summary()))

    @app.get("/candles", response_class=Json, dependencies=access, responses=UNKNOWN_SYMBOL)
    async def candles(
        symbol: Annotated[str, Query(max_length=40, pattern=TEXT)],
        timeframe: Timeframe = Timeframe.M5,
        limit: Annotated[int, Query(ge=1, le=500)] = 200,
    ) -> Response:
        """The last closed bars of a symbol, with the trades and the position within them.

        `bars` are rows of `columns`, open times in ms UTC.
        """
        asked = known(view.candles(Symbol(symbol), timeframe, limit))
        try:
            found = await kept.answer(("candles", symbol, timeframe, limit), asked)
        except Unknown:
            return refusal(404, "not_found", "no candles of this symbol have been seen yet")
        return await in_turns(found)


def _add_logs(app: FastAPI, view: StatusView, access: list[Any]) -> None:
    @app.get("/logs", response_class=Json, dependencies=access)
    async def logs(
        limit: Annotated[int, Query(ge=1, le=200)] = 200,
        level: Annotated[str, Query(pattern="^(debug|info|warning|error|critical)$")] = "info",
    ) -> Response:
        """The newest lines of the log of this level or worse; secrets are masked."""
        return await in_turns(await view.logs(limit, level))


def _add_events(app: FastAPI, view: StatusView, access: list[Any]) -> None:
    streams = EventStreams(view)

    @app.get("/events", dependencies=access, responses={200: EVENTS_200})
    async def events(request: Request) -> Response:
        """What the page shows, pushed once a second as server-sent events.

        `event: page` carries the figures as JSON, `event: bye` says that the server stops.
        """
        if streams.full:
            return refusal(
                503,
                "too_many_pages",
                f"{streams.open} pages are open already; close one",
                {"Retry-After": "10"},
            )
        return streams.response(request.scope)


def _add_pages(app: FastAPI, access: list[Any]) -> None:
    files = StaticFiles()

    @app.get("/", include_in_schema=False)
    async def front(request: Request) -> Response:
        page = files.answer(PAGE, request)
        return page or refusal(500, "internal", f"the file {PAGE} is missing in this installation")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        return files.answer(name, request) or refusal(404, "not_found", "no such file")

    # To make the description takes 25 ms, once; the models it is made of are built for it.
    @app.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        return await asyncio.to_thread(lambda: Json(Plain(app.openapi())))

    @app.get("/docs", include_in_schema=False, dependencies=access)
    async def describe() -> Response:
        return await asyncio.to_thread(lambda: docs(app.openapi()))


async def named(name: str, rows: Awaitable[object]) -> Mapping[str, object]:
    """Rows under their name."""
    return {name: await rows}


class Unknown(Exception):
    """Nothing is known of what was asked for."""


async def known(found: Awaitable[Mapping[str, object] | None]) -> Mapping[str, object]:
    """What was found. Raises Unknown."""
    body = await found
    if body is None:
        raise Unknown
    return body


def to_ms(moment: datetime) -> Ms:
    """A time without a zone is UTC; nothing is older than 1970, nor younger than the year 9999."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Ms(min(max(0, int(aware.timestamp() * 1000)), LAST_MS))


def wants_exposition(accept: str) -> bool:
    """Whether the first choice of an Accept header is a Prometheus format; `*/*` is JSON."""
    choices: list[tuple[float, str]] = []
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = _number(parameter[2:])
        choices.append((-quality, kind))
    choices.sort(key=lambda choice: choice[0])  # stable: equals keep the caller's order
    for negative, kind in choices:
        if kind in ("text/plain", "application/openmetrics-text"):
            return negative < 0
        if kind in ("application/json", "application/*", "*/*"):
            return False
    return False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

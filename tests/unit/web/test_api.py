"""What the routes answer."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bot.domain.types import Timeframe
from bot.web.access import WebOptions
from bot.web.api import to_ms, wants_exposition
from bot.web.view import HealthState
from tests.unit.web.conftest import BEARER, TOKEN, FakeDaemon, client_of


@pytest.mark.parametrize(
    ("state", "status"),
    [(HealthState.OK, 200), (HealthState.DEGRADED, 200), (HealthState.FAILING, 503)],
)
async def test_health_fails_only_when_failing(
    client: httpx.AsyncClient, daemon: FakeDaemon, state: HealthState, status: int
) -> None:
    """200 ok or degraded, 503 failing; the body is the same."""
    daemon.state = state
    answer = await client.get("/health")
    assert answer.status_code == status
    assert answer.json() == {
        "status": state.value,
        "components": [
            {"name": "database", "state": state.value, "detail": "last write 1 s ago"},
        ],
        "uptime_s": 12.5,
        "version": "0.1.0",
        "mode": "demo",
    }


async def test_probes_speak_by_status(client: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    """/live and /ready: 200, or 503 with the reason."""
    assert (await client.get("/live")).status_code == 200
    assert (await client.get("/ready")).status_code == 200
    daemon.alive = daemon.prepared = False
    live, ready = await client.get("/live"), await client.get("/ready")
    assert (live.status_code, live.json()) == (503, {"live": False})
    assert ready.status_code == 503
    assert ready.json()["phase"] == "reconciling"


async def test_status_gives_money_as_text_and_times_as_iso(client: httpx.AsyncClient) -> None:
    """Nothing is lost in a float on the way out."""
    answer = await client.get("/status")
    assert answer.json() == {
        "mode": "demo",
        "equity": "1000.50",
        "next_scan_at": "2023-11-14T22:13:20.000Z",
    }
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "query", "exposed"),
    [
        ("*/*", "", False),
        (None, "", False),
        ("application/json, text/plain, */*", "", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", False),
        ("text/plain", "", True),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", "", True),
        ("*/*", "?format=prometheus", True),
        ("text/plain", "?format=json", False),
    ],
)
async def test_metrics_come_in_the_form_that_was_asked_for(
    client: httpx.AsyncClient, accept: str | None, query: str, exposed: bool
) -> None:
    """JSON for `*/*`; exposition for text/plain, openmetrics or ?format=prometheus."""
    if accept is None:
        client.headers.pop("accept")
    headers = {} if accept is None else {"Accept": accept}
    answer = await client.get(f"/metrics{query}", headers=headers)
    assert answer.status_code == 200
    if exposed:
        assert answer.headers["content-type"].startswith(("text/plain", "application/openmetrics"))
        assert "keel_trades_total 3.0" in answer.text
    else:
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["total_trades"] == 3


async def test_traces_are_limited(client: httpx.AsyncClient) -> None:
    """50 unless asked otherwise, 500 at most."""
    assert len((await client.get("/traces")).json()["traces"]) == 50
    assert len((await client.get("/traces?limit=2")).json()["traces"]) == 2
    for limit in ("0", "501", "many"):
        refused = await client.get(f"/traces?limit={limit}")
        assert refused.status_code == 422
        assert refused.json()["error"]["code"] == "invalid"
        assert "limit" in refused.json()["error"]["message"]


async def test_one_trace_by_its_id(client: httpx.AsyncClient) -> None:
    """Found, or 404 in the envelope."""
    found = await client.get("/traces/BTC-20260101T0000-1")
    assert found.json() == {"trace_id": "BTC-20260101T0000-1"}
    missing = await client.get("/traces/BTC-20260101T0000-2")
    assert missing.status_code == 404
    assert missing.json()["ok"] is False
    assert missing.json()["error"]["code"] == "not_found"


async def test_the_report_is_no_trace_of_that_name(client: httpx.AsyncClient) -> None:
    """/traces/report is the report, with a beginning and a symbol."""
    asked = {"since": "2023-11-01T00:00:00", "symbol": "BTC"}
    answer = await client.get("/traces/report", params=asked)
    assert answer.json()["symbol"] == "BTC"
    assert answer.json()["since"] == to_ms(datetime(2023, 11, 1, tzinfo=UTC))


async def test_a_report_of_what_is_to_come_is_422(client: httpx.AsyncClient) -> None:
    """An empty report would look like a Keel that saw nothing."""
    answer = await client.get("/traces/report", params={"since": "2030-01-01T00:00:00"})
    assert answer.status_code == 422
    assert "after the newest record" in answer.json()["error"]["message"]


async def test_the_funnel_takes_a_beginning(client: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    """ISO 8601 with or without a zone; none means from the start."""
    await client.get("/traces/funnel")
    await client.get("/traces/funnel", params={"since": "2026-01-01T01:00:00+01:00"})
    await client.get("/traces/funnel", params={"since": "2026-01-01T00:00:00"})
    moment = to_ms(datetime(2026, 1, 1, tzinfo=UTC))
    assert daemon.asked == [None, moment, moment]


async def test_a_database_that_is_away_is_503(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """What can be tried again says so, in the envelope."""
    daemon.database = False
    answer = await client.get("/traces")
    assert answer.status_code == 503
    assert answer.json()["error"] == {"code": "not_available", "message": "the database is away"}
    assert "retry-after" in answer.headers


async def test_an_error_inside_shows_nothing_outside(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """500 in the envelope, without the exception's words."""
    daemon.broken = True
    answer = await client.get("/status")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "secret inside" not in answer.text


async def test_unknown_routes_and_methods_use_the_envelope(client: httpx.AsyncClient) -> None:
    """404 and 405 (with Allow) are errors like the others."""
    unknown = await client.get("/nothing")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
    wrong = await client.post("/status", headers=BEARER)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"


async def test_the_curve_takes_a_beginning_and_a_bound(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """Money as text, times in ms as the columns say; 600 points unless asked otherwise."""
    answer = await client.get("/equity", params={"since": "2026-01-01T00:00:00Z"})
    assert answer.json() == {"columns": ["ms", "equity", "peak"], "points": [[1, "1000", "1"]]}
    assert daemon.asked == [(to_ms(datetime(2026, 1, 1, tzinfo=UTC)), 600)]
    for wrong in ("limit=9", "limit=1001", "since=yesterday"):
        assert (await client.get(f"/equity?{wrong}")).status_code == 422


async def test_candles_are_of_a_known_symbol_and_bounded(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """A symbol nobody has seen is 404, a timeframe that is none and too many bars are 422."""
    answer = await client.get("/candles?symbol=BTC&timeframe=1m&limit=500")
    assert answer.json()["bars"] == [[1, 1.0, 2.0, 0.5, 1.5, 10.0]]
    assert daemon.asked == [("BTC", Timeframe.M1, 500)]
    missing = await client.get("/candles", params={"symbol": "<script>"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert "script" not in missing.text
    for wrong in ("", "?symbol=BTC&timeframe=7m", "?symbol=BTC&limit=501", "?symbol="):
        assert (await client.get(f"/candles{wrong}")).status_code == 422


@pytest.mark.parametrize(
    ("path", "key", "usual", "most"),
    [("/decisions", "decisions", 30, 100), ("/trades", "trades", 50, 200)],
)
async def test_lists_are_bounded(
    client: httpx.AsyncClient, path: str, key: str, usual: int, most: int
) -> None:
    """So many unless asked otherwise, and never more than the route allows."""
    assert len((await client.get(path)).json()[key]) == usual
    assert len((await client.get(f"{path}?limit={most}")).json()[key]) == most
    assert (await client.get(f"{path}?limit={most + 1}")).status_code == 422
    assert (await client.get(f"{path}?limit=0")).status_code == 422


async def test_halt_takes_a_reason_and_needs_none(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """The reason goes to the audit; without one it is "by hand"."""
    halted = await client.post("/control/halt", json={"reason": "news"}, headers=BEARER)
    assert halted.json() == {"ok": True, "trading_state": "HALTED"}
    await client.post("/control/halt", headers=BEARER)
    named = {"reason": "news", "by": "cli:ada"}
    await client.post("/control/halt", json=named, headers=BEARER)
    assert daemon.asked == [("news", "api"), ("by hand", "api"), ("news", "cli:ada")]
    assert (await client.post("/control/resume", headers=BEARER)).json()["ok"] is True
    wrong = await client.post("/control/halt", json={"reasn": "x"}, headers=BEARER)
    assert wrong.status_code == 422


async def test_close_names_its_symbol_and_tells_what_is_still_open(
    client: httpx.AsyncClient, daemon: FakeDaemon
) -> None:
    """Carried out but not flat is 200 with ok false; a coin that there is not is 404."""
    stuck = await client.post("/control/close", json={"symbol": "BTC"}, headers=BEARER)
    assert (stuck.status_code, stuck.json()["ok"]) == (200, False)
    assert stuck.json()["results"][0]["state"] == "still_open"
    missing = await client.post("/control/close", json={"symbol": "NOPE"}, headers=BEARER)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_symbol")
    for wrong in ({}, {"symbol": ""}, {"symbol": "B" * 41}, {"symbol": "BTC", "all": True}):
        answer = await client.post("/control/close", json=wrong, headers=BEARER)
        assert answer.status_code == 422
    every = await client.post("/control/close-all", headers=BEARER)
    assert every.json() == {"ok": True, "results": []}
    assert daemon.asked == [("BTC", "api"), ("NOPE", "api"), "api"]


@pytest.mark.parametrize("route", ["approve", "reject"])
async def test_an_answer_is_taken_once(
    client: httpx.AsyncClient, daemon: FakeDaemon, route: str
) -> None:
    """The second tap is 409 with its code; an answer needs its id."""
    body = {"id": "0123456789abcdef", "by": "page"}
    first = await client.post(f"/control/{route}", json=body, headers=BEARER)
    assert first.json() == {"ok": True, "id": body["id"], "said": route}
    second = await client.post(f"/control/{route}", json=body, headers=BEARER)
    assert (second.status_code, second.json()["error"]["code"]) == (409, "already_answered")
    assert daemon.asked == [(route, body["id"], "page")] * 2
    for wrong in ({}, {"id": ""}, {"id": "x" * 81}):
        answer = await client.post(f"/control/{route}", json=wrong, headers=BEARER)
        assert answer.status_code == 422


@pytest.mark.parametrize("by", ["", "x" * 41, "line\nbreak", "<b>", "\u202eada"])
async def test_who_asks_is_plain_words(
    client: httpx.AsyncClient, daemon: FakeDaemon, by: str
) -> None:
    """It stands in logs and traces: short, one line, no markup."""
    answer = await client.post("/control/halt", json={"by": by}, headers=BEARER)
    assert answer.status_code == 422
    assert daemon.asked == []


CONTROLS = ("halt", "resume", "close", "close-all", "approve", "reject")


@pytest.mark.parametrize("route", CONTROLS)
async def test_every_control_needs_the_token_and_says_so(
    client: httpx.AsyncClient, daemon: FakeDaemon, route: str
) -> None:
    """Refused before its body is read; declared in the OpenAPI document."""
    answer = await client.post(f"/control/{route}", json={"id": "x", "symbol": "BTC"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_needed")
    assert daemon.asked == []
    schema = (await client.get("/openapi.json")).json()["paths"][f"/control/{route}"]
    assert schema["post"]["security"] == [{"HTTPBearer": []}]


async def test_a_view_without_controls_has_no_control_routes(daemon: FakeDaemon) -> None:
    """The health server alone changes nothing."""
    async with client_of(daemon, WebOptions(TOKEN), controls=False) as client:
        assert (await client.post("/control/halt", headers=BEARER)).status_code == 404
        assert "/control/halt" not in (await client.get("/openapi.json")).json()["paths"]


@pytest.mark.parametrize("route", ["/openapi.json", "/docs"])
async def test_the_description_is_made_beside_the_loop(
    client: httpx.AsyncClient, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 25 ms with all its models, and anybody may ask for it."""
    threads: list[int] = []
    make = FastAPI.openapi

    def noted(app: FastAPI) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return make(app)

    monkeypatch.setattr(FastAPI, "openapi", noted)
    assert (await client.get(route)).status_code == 200
    assert threads and threading.get_ident() not in threads


async def test_the_openapi_document_tells_errors_and_tokens(client: httpx.AsyncClient) -> None:
    """The contract that others poll names the envelope and what needs the token."""
    schema = (await client.get("/openapi.json")).json()
    halt = schema["paths"]["/control/halt"]["post"]
    assert halt["security"] == [{"HTTPBearer": []}]
    assert "security" not in schema["paths"]["/status"]["get"]
    for path in schema["paths"].values():
        for operation in path.values():
            body = operation["responses"]["422"]["content"]["application/json"]["schema"]
            assert body == {"$ref": "#/components/schemas/Refusal"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("text/plain;q=0", False),
        ("text/plain;q=oops, application/json", False),
        ("application/json;q=0.1, text/plain;q=0.9", True),
        ("image/png, text/plain", True),
        ("image/png", False),
    ],
)
def test_the_accept_header_is_read_by_quality(accept: str, expected: bool) -> None:
    """The best known kind decides; equals keep their order."""
    assert wants_exposition(accept) is expected


async def test_breakers_are_answered_with_their_history(client: httpx.AsyncClient) -> None:
    """As many openings as asked for."""
    answer = await client.get("/breakers", params={"limit": 1})
    assert answer.status_code == 200
    assert len(answer.json()["history"]) == 1

"""Whatever a caller puts into a parameter, no GET route of the API falls over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import given as prove
from hypothesis import strategies as st

from bot.adapters.store import StoreOptions, open_store
from bot.app.recorded import RecordedView
from bot.ports import Changes
from bot.runtime.clock import SystemClock
from bot.web.access import WebOptions
from bot.web.api import build_api
from tests.daemon import wait_for
from tests.unit.adapters.store.fakes import record, trade
from tests.unit.web.conftest import TOKEN, FakeDaemon

ENDLESS = "/events"
ODD = (
    "", "0", "-1", "1", "200", "201", "1e9", "9" * 40, "NaN", "null", "true", "[]", "1m", "5M",
    "BTC", "btc/usdt", "' OR 1=1;--", "\x00", "\ud7ff", "é", "%", "../keel.log", "x" * 300,
    "2026-01-31", "2026-01-31T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "1969-12-31T23:59:59.999", "error", "prometheus", record(1).trace_id,
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(ODD),
    st.integers().map(str),
    st.datetimes().map(str),
    st.text(max_size=60).filter(lambda text: "\n" not in text),
)
SCHEMA = build_api(FakeDaemon(), WebOptions(TOKEN), "0.1.0").openapi()
ROUTES = [
    (path, item["get"].get("parameters", []))
    for path, item in sorted(SCHEMA["paths"].items())
    if "get" in item and path != ENDLESS
]

Ask = Callable[[str], httpx.Response]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The API over a real database; an error that nothing answers is raised here."""
    folder = tmp_path_factory.mktemp("api")
    options = StoreOptions(f"sqlite+aiosqlite:///{folder / 'keel.db'}", folder)
    with start_blocking_portal() as portal:
        store = portal.call(open_store, options, SystemClock())
        store.traces.put(record(1))
        portal.call(store.traces.flush)
        portal.call(store.journal.record, Changes(trades=(trade(1),)))
        view = RecordedView(store, "source", "demo", SystemClock(), folder)
        reading = portal.start_task_soon(view.run)
        transport = httpx.ASGITransport(app=build_api(view, WebOptions(TOKEN), "0.1.0"))
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        wait_for(lambda: view.ready().ready, 10.0, "the database is read")
        yield lambda url: portal.call(client.get, url)
        reading.cancel()
        portal.call(client.aclose)
        portal.call(store.close)


def address(draw: Callable[[Any], Any], path: str, parameters: list[dict[str, Any]]) -> str:
    """The route with something odd in each of its parameters, or without it."""
    asked = []
    for one in parameters:
        value = quote(draw(VALUES), safe="")
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", value or "x")
        elif draw(st.booleans()) or one.get("required"):
            asked.append(f"{one['name']}={value}")
    return f"{path}?{'&'.join(asked)}"


def test_there_are_routes_to_ask() -> None:
    """The description names them; none is forgotten because it moved."""
    paths = {path for path, _ in ROUTES}
    assert {"/health", "/status", "/metrics", "/candles", "/equity", "/logs", "/traces"} <= paths
    assert len(paths) >= 15


@pytest.mark.parametrize("url", ["/traces/%00", "/candles?symbol=%00", "/traces/report?symbol=%00"])
def test_a_text_that_no_database_takes_is_refused(ask: Ask, url: str) -> None:
    """PostgreSQL knows no NUL: it would be an error of the server's."""
    assert ask(url).status_code == 422


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_beyond_all_times_is_the_first_or_the_last(ask: Ask, since: str) -> None:
    """It can be asked for, and be told again."""
    found = ask(f"/traces/funnel?since={since}").json()["since_at"]
    assert found in ("1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z")


@pytest.mark.parametrize(("path", "parameters"), ROUTES, ids=[path for path, _ in ROUTES])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@prove(data=st.data())
def test_no_parameter_breaks_a_route(
    ask: Ask, path: str, parameters: list[dict[str, Any]], data: st.DataObject
) -> None:
    """An answer of its kind, or a refusal in the envelope that says which parameter it is."""
    answer = ask(address(data.draw, path, parameters))
    assert answer.status_code in (200, 404, 422), answer.text
    if answer.status_code == 200:
        return
    body = json.loads(answer.text)
    assert body["ok"] is False and body["error"]["code"] and body["error"]["message"]


def test_a_coin_that_is_not_recorded_is_422_and_names_the_near_one(ask: Ask) -> None:
    """The report of no such coin would be empty, and look like one of a quiet market."""
    answer = ask("/traces/report?symbol=BTCC")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].endswith("did you mean BTC?")
    assert ask("/traces/report?symbol=btc").json()["head"]["traces"] == 1

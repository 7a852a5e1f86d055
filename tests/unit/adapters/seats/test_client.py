"""The line to an endpoint: real HTTP on loopback, every end of it told by its kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web

from bot.adapters.seats.model.client import MOST_BYTES, ModelClient, retry_after_s
from bot.adapters.seats.model.failure import ModelFailure
from bot.domain.types import AbstentionKind
from tests.daemon import free_port
from tests.unit.adapters.seats.given import KEY, NOW, options

SPELT = [KEY, KEY.replace("s", "\\u0073"), "".join(f"\\u{ord(char):04X}" for char in KEY)]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def line(handler: Handler, attempt_s: float = 2.0) -> AsyncIterator[ModelClient]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    client = ModelClient(options(base_url=f"http://127.0.0.1:{port}/v1"), attempt_s, lambda: NOW)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def status(code: int, text: str = "{}", **headers: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=code, text=text, headers=headers)

    return handle


async def failure_of(handler: Handler, attempt_s: float = 2.0) -> ModelFailure:
    async with line(handler, attempt_s) as client:
        with pytest.raises(ModelFailure) as caught:
            await client.ask({"model": "m"})
    return caught.value


async def test_the_body_is_sent_as_it_is_and_only_the_key_goes_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the environment says of an account at OpenAI never reaches another provider."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: of-somebody")
    seen: list[tuple[dict[str, str], object]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((dict(request.headers), await request.json()))
        return web.Response(text="hello")

    async with line(handle) as client:
        assert await client.ask({"model": "m", "messages": []}) == "hello"
    ((headers, body),) = seen
    assert body == {"model": "m", "messages": []}
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert "somebody" not in str(headers)


@pytest.mark.parametrize(
    ("code", "kind", "again", "unknown"),
    [
        (400, AbstentionKind.ERROR, False, False),
        (401, AbstentionKind.ERROR, False, False),
        (402, AbstentionKind.ERROR, False, False),
        (404, AbstentionKind.ERROR, False, False),
        (429, AbstentionKind.RATE_LIMIT, True, False),
        (408, AbstentionKind.TIMEOUT, True, True),
        (409, AbstentionKind.TRANSPORT, True, False),
        (500, AbstentionKind.TRANSPORT, True, True),
        (501, AbstentionKind.TRANSPORT, True, False),
        (502, AbstentionKind.TRANSPORT, True, True),
        (503, AbstentionKind.TRANSPORT, True, False),
        (504, AbstentionKind.TIMEOUT, True, True),
        (520, AbstentionKind.TRANSPORT, True, True),
        (524, AbstentionKind.TIMEOUT, True, True),
        (529, AbstentionKind.TRANSPORT, True, True),
    ],
)
async def test_each_status_has_its_kind(
    code: int, kind: AbstentionKind, again: bool, unknown: bool
) -> None:
    """Asked again only where that may help; unknown only where work may have been done."""
    failure = await failure_of(status(code))
    assert (failure.kind, failure.again, failure.unknown) == (kind, again, unknown)


async def test_the_package_itself_tries_once() -> None:
    """Its own retries would be neither recorded nor costed."""
    asked = 0

    async def handle(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=500)

    await failure_of(handle)
    assert asked == 1


async def test_an_empty_account_is_not_asked_again() -> None:
    """429 says "slow down" or "pay": the second one no wait mends."""
    said = '{"error": {"code": "insufficient_quota", "message": "You exceeded your quota"}}'
    failure = await failure_of(status(429, said, **{"content-type": "application/json"}))
    assert (failure.kind, failure.again) == (AbstentionKind.ERROR, False)
    assert "no credit left" in failure.detail


async def test_a_hanging_endpoint_is_a_timeout() -> None:
    """It may be at work, and bill."""

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    failure = await failure_of(hang, attempt_s=0.1)
    assert (failure.kind, failure.again, failure.unknown) == (AbstentionKind.TIMEOUT, True, True)


async def test_an_endpoint_that_drips_is_a_timeout() -> None:
    """Something comes all the time, an answer never: the try ends all the same."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(60):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    failure = await failure_of(drip, attempt_s=0.3)
    assert (failure.kind, failure.unknown) == (AbstentionKind.TIMEOUT, True)


async def test_an_answer_without_end_is_not_read() -> None:
    """Nobody fills our memory or our books; what it cost is unknown."""
    failure = await failure_of(status(200, "x" * (MOST_BYTES + 1)))
    assert (failure.kind, failure.unknown) == (AbstentionKind.NOT_JSON, True)
    assert str(MOST_BYTES) in failure.detail


async def test_a_dropped_connection_may_have_been_billed() -> None:
    """The request had left."""

    async def drop(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    failure = await failure_of(drop)
    assert (failure.kind, failure.unknown) == (AbstentionKind.TRANSPORT, True)


async def test_where_nobody_listens_nothing_was_sent() -> None:
    """No connection, no work, no bill; the system's own words are told."""
    client = ModelClient(options(base_url=f"http://127.0.0.1:{free_port()}/v1"), 1.0, lambda: NOW)
    with pytest.raises(ModelFailure, match="ConnectionRefusedError") as caught:
        await client.ask({"model": "m"})
    assert (caught.value.kind, caught.value.unknown) == (AbstentionKind.TRANSPORT, False)
    await client.close()


async def test_a_redirect_is_not_followed() -> None:
    """The question and the key go where the settings say, or nowhere."""
    reached: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(text="hello")

    async with line(elsewhere) as other:
        target = f"{other._options.base_url}/chat/completions"
        failure = await failure_of(status(307, Location=target))
    assert failure.kind in (AbstentionKind.ERROR, AbstentionKind.TRANSPORT)
    assert reached == []


@pytest.mark.parametrize("code", [200, 401, 500])
@pytest.mark.parametrize("spelt", SPELT)
async def test_a_key_that_comes_back_is_masked(code: int, spelt: str) -> None:
    """A relay may repeat it in an answer or in an error, as it is or escaped."""
    said_back = f'{{"error": {{"message": "you sent {spelt}"}}}}'
    headers = {"content-type": "application/json"}
    async with line(status(code, said_back, **headers)) as client:
        try:
            said = await client.ask({"model": "m"})
        except ModelFailure as failure:
            said = failure.detail + str(failure)
    assert KEY not in said and spelt not in said
    assert "***" in said


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("999999", 3600.0),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 + 30, UTC), usegmt=True), 30.0),
        ("soon", None),
        ("nan", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """Bounded; nonsense is no wish."""
    assert retry_after_s(header, NOW) == (seconds if seconds is None else pytest.approx(seconds))

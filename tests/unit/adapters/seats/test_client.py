"""The line to an endpoint: real HTTP on loopback, every end of it told by its kind."""

from __future__ import annotations

import asyncio
import gzip
import zlib
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


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"), [(200, AbstentionKind.NOT_JSON), (500, AbstentionKind.TRANSPORT)]
)
async def test_what_never_ends_is_hung_up_on(code: int, kind: AbstentionKind, packed: bool) -> None:
    """Also as an error, and as a few bytes that unpack to many: no memory, no waiting."""
    hung_up = asyncio.Event()

    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=code)
        packer = zlib.compressobj(wbits=31)
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        try:
            await response.prepare(request)
            while True:
                piece = bytes(1 << 20)
                await response.write(packer.compress(piece) if packed else piece)
                await asyncio.sleep(0)
        except ConnectionError:
            hung_up.set()
        return response

    async with line(pour, attempt_s=5.0) as client:
        with pytest.raises(ModelFailure) as caught:
            await client.ask({"model": "m"})
        await asyncio.wait_for(hung_up.wait(), 5.0)
    assert caught.value.kind is kind


async def test_a_packed_answer_is_unpacked() -> None:
    """An endpoint behind a content network sends gzip."""

    async def handle(_: web.Request) -> web.Response:
        packed = gzip.compress("höre".encode())
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with line(handle) as client:
        assert await client.ask({"model": "m"}) == "höre"


@pytest.mark.parametrize("charset", ["utf-16", "zip", "idna", "nonsense"])
async def test_an_error_is_read_as_utf_8_whatever_it_claims(charset: str) -> None:
    """JSON is; and some of Python's codecs give no text."""
    headers = {"Content-Type": f"application/json; charset={charset}"}

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=500, body=b'{"error": {"message": "over"}}', headers=headers)

    failure = await failure_of(handle)
    assert failure.kind is AbstentionKind.TRANSPORT
    assert failure.detail.endswith("500 - over")


@pytest.mark.parametrize("hidden", ["\\ud800", "\\u0000", "\\u001b[2J", "\\u202e", "\\n"])
async def test_an_error_is_told_in_one_line_that_every_table_takes(hidden: str) -> None:
    """PostgreSQL refuses NUL, both refuse half a surrogate pair; a terminal obeys the others."""
    failure = await failure_of(status(500, f'{{"error": {{"message": "no{hidden}pe"}}}}'))
    assert failure.detail.encode().decode().isprintable()
    assert "no" in failure.detail and "pe" in failure.detail


async def test_a_header_may_hold_any_bytes() -> None:
    """Somebody's name in UTF-8, on the way to us; the answer is read all the same."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="hello", headers={"X-Region": "München", "Retry-After": "ü"})

    async with line(handle) as client:
        assert await client.ask({"model": "m"}) == "hello"
    failure = await failure_of(status(429, **{"Retry-After": "über"}))
    assert (failure.kind, failure.retry_after_s) == (AbstentionKind.RATE_LIMIT, None)


async def test_what_is_no_http_shows_no_key() -> None:
    """The error quotes the broken line, and that may be ours, sent back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        ours = next(part for part in asked.split(b"\r\n") if b"Bearer" in part)
        writer.write(b"HTTP/9 " + ours + b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", port := free_port())
    client = ModelClient(options(base_url=f"http://127.0.0.1:{port}/v1"), 2.0, lambda: NOW)
    with pytest.raises(ModelFailure, match=r"Bearer \*\*\*") as caught:
        await client.ask({"model": "m"})
    assert KEY not in str(caught.value)
    await client.close()
    server.close()


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
        ("inf", 3600.0),
        ("Mon, 01 Jan 99999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +9999999999999999999", None),
        ("nan", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """Bounded; nonsense is no wish."""
    assert retry_after_s(header, NOW) == (seconds if seconds is None else pytest.approx(seconds))

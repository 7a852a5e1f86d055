"""The line to one endpoint, on the `openai` package, which is imported here and only when asked.

Owns the connection, its limits, and the translation of the package's errors; retries nothing
and reads no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot.adapters.seats.model.failure import ModelFailure
from bot.adapters.seats.model.mask import Mask
from bot.adapters.seats.model.options import ModelOptions
from bot.adapters.seats.model.request import PATH
from bot.domain.types import AbstentionKind

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

CONNECT_S = 5.0
MOST_BYTES = 256_000  # of one response; an answer is a few kilobytes
NO_KEY = "none"  # what is sent to an endpoint that wants no key; the package insists on one
# Told of a body as it came: here it is decoded, cut where it was too long, and read as UTF-8.
_OF_BODY = (b"content-encoding", b"content-length", b"content-type", b"transfer-encoding")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHOWN = 200
_TIMEOUTS = (408, 504, 524)  # 524: Cloudflare waited for the origin, which was at work
_NOT_BEGUN = (501, 503)  # not implemented, not available
_NO_CREDIT = ("insufficient_quota", "insufficient_balance", "billing_hard_limit_reached")


class ModelClient:
    """POSTs one chat completion at a time-limited try; `close` must be called.

    `wall` gives the wall clock in ms, for a Retry-After that is a date.
    """

    def __init__(self, options: ModelOptions, attempt_s: float, wall: Callable[[], int]) -> None:
        self._options = options
        self._attempt_s = attempt_s
        self._wall = wall
        self._mask = Mask(options.key)
        self._client = _connect(options, attempt_s)

    async def ask(self, body: Mapping[str, object]) -> str:
        """The response's text. Raises ModelFailure for everything that is no response."""
        import openai

        try:
            async with asyncio.timeout(self._attempt_s):
                return await self._post(body)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise ModelFailure(
                AbstentionKind.TIMEOUT,
                f"no answer within {self._attempt_s:g} s",
                again=True,
                unknown=True,
            ) from error
        except openai.APIStatusError as error:
            raise self._status(error) from error
        except openai.APIConnectionError as error:
            raise self._connection(error) from error
        except openai.OpenAIError as error:
            detail = self._mask(f"{type(error).__name__}: {error}")[:_SHOWN]
            raise ModelFailure(AbstentionKind.ERROR, detail, unknown=True) from error

    async def close(self) -> None:
        await self._client.close()

    async def _post(self, body: Mapping[str, object]) -> str:
        import httpx2

        response = await self._client.post(PATH, body=dict(body), cast_to=httpx2.Response)
        if len(response.content) > MOST_BYTES:
            detail = f"more came than the {MOST_BYTES} bytes that are read"
            raise ModelFailure(AbstentionKind.NOT_JSON, detail, unknown=True)
        return self._mask.plainly(response.content.decode("utf-8", errors="replace"))

    def _status(self, error: Any) -> ModelFailure:
        """An HTTP error status. Below 500 the request was refused, and nothing is billed.

        From 500 on something broke on the way or at work: nobody knows what is billed, but for
        the two that say that nothing was begun.
        """
        code = int(error.status_code)
        said = self._mask(str(error.message))[:_SHOWN]
        detail = f"{code} from {self._options.base_url}: {said}"
        if code == 402 or (code == 429 and str(error.code) in _NO_CREDIT):
            return ModelFailure(AbstentionKind.ERROR, f"no credit left: {detail}")
        if code == 429:
            wait_s = retry_after_s(error.response.headers.get("retry-after"), self._wall())
            return ModelFailure(AbstentionKind.RATE_LIMIT, detail, again=True, retry_after_s=wait_s)
        if code in (401, 403):
            name = f"{self._options.name.upper()}_API_KEY"
            return ModelFailure(AbstentionKind.ERROR, f"{name} is refused: {detail}")
        if code in _TIMEOUTS:
            return ModelFailure(AbstentionKind.TIMEOUT, detail, again=True, unknown=True)
        if code >= 500 or code == 409:
            wait_s = retry_after_s(error.response.headers.get("retry-after"), self._wall())
            return ModelFailure(
                AbstentionKind.TRANSPORT,
                detail,
                again=True,
                unknown=code >= 500 and code not in _NOT_BEGUN,
                retry_after_s=wait_s,
            )
        return ModelFailure(AbstentionKind.ERROR, detail, healthy=True)

    def _connection(self, error: Exception) -> ModelFailure:
        """No HTTP response. Where the connection was not made nothing left this machine.

        Masked: what is no HTTP is quoted in the error, and it may be what we sent.
        """
        import httpx2

        cause = error.__cause__
        before = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
        root = _root(error)
        words = self._mask(f"{type(cause or error).__name__}: {type(root).__name__}: {root}")
        return ModelFailure(
            AbstentionKind.TRANSPORT, words[:_SHOWN], again=True, unknown=not before
        )


def _connect(options: ModelOptions, attempt_s: float) -> AsyncOpenAI:
    """Import the package and build its client; everything that it loads later is loaded now."""
    import httpx2
    import openai

    limit = httpx2.Timeout(attempt_s, connect=min(CONNECT_S, attempt_s))
    local = urlsplit(options.base_url).hostname in LOOPBACK
    client = openai.AsyncOpenAI(
        api_key=options.key or NO_KEY,
        base_url=options.base_url,
        timeout=limit,
        max_retries=0,  # each attempt is recorded and costed by the seat
        # A redirect would take the question elsewhere; a proxy has no business on loopback.
        http_client=_bounded()(timeout=limit, follow_redirects=False, trust_env=not local),
    )
    # What the environment says of an account at OpenAI is no business of another provider.
    client.organization = client.project = None
    client._custom_headers = {}
    return client


def _bounded() -> type[httpx2.AsyncClient]:
    """A client that reads of any response, also of an error, what `_post` looks at; then hangs up.

    It decodes in small pieces, so that a few kilobytes that hold a gigabyte stay a few.
    """
    import httpx2

    class Bounded(httpx2.AsyncClient):
        async def send(
            self, request: httpx2.Request, *, stream: bool = False, **how: Any
        ) -> httpx2.Response:
            response = await super().send(request, stream=True, **how)
            try:
                content = await _first(response.aiter_bytes(), MOST_BYTES + 1)
            finally:
                await response.aclose()
            told = response.headers.raw  # bytes: a header may hold any
            return httpx2.Response(
                response.status_code,
                headers=[(name, text) for name, text in told if name.lower() not in _OF_BODY],
                content=content,
                request=request,
            )

    return Bounded


async def _first(pieces: AsyncGenerator[bytes, None], most: int) -> bytes:
    """The beginning of a body, at most `most` bytes; no more is taken from the line."""
    found = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            found += piece[: most - len(found)]
            if len(found) == most:
                break
    return bytes(found)


def _root(error: BaseException) -> BaseException:
    """What it began with: DNS, TCP or TLS in the system's own words."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error


def retry_after_s(header: str | None, wall_ms: int) -> float | None:
    """Seconds out of a Retry-After header, which holds seconds or a date; None without one."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except (ValueError, OverflowError):  # numbers in it without end
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        seconds = at.timestamp() - wall_ms / 1000
    return min(max(seconds, 0.0), 3600.0) if seconds == seconds else None

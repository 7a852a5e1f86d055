"""Transport: what each failure on the line means, and that nothing is sent twice."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiohttp import web

from bot.adapters.venues.hyperliquid.actions import Actions
from bot.adapters.venues.hyperliquid.limiter import Priority, Shed, WeightLimiter
from bot.adapters.venues.hyperliquid.shapes import UnreadableAnswer
from bot.adapters.venues.hyperliquid.transport import INFO_ATTEMPTS, Transport
from bot.domain.errors import AmbiguousOutcome, KeelError, TransientError, VenueRejected
from bot.domain.types import Ms
from bot.runtime.clock import ScaledClock
from tests.unit.adapters.venues.hyperliquid.fake_venue import (
    FakeVenue,
    options,
    running,
    signer,
)

QUESTION = {"type": "meta"}
ACTION: dict[str, object] = {"type": "noop"}
OK = {"status": "ok", "response": {"type": "default"}}
BUDGET = '{"status": "err", "response": "Too many cumulative requests sent (2 > 1)"}'
WALL = 1_700_000_000_000


class QuickClock(ScaledClock):
    """Real time with pauses a hundredth as long and a wall clock that stands still."""

    def __init__(self) -> None:
        super().__init__(Ms(WALL), 1.0)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)

    def wall(self) -> int:
        return WALL


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    async with running(FakeVenue()) as served:
        yield served


@pytest.fixture
async def transport(venue: FakeVenue) -> AsyncIterator[Transport]:
    built = build(venue.url)
    yield built
    await built.close()


def build(url: str, **changes: Any) -> Transport:
    clock = QuickClock()
    limiter = WeightLimiter(clock, 1200, Random(1))
    return Transport(options(url, **changes), clock, limiter)


def actions(transport: Transport, in_flight: int = 8, start: int = WALL) -> Actions:
    return Actions(transport, signer(start=start), lambda: WALL, in_flight)


def replying(status: int, text: str = "") -> Any:
    async def reply(request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=status, text=text)

    return reply


async def hanging(request: web.Request, body: dict[str, Any]) -> web.Response:
    await asyncio.sleep(3)
    return web.Response()


async def resetting(request: web.Request, body: dict[str, Any]) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("reply", "error", "requests"),
    [
        (replying(500), TransientError, INFO_ATTEMPTS),
        (replying(502, "<html>"), TransientError, INFO_ATTEMPTS),
        (replying(302), TransientError, INFO_ATTEMPTS),
        (hanging, TransientError, INFO_ATTEMPTS),
        (resetting, TransientError, INFO_ATTEMPTS),
        (replying(200, "<html>"), UnreadableAnswer, INFO_ATTEMPTS),
        (replying(422, "Failed to deserialize"), VenueRejected, 1),
        (replying(404), VenueRejected, 1),
    ],
)
async def test_questions_are_asked_three_times_unless_they_are_wrong(
    venue: FakeVenue, transport: Transport, reply: Any, error: type[KeelError], requests: int
) -> None:
    """A question changes nothing, so that it may be repeated; a malformed one stays so."""
    venue.reply = reply
    with pytest.raises(error):
        await transport.info(QUESTION, Priority.ACCOUNT)
    assert venue.asked["meta"] == requests


async def test_a_question_that_succeeds_at_last_is_answered(
    venue: FakeVenue, transport: Transport
) -> None:
    """Two failures and an answer are an answer; the failures no longer count."""
    calls = 0

    async def reply(request: web.Request, body: dict[str, Any]) -> web.Response:
        nonlocal calls
        calls += 1
        return web.json_response({"universe": []}, status=200 if calls == 3 else 503)

    venue.reply = reply
    assert await transport.info(QUESTION, Priority.ACCOUNT) == {"universe": []}
    assert transport.condition.failing == 0


@pytest.mark.parametrize(
    "reply",
    [replying(429, "null"), replying(503), replying(302), replying(200, "<html>"), resetting],
)
async def test_an_answer_of_no_use_is_an_error_of_the_venues_calls(
    venue: FakeVenue, transport: Transport, reply: Any
) -> None:
    """An answer came, but not for what was asked: the breaker counts it, and so do the figures."""
    venue.reply = reply
    with pytest.raises(KeelError):
        await transport.info(QUESTION, Priority.ACCOUNT)
    with pytest.raises(KeelError):
        await transport.exchange({}, Priority.ENTRY)
    questions, sent = (transport.calls[path].view() for path in ("/info", "/exchange"))
    assert (questions.errors, sent.errors) == (questions.calls, 1)


async def test_what_the_venue_rejects_is_no_error_of_its_calls(
    venue: FakeVenue, transport: Transport
) -> None:
    """It works; the request was wrong."""
    venue.reply = replying(422, "Failed to deserialize")
    with pytest.raises(VenueRejected):
        await transport.info(QUESTION, Priority.ACCOUNT)
    assert transport.calls["/info"].view().errors == 0


async def test_a_question_leaves_nothing_for_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start asks hundreds, most of which wait long enough to grow old."""
    transport = build("http://127.0.0.1:1")

    async def answer(_request: object, _priority: Priority) -> object:
        return {}

    monkeypatch.setattr(transport, "_info_once", answer)
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await transport.info(QUESTION, Priority.POLLING)
        dead = gc.collect()
    finally:
        gc.enable()
    assert dead < 50, "less than one object a question"


async def test_after_429_polling_is_shed_and_not_repeated(
    venue: FakeVenue, transport: Transport
) -> None:
    """The venue asked for less: polling stops at once instead of asking three times."""
    venue.reply = replying(429, "null")
    with pytest.raises(Shed):
        await transport.info(QUESTION, Priority.POLLING)
    assert venue.asked["meta"] == 1


async def test_a_refused_connection_is_transient_for_both() -> None:
    """Nothing was sent, so nothing can have happened."""
    transport = build(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(TransientError):
        await transport.info(QUESTION, Priority.ACCOUNT)
    with pytest.raises(TransientError, match="nothing sent"):
        await transport.exchange({}, Priority.ENTRY)
    await transport.close()


@pytest.mark.parametrize("priority", [Priority.ENTRY, Priority.EXIT])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (replying(429, "null"), TransientError),
        (replying(422, "Failed to deserialize"), VenueRejected),
        (replying(400), VenueRejected),
        (replying(500, "null"), AmbiguousOutcome),
        (replying(502, "<html>"), AmbiguousOutcome),
        (replying(504, "<html>"), AmbiguousOutcome),
        (replying(302), AmbiguousOutcome),
        (hanging, AmbiguousOutcome),
        (resetting, AmbiguousOutcome),
        (replying(200, "<html>"), AmbiguousOutcome),
        (replying(200, "null"), AmbiguousOutcome),
        (replying(200, '{"status": "maybe"}'), AmbiguousOutcome),
        (replying(200, '{"status": "err", "response": "Must deposit"}'), VenueRejected),
        (
            replying(200, '{"status": "err", "response": "Too many cumulative requests"}'),
            TransientError,
        ),
    ],
)
async def test_an_action_is_sent_once_whatever_comes_back(
    venue: FakeVenue,
    transport: Transport,
    reply: Any,
    error: type[KeelError],
    priority: Priority,
) -> None:
    """No answer is "unknown", never "failed"; and nothing is ever sent a second time."""
    venue.reply = reply
    with pytest.raises(error) as caught:
        await actions(transport).perform(ACTION, priority=priority)
    assert type(caught.value) is error
    assert len(venue.actions) == 1


async def test_a_body_cut_off_is_ambiguous(venue: FakeVenue, transport: Transport) -> None:
    """Half an answer tells that the request arrived, and no more."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "500"})
        await response.prepare(request)
        await response.write(b'{"status": "ok"')
        assert request.transport is not None
        request.transport.abort()
        return response

    venue.reply = reply
    with pytest.raises(AmbiguousOutcome):
        await actions(transport).perform(ACTION)
    assert len(venue.actions) == 1


@pytest.mark.parametrize(
    ("text", "least"),
    [
        (f"Invalid nonce: duplicate nonce {WALL}", WALL + 1),
        (f"Invalid nonce: nonce too low {WALL} < {WALL + 5000}", WALL + 5001),
    ],
)
async def test_a_refused_nonce_is_replaced_once(
    venue: FakeVenue, transport: Transport, text: str, least: int
) -> None:
    """A nonce error executed nothing, so that the same action goes again, once, anew signed."""
    venue.exchange = [{"status": "err", "response": text}, OK]
    await actions(transport).perform(ACTION, priority=Priority.ENTRY)
    first, second = venue.actions
    assert second["nonce"] >= least > first["nonce"]
    assert second["action"] == first["action"]
    assert second["signature"] != first["signature"]
    venue.exchange = [{"status": "err", "response": text}]
    with pytest.raises(VenueRejected, match="nonce"):
        await actions(transport).perform(ACTION)
    assert len(venue.actions) == 4


@pytest.mark.parametrize("priority", [Priority.ENTRY, Priority.EXIT])
async def test_an_order_whose_nonce_is_a_duplicate_is_not_sent_again(
    venue: FakeVenue, transport: Transport, priority: Priority
) -> None:
    """Ours are unique: the request came twice, and the first one may have been carried out."""
    twice = {"status": "err", "response": f"Invalid nonce: duplicate nonce {WALL}"}
    low = {"status": "err", "response": f"Invalid nonce: nonce too low {WALL} < {WALL + 5}"}
    for answers in ([twice], [low, twice]):
        before, venue.exchange = len(venue.actions), list(answers)
        with pytest.raises(AmbiguousOutcome, match="duplicate"):
            await actions(transport).perform({"type": "order", "orders": []}, priority=priority)
        assert len(venue.actions) - before == len(answers)


async def test_an_action_that_expired_while_waiting_is_not_sent(
    venue: FakeVenue, transport: Transport
) -> None:
    """An expired action would cost five times the address budget."""
    with pytest.raises(TransientError, match="expired"):
        await actions(transport).perform(ACTION, expires_after=WALL)
    assert venue.actions == []


async def test_hanging_entries_never_stand_in_the_way_of_an_exit(venue: FakeVenue) -> None:
    """Entries and exits have lanes and connections of their own."""
    transport = build(venue.url, max_actions_in_flight=2)

    async def reply(request: web.Request, body: dict[str, Any]) -> web.Response:
        if body["action"] == {"type": "noop"}:
            return await hanging(request, body)
        return web.json_response(OK)

    venue.reply = reply
    sender = actions(transport, in_flight=2)
    entries = [
        asyncio.ensure_future(sender.perform(ACTION, priority=Priority.ENTRY)) for _ in range(6)
    ]
    await asyncio.sleep(0)
    begun = time.monotonic()
    await sender.perform({"type": "out"}, priority=Priority.EXIT)
    assert time.monotonic() - begun < 0.2
    results = await asyncio.gather(*entries, return_exceptions=True)
    assert all(isinstance(result, AmbiguousOutcome) for result in results)
    await transport.close()


async def test_one_in_flight_sends_in_the_order_asked(
    venue: FakeVenue, transport: Transport
) -> None:
    """In lockstep the order of actions is part of "same seed, same trades"."""
    venue.exchange = [OK]
    sender = actions(transport, in_flight=1)
    order = [Priority.ENTRY, Priority.EXIT, Priority.ENTRY, Priority.EXIT]
    await asyncio.gather(
        *(sender.perform({"type": str(n)}, priority=each) for n, each in enumerate(order))
    )
    assert [body["action"]["type"] for body in venue.actions] == ["0", "1", "2", "3"]
    nonces = [body["nonce"] for body in venue.actions]
    assert nonces == sorted(set(nonces))


async def test_concurrent_actions_have_distinct_rising_nonces(
    venue: FakeVenue, transport: Transport
) -> None:
    """Two orders of one millisecond must not share a nonce."""
    venue.exchange = [OK]
    sender = actions(transport)
    await asyncio.gather(*(sender.perform(ACTION) for _ in range(20)))
    assert len({body["nonce"] for body in venue.actions}) == 20
    assert sender.sent == 20


async def test_long_answers_are_weighed_afterwards(venue: FakeVenue, transport: Transport) -> None:
    """The venue counts items of some answers; so do we."""
    venue.info["userFillsByTime"] = [{}] * 200
    await transport.info({"type": "userFillsByTime"}, Priority.ACCOUNT)
    assert transport._limiter.used == 30


async def test_failures_show_no_secret(venue: FakeVenue) -> None:
    """Neither the key nor the signed body is in what an error says."""
    transport = build(venue.url)
    venue.reply = replying(502, "<html>")
    with pytest.raises(AmbiguousOutcome) as caught:
        await actions(transport).perform(ACTION)
    sent = venue.actions[0]["signature"]["r"]
    assert sent not in str(caught.value)
    assert options(venue.url).private_key.removeprefix("0x") not in str(caught.value)
    await transport.close()

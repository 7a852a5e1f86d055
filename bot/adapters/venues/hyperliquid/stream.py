"""One WebSocket to the venue: subscriptions, liveness, and coming back after a loss.

Owns the connection and what is subscribed; knows no meaning of any channel.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from random import Random

import aiohttp
import structlog

from bot.adapters.venues.hyperliquid.options import StreamTiming
from bot.adapters.venues.hyperliquid.shapes import UnreadableAnswer
from bot.ports import Clock
from bot.runtime.tls import trust

log = structlog.get_logger(__name__)

Subscription = Mapping[str, object]
Handler = Callable[[object], None]
_Key = tuple[tuple[str, str], ...]  # fields of a subscription; asked for each symbol, each second

MAX_SUBSCRIPTIONS = 1_000  # docs, "Rate limits": subscriptions per IP
# Half a millisecond of work. A tick of 200 coins is 400 frames at once; with fewer a turn the
# last of them would wait for most turns of a scan, which has one for each symbol.
FRAMES_A_TURN = 16
_MAX_FRAME = 16 * 2**20  # a snapshot of 2,000 fills is under 2 MB
_KEY_FIELDS = ("type", "coin", "interval", "user")  # the venue adds fields of its own to acks


class StreamLost(Exception):
    """The connection is of no more use; the next one brings everything back."""


class Stream:
    """Keeps one connection alive until `run` is cancelled.

    Each message is handled, synchronously and with the clock held, before the next is read.
    """

    def __init__(self, url: str, clock: Clock, timing: StreamTiming, jitter: Random) -> None:
        self._url = url
        self._clock = clock
        self._timing = timing
        self._jitter = jitter
        self._handlers: dict[str, Handler] = {}
        self._wanted: dict[_Key, Subscription] = {}
        self._sent: set[_Key] = set()
        self._acked: set[_Key] = set()
        self._settled = asyncio.Event()  # every wanted subscription is acknowledged
        self._stirred = asyncio.Event()  # wake the keeper of subscriptions
        self._pong = asyncio.Event()
        self._heard_at: float | None = None  # monotonic, of the last frame
        self._lost: str | None = None
        self._complained: set[str] = set()
        self._before_connect: list[Callable[[], Awaitable[None]]] = []
        self._on_down: list[Callable[[], None]] = []
        self._on_up: list[Callable[[bool, float], Awaitable[None]]] = []
        self._proofs: list[Callable[[], Awaitable[str]]] = []
        self.connected = False
        self.connections = 0
        self.unreadable = 0

    def handle(self, channel: str, handler: Handler) -> None:
        """Call `handler` with the data of each message of `channel`."""
        self._handlers[channel] = handler

    def on_down(self, callback: Callable[[], None]) -> None:
        """Call when a connection was lost."""
        self._on_down.append(callback)

    def on_up(self, callback: Callable[[bool, float], Awaitable[None]]) -> None:
        """Await beside the reader with each connection: (after a gap?, its seconds)."""
        self._on_up.append(callback)

    def before_connect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await before each attempt to connect."""
        self._before_connect.append(callback)

    def proved_by(self, proof: Callable[[], Awaitable[str]]) -> None:
        """Ask now and then what is wrong with the connection; empty: nothing is known to be.

        A heartbeat proves that the line lives, not that frames come over it.
        """
        self._proofs.append(proof)

    def subscribe(self, subscription: Subscription) -> None:
        """Want a subscription, now and after each reconnection."""
        self._wanted[_key(subscription)] = subscription
        self._mark_changed()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Want it no longer."""
        self._wanted.pop(_key(subscription), None)
        self._mark_changed()

    @property
    def subscriptions(self) -> int:
        return len(self._wanted)

    def acknowledged(self, subscription: Subscription) -> bool:
        """Whether the venue confirmed it on the present connection."""
        return _key(subscription) in self._acked

    def confirmed_age_s(self, subscription: Subscription) -> float:
        """Machine seconds since this subscription was last known to be current.

        0 while the connection lives, is not silent, and the subscription is acknowledged.
        """
        if self._heard_at is None:
            return float("inf")
        age = self._clock.monotonic() - self._heard_at
        alive = self.connected and self.acknowledged(subscription)
        return 0.0 if alive and age <= self._timing.silence_s else age

    def lose(self, reason: str) -> None:
        """Give up the present connection: called by a handler that cannot go on."""
        self._lost = reason

    async def settled(self, limit_s: float) -> bool:
        """Wait, with the clock held, until all that is wanted is acknowledged."""
        if not self.connected:
            return False
        try:
            with self._clock.busy():
                async with asyncio.timeout(limit_s):
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Connect, read, reconnect; ends only by cancellation."""
        attempt = 0
        down_since: float | None = None
        while True:
            for callback in self._before_connect:
                await callback()
            started = self._clock.monotonic()
            reason = await self._connection(down_since)
            lived = self._clock.monotonic() - started
            if self._went_down():
                down_since = self._heard_at
                attempt = 0 if lived > self._timing.pong_s else attempt
            elif down_since is None:
                down_since = started
            delay = self._delay(attempt)
            attempt += 1
            log.warning("stream_lost", reason=reason, lived_s=round(lived, 1), retry_s=delay)
            await self._clock.pause(delay)

    def _delay(self, attempt: int) -> float:
        longest = min(
            self._timing.backoff_first_s * 2.0 ** min(attempt, 16), self._timing.backoff_max_s
        )
        return round(longest * (0.5 + self._jitter.random() / 2), 3)

    async def _connection(self, down_since: float | None) -> str:
        """One connection from its first to its last moment; returns why it ended."""
        reason = "closed"
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                socket = await self._open(session)
                try:
                    await self._live(socket, down_since)
                finally:
                    await socket.close()
        except* StreamLost as lost:
            reason = str(lost.exceptions[0])
        except* (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = type(error.exceptions[0]).__name__
        return reason

    async def _open(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        with self._clock.busy():
            async with asyncio.timeout(self._timing.pong_s):
                return await session.ws_connect(
                    self._url,
                    autoping=True,
                    max_msg_size=_MAX_FRAME,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    ssl=trust(self._url),
                )

    async def _live(
        self, socket: aiohttp.ClientWebSocketResponse, down_since: float | None
    ) -> None:
        self._came_up()
        gap_s = self._clock.monotonic() - down_since if down_since is not None else 0.0
        log.info("stream_connected", subscriptions=len(self._wanted), gap_s=round(gap_s, 1))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(socket))
            tasks.create_task(self._keep_subscribed(socket))
            tasks.create_task(self._keep_alive(socket))
            tasks.create_task(self._keep_proved())
            for callback in self._on_up:
                tasks.create_task(_awaited(callback(down_since is not None, gap_s)))

    def _came_up(self) -> None:
        self.connected = True
        self.connections += 1
        self._heard_at = self._clock.monotonic()
        self._lost = None
        self._sent.clear()
        self._acked.clear()
        self._mark_changed()

    def _went_down(self) -> bool:
        """Note the loss; whether there was a connection at all."""
        was_up, self.connected = self.connected, False
        self._acked.clear()
        self._settled.clear()
        if was_up:
            for callback in self._on_down:
                callback()
        return was_up

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        handled = 0
        async for message in socket:
            with self._clock.busy():
                self._heard_at = self._clock.monotonic()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._dispatch(message.data)
            if self._lost is not None:
                raise StreamLost(self._lost)
            handled += 1
            if handled % FRAMES_A_TURN == 0:
                await asyncio.sleep(0)  # frames that wait already are read without a pause
        raise StreamLost(f"closed by the venue, code {socket.close_code}")

    def _dispatch(self, text: str) -> None:
        try:
            message = json.loads(text, parse_float=Decimal)
        except ValueError:
            return  # a greeting in plain text (facts 6)
        if not isinstance(message, dict):
            return
        channel, data = message.get("channel"), message.get("data")
        match channel:
            case "pong":
                self._pong.set()
            case "subscriptionResponse":
                self._acknowledge(data)
            case "error":
                self._refused(str(data))
            case str() if channel in self._handlers:
                self._handled(channel, data)

    def _handled(self, channel: str, data: object) -> None:
        try:
            self._handlers[channel](data)
        except UnreadableAnswer as error:
            self.unreadable += 1
            if channel not in self._complained:  # once a channel, counted always
                self._complained.add(channel)
                log.error("stream_message_unreadable", channel=channel, error=str(error))

    def _acknowledge(self, data: object) -> None:
        if not isinstance(data, dict) or not isinstance(data.get("subscription"), dict):
            return
        if data.get("method") != "unsubscribe":
            self._acked.add(_key(data["subscription"]))
        self._check_settled()

    def _refused(self, text: str) -> None:
        """Read the error channel: it names the subscription after its first colon."""
        kind, _, rest = text.partition("{")
        try:
            subscription = json.loads("{" + rest) if rest else None
        except ValueError:
            subscription = None
        if not isinstance(subscription, dict):
            log.warning("stream_error", text=text[:200])
            return
        if isinstance(subscription.get("subscription"), dict):
            subscription = subscription["subscription"]
        if kind.startswith("Already subscribed"):
            self._acked.add(_key(subscription))
        elif kind.startswith("Invalid subscription"):
            log.error("stream_subscription_refused", text=text[:200])
            self._wanted.pop(_key(subscription), None)
            self._sent.discard(_key(subscription))
        self._check_settled()

    def _check_settled(self) -> None:
        complete = self._sent == self._wanted.keys() and self._acked >= self._wanted.keys()
        if complete and not self._settled.is_set():  # only the change wakes the keeper
            self._settled.set()
            self._stirred.set()

    def _mark_changed(self) -> None:
        self._settled.clear()
        self._stirred.set()

    async def _keep_subscribed(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            self._stirred.clear()
            with self._clock.busy():
                await self._send_changes(socket)
                self._check_settled()
                if not self._settled.is_set():
                    await self._answer_or_change()
                    continue
            await self._stirred.wait()

    async def _answer_or_change(self) -> None:
        try:
            async with asyncio.timeout(self._timing.pong_s):
                await self._stirred.wait()
        except TimeoutError:
            missing = len(self._wanted.keys() - self._acked)
            raise StreamLost(f"{missing} subscriptions not acknowledged") from None

    async def _send_changes(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        for key in [key for key in sorted(self._sent) if key not in self._wanted]:
            self._sent.discard(key)
            self._acked.discard(key)
            await self._send(socket, "unsubscribe", dict(key))
        for key, subscription in list(self._wanted.items()):
            if key not in self._sent:
                self._sent.add(key)
                await self._send(socket, "subscribe", subscription)

    async def _send(
        self, socket: aiohttp.ClientWebSocketResponse, method: str, subscription: Subscription
    ) -> None:
        await socket.send_json({"method": method, "subscription": subscription})

    async def _keep_alive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._clock.pause(self._timing.ping_s)
            if self._heard_at is not None:
                silence = self._clock.monotonic() - self._heard_at
                if silence > self._timing.silence_s:
                    raise StreamLost(f"silent for {silence:.0f} s")
            with self._clock.busy():
                await self._ping(socket)

    async def _keep_proved(self) -> None:
        while True:
            await self._clock.pause(self._timing.prove_s)
            for proof in self._proofs:
                with self._clock.busy():
                    reason = await proof()
                if reason:
                    raise StreamLost(reason)

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._pong.clear()
        try:
            async with asyncio.timeout(self._timing.pong_s):
                await socket.send_json({"method": "ping"})
                await self._pong.wait()
        except TimeoutError:
            raise StreamLost(f"no pong within {self._timing.pong_s} s") from None


async def _awaited(result: Awaitable[None]) -> None:
    await result


def _key(subscription: Mapping[str, object]) -> _Key:
    """One name for a subscription, with or without the fields that the venue adds."""
    fields = []
    for name in _KEY_FIELDS:
        value = subscription.get(name)
        if isinstance(value, str):
            fields.append((name, value.lower() if name == "user" else value))
    return tuple(fields)

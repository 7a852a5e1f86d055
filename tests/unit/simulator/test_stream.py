"""Channels of the WebSocket: acknowledgements, errors, frames of ticks and of events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bot.domain.types import Ms
from bot.simulator.bars import Bar
from bot.simulator.stream import KEYS_A_STEP, Stream
from bot.simulator.wire import candle, candle_frame, dumps
from tests.unit.simulator.given import ETH, Venue, cloid, limit


class Reader:
    """A client that keeps what it is sent."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    def send(self, frame: str) -> None:
        self.frames.append(json.loads(frame))

    def take(self, channel: str) -> list[Any]:
        found = [frame["data"] for frame in self.frames if frame["channel"] == channel]
        self.frames = [frame for frame in self.frames if frame["channel"] != channel]
        return found


class Wired:
    """A venue with one reader."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.stream = Stream(venue.world, venue.info)
        self.reader = Reader()
        self.stream.join(self.reader)  # type: ignore[arg-type]

    def say(self, message: object) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self.stream.hear(self.reader, text)  # type: ignore[arg-type]

    def subscribe(self, **wish: Any) -> dict[str, Any]:
        self.say({"method": "subscribe", "subscription": wish})
        return wish

    def tick(self, *, passed: bool = False, **moved: float) -> None:
        for _ in self.steps(passed=passed, **moved):
            pass
        self.events()

    def steps(self, *, passed: bool = False, **moved: float) -> Iterator[None]:
        world, before = self.venue.world, self.venue.world.index
        self.venue.tick(**moved)
        return self.stream.on_tick(world.source.quotes(before + 1), passed=passed)

    def events(self) -> None:
        self.stream.on_events(self.venue.world.take_events())


@pytest.fixture
def wired(venue: Venue) -> Wired:
    return Wired(venue)


def test_ping_and_pong(wired: Wired) -> None:
    wired.say({"method": "ping"})
    assert wired.reader.frames == [{"channel": "pong"}]


def test_a_subscription_is_acknowledged_and_ends(wired: Wired) -> None:
    wish = wired.subscribe(type="allMids")
    assert wired.reader.take("subscriptionResponse") == [
        {"method": "subscribe", "subscription": wish}
    ]
    assert wired.reader.take("allMids")[0]["mids"]["ETH"] == "3000.0"
    wired.tick(ETH=3001.0)
    assert wired.reader.take("allMids")[0]["mids"]["ETH"] == "3001.0"
    wired.say({"method": "unsubscribe", "subscription": wish})
    assert wired.reader.take("subscriptionResponse")[0]["method"] == "unsubscribe"
    wired.tick(ETH=3002.0)
    assert wired.reader.frames == []


def test_errors_come_in_the_venues_words(wired: Wired) -> None:
    wish = wired.subscribe(type="bbo", coin="ETH")
    wired.subscribe(**wish)
    wired.subscribe(type="bbo", coin="NOPE")
    wired.subscribe(type="candle", coin="ETH", interval="7m")
    wired.subscribe(type="userFills", user="0x12")
    wired.say({"method": "unsubscribe", "subscription": {"type": "allMids"}})
    wired.say("{broken")
    wired.say({"method": "dance"})
    assert wired.reader.take("error") == [
        'Already subscribed: {"type":"bbo","coin":"ETH"}',
        'Invalid subscription {"type":"bbo","coin":"NOPE"}',
        'Invalid subscription {"type":"candle","coin":"ETH","interval":"7m"}',
        'Invalid subscription {"type":"userFills","user":"0x12"}',
        'Already unsubscribed: {"type":"allMids"}',
        "Error parsing JSON into valid websocket request: {broken",
        'Error parsing JSON into valid websocket request: {"method": "dance"}',
    ]


def test_no_more_than_ten_users_are_tracked(wired: Wired) -> None:
    for number in range(11):
        wired.subscribe(type="userFills", user=f"0x{number:040x}")
    assert wired.reader.take("error") == ["Cannot track more than 10 total users."]
    wired.subscribe(type="orderUpdates", user=f"0x{3:040x}")
    assert wired.reader.take("error") == []


def test_prices_go_to_those_who_asked_for_the_coin(wired: Wired) -> None:
    """A coin that did not move sends nothing; bbo speaks only of changes."""
    for kind in ("l2Book", "bbo", "trades", "activeAssetCtx"):
        wired.subscribe(type=kind, coin="ETH")
    wired.reader.frames.clear()
    wired.tick(BTC=60_500.0)
    assert wired.reader.frames == []
    wired.tick(ETH=3_010.0)
    assert wired.reader.take("activeAssetCtx")[0]["ctx"]["markPx"] == "3010.0"
    [book] = wired.reader.take("l2Book")
    assert book["coin"] == "ETH" and len(book["levels"][0]) == 20
    [best] = wired.reader.take("bbo")
    assert best["bbo"] == [book["levels"][0][0], book["levels"][1][0]]
    [[trade]] = wired.reader.take("trades")
    assert (trade["px"], trade["side"], trade["coin"]) == ("3010.0", "B", "ETH")


def test_the_best_prices_are_told_only_when_they_change(wired: Wired) -> None:
    """Silence is not staleness: an order away from the touch changes nothing."""
    wired.subscribe(type="bbo", coin="ETH")
    wired.tick(ETH=3_010.0)
    wired.reader.frames.clear()
    wired.venue.world.now = Ms(wired.venue.world.now + 700)
    wired.venue.place(limit(ETH, "1", "2900"))
    wired.events()
    assert wired.reader.take("bbo") == []
    bid, _ = wired.venue.engine.best("ETH")
    wired.venue.place(limit(ETH, "1", str(bid)))
    wired.events()
    assert len(wired.reader.take("bbo")) == 1


def test_a_candle_frame_is_one_object_of_strings(wired: Wired) -> None:
    wired.subscribe(type="candle", coin="ETH", interval="5m")
    [first] = wired.reader.take("candle")
    assert (first["s"], first["i"], first["c"]) == ("ETH", "5m", "3000.0")
    wired.tick(ETH=3_020.0)
    [frame] = wired.reader.take("candle")
    assert frame["c"] == "3020.0" and frame["t"] % 300_000 == 0
    assert frame["T"] == frame["t"] + 299_999
    assert all(isinstance(frame[key], str) for key in "ochlv") and isinstance(frame["n"], int)


def test_candle_frames_are_written_as_json_would_be(wired: Wired) -> None:
    """The frame is put together by hand; a snapshot's row is not."""
    bar = Bar(1_790_000_040_000, 0.0000123, 3000.5, 1e-05, 64_000.0, 123_456_789, 7)
    plain = dumps({"channel": "candle", "data": candle("ETH", "1m", 60_000, bar)})
    assert candle_frame("ETH", "1m", 60_000, bar) == plain


def test_a_fill_is_told_on_every_channel_of_the_user(wired: Wired) -> None:
    user = wired.venue.user
    wired.venue.place(limit(ETH, "0.5", "3010", "Ioc"))
    wired.venue.world.take_events()
    for kind in ("orderUpdates", "userEvents", "userFills"):
        wired.subscribe(type=kind, user=user)
    [snapshot] = wired.reader.take("userFills")
    assert snapshot["isSnapshot"] is True and len(snapshot["fills"]) == 1
    assert wired.reader.take("orderUpdates") == []
    [reply] = wired.venue.place(limit(ETH, "1", "3010", "Ioc", cloid=cloid(4)))
    wired.events()
    [fills] = wired.reader.take("userFills")
    assert "isSnapshot" not in fills
    assert fills["user"] == user
    [row] = fills["fills"]
    assert row["oid"] == reply["filled"]["oid"]
    assert wired.reader.take("user") == [{"fills": [row]}]
    [updates] = wired.reader.take("orderUpdates")
    assert [update["status"] for update in updates] == ["open", "filled"]
    assert updates[1]["order"]["cloid"] == cloid(4) and updates[1]["order"]["sz"] == "0.0"


def test_a_rejected_order_is_told_with_its_status(wired: Wired) -> None:
    wired.subscribe(type="orderUpdates", user=wired.venue.user)
    wired.venue.place(limit(ETH, "1", "2900", "Ioc"))
    wired.events()
    [[update]] = wired.reader.take("orderUpdates")
    assert update["status"] == "iocCancelRejected"


def test_a_cancel_not_asked_for_is_told_as_such(wired: Wired) -> None:
    wired.venue.place(limit(ETH, "1", "3010", "Ioc"))
    [reply] = wired.venue.place(limit(ETH, "-1", "3100", reduce_only=True))
    wired.venue.world.take_events()
    wired.subscribe(type="userEvents", user=wired.venue.user)
    wired.venue.place(limit(ETH, "-1", "2990", "Ioc"))
    wired.events()
    told = [
        frame["nonUserCancel"]
        for frame in wired.reader.take("user")
        if len(frame) == 1 and "nonUserCancel" in frame
    ]
    assert told == [[{"coin": "ETH", "oid": reply["resting"]["oid"]}]]


def test_funding_is_told_without_its_envelope(wired: Wired) -> None:
    from tests.unit.simulator.test_duties import to_hour

    wired.venue.place(limit(ETH, "1", "3010", "Ioc"))
    wired.subscribe(type="userEvents", user=wired.venue.user)
    wired.subscribe(type="userFundings", user=wired.venue.user)
    wired.venue.world.take_events()
    to_hour(wired.venue)
    wired.events()
    [event] = wired.reader.take("user")
    snapshot, fundings = wired.reader.take("userFundings")
    assert snapshot["isSnapshot"] and snapshot["fundings"] == []
    assert fundings["fundings"] == [event["funding"]]
    assert set(event["funding"]) == {"time", "coin", "usdc", "szi", "fundingRate", "nSamples"}


def test_account_channels_show_how_things_stand(wired: Wired) -> None:
    user = wired.venue.user
    wired.subscribe(type="activeAssetData", user=user, coin="ETH")
    wired.subscribe(type="webData2", user=user)
    wired.subscribe(type="notification", user=user)
    wired.subscribe(type="userNonFundingLedgerUpdates", user=user)
    assert wired.reader.take("activeAssetData")[0]["leverage"]["value"] == 20
    page = wired.reader.take("webData2")[0]
    assert page["user"] == user and page["clearinghouseState"]["assetPositions"] == []
    [ledger] = wired.reader.take("userNonFundingLedgerUpdates")
    assert ledger["isSnapshot"] and len(ledger["nonFundingLedgerUpdates"]) == 1
    wired.venue.place(limit(ETH, "1", "3010", "Ioc"))
    wired.events()
    assert wired.reader.take("webData2")[0]["clearinghouseState"]["assetPositions"]


def test_nobody_is_told_of_another_users_orders(wired: Wired) -> None:
    wired.subscribe(type="orderUpdates", user="0x" + "ab" * 20)
    wired.venue.place(limit(ETH, "1", "2900"))
    wired.events()
    assert wired.reader.take("orderUpdates") == []


def test_who_has_left_is_sent_nothing(wired: Wired) -> None:
    wired.subscribe(type="allMids")
    wired.reader.frames.clear()
    wired.stream.leave(wired.reader)  # type: ignore[arg-type]
    wired.tick(ETH=3_100.0)
    assert wired.reader.frames == [] and wired.stream.clients == []


def test_what_is_dropped_between_two_steps_is_not_sent(wired: Wired) -> None:
    """Others have their turn there, and one of them may unsubscribe."""
    for coin in ("BTC", "ETH", "SOL"):
        wired.subscribe(type="bbo", coin=coin)
        wired.subscribe(type="activeAssetCtx", coin=coin)
    wired.reader.frames.clear()
    steps = wired.steps(BTC=60_001.0, ETH=3001.0, SOL=151.0)
    next(steps)
    assert wired.reader.frames == []
    next(steps)
    assert 0 < len(wired.reader.frames) <= KEYS_A_STEP
    wired.say({"method": "unsubscribe", "subscription": {"type": "bbo", "coin": "SOL"}})
    assert list(steps) == []
    assert [book["coin"] for book in wired.reader.take("bbo")] == ["BTC", "ETH"]
    wired.subscribe(type="bbo", coin="SOL")
    wired.tick(SOL=152.0)
    assert wired.reader.take("bbo")[-1]["coin"] == "SOL"


def test_of_a_tick_that_has_passed_only_trades_are_told(wired: Wired) -> None:
    """What it moved is shown with the next tick, though that moved something else."""
    for kind in ("bbo", "trades", "candle"):
        wired.subscribe(type=kind, coin="ETH", **({"interval": "1m"} if kind == "candle" else {}))
    wired.subscribe(type="allMids")
    wired.reader.frames.clear()
    wired.tick(passed=True, ETH=3001.0)
    assert [frame["channel"] for frame in wired.reader.frames] == ["trades"]
    wired.reader.frames.clear()
    wired.tick(BTC=60_001.0)
    assert [frame["channel"] for frame in wired.reader.frames] == ["bbo", "candle", "allMids"]
    assert wired.reader.take("candle")[0]["c"] == "3001.0"
    wired.reader.frames.clear()
    wired.tick(BTC=60_002.0)
    assert [frame["channel"] for frame in wired.reader.frames] == ["allMids"]

"""The WebSocket's subscriptions and the frames that go out to them.

Owns channels and which frame a tick or an event makes; builds only what somebody asked
for. Knows no socket (see `client`). Source: facts 6.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bot.simulator.accounts import AccountState, Row
from bot.simulator.bars import Quote, Rolling
from bot.simulator.client import Client
from bot.simulator.errors import Error
from bot.simulator.info import Info
from bot.simulator.market_info import INTERVALS, OTHER_INTERVALS
from bot.simulator.options import is_address
from bot.simulator.wire import candle_frame, dumps, error
from bot.simulator.world import Event, World

OF_ALL = ("allMids",)
OF_COIN = ("l2Book", "bbo", "trades", "candle", "activeAssetCtx")
OF_USER = (
    "orderUpdates",
    "userEvents",
    "userFills",
    "userFundings",
    "userNonFundingLedgerUpdates",
    "notification",
    "webData2",
)
OF_BOTH = ("activeAssetData",)
SHOWN = (*OF_ALL, *OF_COIN, *OF_BOTH, "webData2")  # channels that show how things stand
MOST_USERS = 10  # of a client address (facts 5; 15 seen)
MOST_SUBSCRIPTIONS = 1_000
KEYS_A_STEP = 4  # each quarter of an hour a coin's context takes half a millisecond


class Key(NamedTuple):
    """What a subscription is about; equal keys share one frame."""

    kind: str
    coin: str = ""
    interval: str = ""
    user: str = ""


Tamper = Callable[[Key, str], Iterable[tuple[Key, str]]]


class Stream:
    """Who gets what."""

    def __init__(self, world: World, info: Info) -> None:
        self._world = world
        self._info = info
        self._rolling = Rolling(world.source)
        self._keys: dict[Key, dict[Client, None]] = {}
        self._clients: dict[Client, dict[Key, None]] = {}
        self._sources: dict[Client, str] = {}
        self._last: dict[Key, str] = {}
        self._unshown: dict[str, None] = {}  # coins that moved since the last tick that was shown
        self.tamper: Tamper | None = None  # faults strike frames here
        self.mute = False  # pings stay without an answer

    @property
    def clients(self) -> list[Client]:
        return list(self._clients)

    def join(self, client: Client, source: str = "") -> None:
        """A client that connected from the address `source`, by which it is limited."""
        self._clients[client] = {}
        self._sources[client] = source

    def leave(self, client: Client) -> None:
        self._sources.pop(client, None)
        for key in self._clients.pop(client, {}):
            self._drop(client, key)

    # --- what a client says -------------------------------------------------------------

    def hear(self, client: Client, text: str) -> Row | None:
        """Act on one message; returns the request of a `post`, for the server to answer."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        method = message.get("method") if isinstance(message, dict) else None
        if method == "ping":
            if not self.mute:
                client.send('{"channel":"pong"}')
        elif method in ("subscribe", "unsubscribe") and "subscription" in message:
            self._change(client, method, message["subscription"])
        elif method == "post" and isinstance(message.get("request"), dict):
            return dict(message)
        else:
            client.send(error(Error.UNREADABLE.says(text=text)))
        return None

    def _change(self, client: Client, method: str, wish: object) -> None:
        quoted, key = dumps(wish), self._key(wish)
        if key is None:
            client.send(error(Error.INVALID.says(wish=quoted)))
            return
        mine = self._clients[client]
        if method == "unsubscribe":
            if key not in mine:
                client.send(error(Error.UNSUBSCRIBED.says(wish=quoted)))
                return
            del mine[key]
            self._drop(client, key)
            client.send(_frame("subscriptionResponse", {"method": method, "subscription": wish}))
            return
        if key in mine:
            client.send(error(Error.SUBSCRIBED.says(wish=quoted)))
            return
        if self._world.options.rate_limit and self._too_many(client, key):
            return
        mine[key] = None
        self._keys.setdefault(key, {})[client] = None
        client.send(_frame("subscriptionResponse", {"method": method, "subscription": wish}))
        for frame in self._first(key):
            client.send(frame)

    def _too_many(self, client: Client, key: Key) -> bool:
        """Whether the client's address has as much as it may have, over all connections."""
        source = self._sources[client]
        known = [
            key
            for other, keys in self._clients.items()
            if self._sources[other] == source
            for key in keys
        ]
        users = {other.user for other in known if other.user}
        if key.user and key.user not in users and len(users) >= MOST_USERS:
            client.send(error(Error.USERS.says(limit=MOST_USERS)))
            return True
        if len(known) >= MOST_SUBSCRIPTIONS:
            client.send(error(Error.SUBSCRIPTIONS.says(limit=MOST_SUBSCRIPTIONS)))
            return True
        return False

    def _drop(self, client: Client, key: Key) -> None:
        readers = self._keys.get(key, {})
        readers.pop(client, None)
        if not readers:
            self._keys.pop(key, None)
            self._last.pop(key, None)

    def _key(self, wish: object) -> Key | None:
        if not isinstance(wish, dict):
            return None
        kind, coin = wish.get("type"), wish.get("coin", "")
        interval, user = wish.get("interval", ""), wish.get("user", "")
        if not all(isinstance(part, str) for part in (kind, coin, interval, user)):
            return None
        if kind in OF_ALL:
            return Key(kind)
        known = coin in self._world.prices.instruments
        if kind == "candle" and interval not in INTERVALS and interval not in OTHER_INTERVALS:
            return None
        if kind in OF_COIN:
            return Key(kind, coin, interval if kind == "candle" else "") if known else None
        if not is_address(user):
            return None
        if kind in OF_BOTH:
            return Key(kind, coin, user=user.lower()) if known else None
        return Key(kind, user=user.lower()) if kind in OF_USER else None

    # --- what goes out ------------------------------------------------------------------

    def on_tick(self, quotes: Iterable[Quote], *, passed: bool = False) -> Iterator[None]:
        """Send the new prices of a tick; of one that has `passed` already its trades alone.

        What it moved is shown with the next tick that has not. Yields between steps of a
        millisecond.
        """
        moved = {quote.coin: quote for quote in quotes}
        self._unshown.update(dict.fromkeys(moved))
        for number, key in enumerate(list(self._keys)):
            if number % KEYS_A_STEP == 0:
                yield
            if key.kind == "trades":
                if key.coin in moved:
                    self._send(key, _frame("trades", [self._trade(moved[key.coin])]))
            elif not passed and key.kind in SHOWN and (not key.coin or key.coin in self._unshown):
                self._send_new(key, self._state(key))
        if not passed:
            self._unshown.clear()

    def on_events(self, events: Iterable[Event]) -> None:
        """Tell users what happened to their orders and balances."""
        by_user: dict[str, dict[str, list[Row]]] = {}
        for event in events:
            kinds = by_user.setdefault(event.address, {})
            kinds.setdefault(event.kind, []).append(event.row)
        for user, kinds in by_user.items():
            self._tell(user, kinds)

    def _tell(self, user: str, kinds: Mapping[str, list[Row]]) -> None:
        fills, orders = kinds.get("fill", []), kinds.get("order", [])
        fundings, updates = kinds.get("funding", []), kinds.get("update", [])
        if orders:
            self._send(Key("orderUpdates", user=user), _frame("orderUpdates", orders))
        if fills:
            self._send(Key("userEvents", user=user), _frame("user", {"fills": fills}))
            told: Row = {"user": user, "fills": fills}
            self._send(Key("userFills", user=user), _frame("userFills", told))
        for row in kinds.get("user", []):
            self._send(Key("userEvents", user=user), _frame("user", row))
        for row in fundings:
            self._send(Key("userEvents", user=user), _frame("user", {"funding": _flat(row)}))
        if fundings:
            body: Row = {"user": user, "fundings": [_flat(row) for row in fundings]}
            self._send(Key("userFundings", user=user), _frame("userFundings", body))
        if updates:
            body = {"user": user, "nonFundingLedgerUpdates": updates}
            key = Key("userNonFundingLedgerUpdates", user=user)
            self._send(key, _frame("userNonFundingLedgerUpdates", body))
        if orders or fills:
            self._refresh(user)

    def _refresh(self, user: str) -> None:
        """Renew what shows the account's state, and the books its orders changed."""
        for key in list(self._keys):
            mine = key.user == user and key.kind in (*OF_BOTH, "webData2")
            if mine or key.kind in ("l2Book", "bbo"):
                self._send_new(key, self._state(key))

    def _first(self, key: Key) -> list[str]:
        """The frames that follow an acknowledgement at once."""
        account = self._world.accounts.get(key.user)
        match key.kind:
            case "trades":
                return [_frame("trades", self._info.market.trades(key.coin))]
            case "userFills":
                rows = self._info.account.fills(account) if account else []
                body: Row = {"user": key.user, "isSnapshot": True, "fills": rows}
                return [_frame("userFills", body)]
            case "userFundings":
                rows = [_flat(row) for row in account.fundings] if account else []
                body = {"user": key.user, "isSnapshot": True, "fundings": rows}
                return [_frame("userFundings", body)]
            case "userNonFundingLedgerUpdates":
                rows = list(account.updates) if account else []
                body = {"user": key.user, "isSnapshot": True, "nonFundingLedgerUpdates": rows}
                return [_frame("userNonFundingLedgerUpdates", body)]
            case _:
                frame = self._state(key)
                return [frame] if frame else []

    def _state(self, key: Key) -> str | None:
        """The frame that shows how things stand now; None for channels of mere events."""
        market = self._info.market
        match key.kind:
            case "allMids":
                return _frame("allMids", {"mids": market.mids()})
            case "l2Book":
                return _frame("l2Book", market.book(key.coin))
            case "bbo":
                return _frame("bbo", market.best(key.coin))
            case "candle":
                return self._candle(key)
            case "activeAssetCtx":
                body = {"coin": key.coin, "ctx": market.context(key.coin)}
                return _frame("activeAssetCtx", body)
            case "activeAssetData" | "webData2":
                account = self._world.accounts.get(key.user)
                return self._of_account(key, account) if account else None
            case _:
                return None

    def _of_account(self, key: Key, account: AccountState) -> str:
        if key.kind == "activeAssetData":
            return _frame(key.kind, self._info.account.asset_data(account, key.coin))
        market = self._info.market
        body = self._info.account.web_data(account, market.meta(), market.contexts())
        return _frame(key.kind, body)

    def _candle(self, key: Key) -> str | None:
        length = INTERVALS.get(key.interval)
        if length is None or length % self._world.source.base_ms:
            return None
        bar = self._rolling.state(key.coin, length, self._world.index)
        if bar is None:
            return None
        return candle_frame(key.coin, key.interval, length, bar)

    def _trade(self, quote: Quote) -> Row:
        index = self._world.index
        at = self._world.source.tick_at(index) or self._world.now
        return self._info.market.trade(quote.coin, index, at, quote.price, quote.volume)

    def _send_new(self, key: Key, frame: str | None) -> None:
        """Send a state, unless it is the one that was sent last."""
        if frame is None:
            return
        told = frame[frame.find('"bbo":') :] if key.kind == "bbo" else frame  # without its time
        if self._last.get(key) != told:
            self._last[key] = told
            self._send(key, frame)

    def _send(self, key: Key, frame: str) -> None:
        if self.tamper is None:
            self.emit(key, frame)
            return
        for sent, text in self.tamper(key, frame):
            self.emit(sent, text)

    def emit(self, key: Key, frame: str) -> None:
        """Send a frame to all who subscribed this."""
        for client in self._keys.get(key, ()):
            client.send(frame)


def _frame(channel: str, data: Any) -> str:
    return dumps({"channel": channel, "data": data})


def _flat(row: Row) -> Row:
    """A funding row as the stream shows it."""
    delta = {key: value for key, value in row["delta"].items() if key != "type"}
    return {"time": row["time"], **delta}

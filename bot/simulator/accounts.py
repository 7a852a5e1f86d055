"""What the venue keeps of its users: orders, holdings, balances.

Owns the records and how they are stored; knows no rule of trading and no message.
"""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from bot.domain.types import ZERO

KEPT_ORDERS = 2_000  # the venue remembers this many of an account (facts 1.3)
KEPT_FILLS = 10_000
DEFAULT_LEVERAGE = 20
UNIFIED = ("unifiedAccount", "portfolioMargin")

Row = dict[str, Any]  # a message row in the venue's own form


@dataclass(slots=True)
class SimOrder:
    """One order, from its acceptance or refusal on.

    `trigger` with `fired` false waits for the mark; `armed` false waits for the parent to
    fill; `whole` follows the size of the position.
    """

    oid: int
    owner: str
    coin: str
    is_buy: bool
    limit: Decimal
    original: Decimal
    remaining: Decimal
    reduce_only: bool
    tif: str | None
    cloid: str | None
    at: int
    trigger: Decimal | None = None
    is_stop: bool = False
    is_market: bool = False
    whole: bool = False
    armed: bool = True
    fired: bool = False
    parent: int | None = None
    group: int | None = None  # orders of one group cancel each other when one fills
    children: tuple[int, ...] = ()
    status: str = "open"
    status_at: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in ("open", "triggered")

    @property
    def waits_for_mark(self) -> bool:
        return self.trigger is not None and not self.fired

    @property
    def in_book(self) -> bool:
        return self.is_open and self.armed and not self.waits_for_mark

    @property
    def filled(self) -> Decimal:
        return self.original - self.remaining


@dataclass(slots=True)
class Holding:
    """A position; `raw_usd` is the cash of an isolated one (margin less cost)."""

    coin: str
    size: Decimal
    entry: Decimal
    isolated: bool
    leverage: int
    raw_usd: Decimal = ZERO
    funding_all: Decimal = ZERO
    funding_open: Decimal = ZERO
    funding_change: Decimal = ZERO


@dataclass(slots=True)
class Agent:
    """A key that may trade for its master; `name` is empty for the one without a name."""

    address: str
    name: str
    until: int  # wall time, ms


@dataclass(slots=True)
class AccountState:
    """One user. `cash` is USDC net of the cost of cross positions; `spot` is USDC apart."""

    address: str
    cash: Decimal
    volume: Decimal = ZERO
    requests: int = 0
    last_pass: int = 0  # market time of the last action let through over the budget
    cancel_at: int | None = None  # scheduleCancel
    cancels_fired: tuple[int, int] = (0, 0)  # day (UTC, market time), scheduled cancels of it
    whole_until: int = 0  # market time until which liquidations take whole positions
    abstraction: str = "disabled"
    spot: Decimal = ZERO
    agents: list[Agent] = field(default_factory=list)
    retired: dict[str, int] = field(default_factory=dict)  # agents of old: wall time of the end
    removal_until: int = 0  # wall time until which a removed agent blocks new ones
    leverage: dict[str, tuple[bool, int]] = field(default_factory=dict)  # (isolated, value)
    holdings: dict[str, Holding] = field(default_factory=dict)
    funding_all: dict[str, Decimal] = field(default_factory=dict)
    orders: OrderedDict[int, SimOrder] = field(default_factory=OrderedDict)
    live: dict[int, SimOrder] = field(default_factory=dict)  # those that still stand
    cloids: dict[str, int] = field(default_factory=dict)
    fills: deque[Row] = field(default_factory=lambda: deque(maxlen=KEPT_FILLS))
    fundings: deque[Row] = field(default_factory=lambda: deque(maxlen=KEPT_FILLS))
    updates: deque[Row] = field(default_factory=lambda: deque(maxlen=KEPT_FILLS))  # of the ledger

    def remember(self, order: SimOrder) -> None:
        """Keep an order for look-ups; the oldest closed ones beyond the limit are forgotten."""
        self.orders[order.oid] = order
        if order.is_open:
            self.live[order.oid] = order
        if order.cloid:
            self.cloids[order.cloid] = order.oid
        while len(self.orders) > KEPT_ORDERS:
            oldest = next((order for order in self.orders.values() if not order.is_open), None)
            if oldest is None:
                return
            del self.orders[oldest.oid]
            if oldest.cloid and self.cloids.get(oldest.cloid) == oldest.oid:
                del self.cloids[oldest.cloid]

    @property
    def is_unified(self) -> bool:
        """Whether its collateral is shown in the spot state."""
        return self.abstraction in UNIFIED

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever deposited, or nothing is left."""
        return not (self.cash or self.spot or self.holdings)

    def size(self, coin: str) -> Decimal:
        """The signed position in a coin."""
        held = self.holdings.get(coin)
        return held.size if held else ZERO

    def open_orders(self, coin: str | None = None) -> list[SimOrder]:
        """Orders that still live, oldest first."""
        return [order for order in self.live.values() if coin is None or order.coin == coin]


# --- stored form: JSON, Decimals as strings ----------------------------------------------

_ORDER_DECIMALS = ("limit", "original", "remaining", "trigger")
_HOLDING_DECIMALS = (
    "size",
    "entry",
    "raw_usd",
    "funding_all",
    "funding_open",
    "funding_change",
)


_ORDER_FIELDS = tuple(f.name for f in fields(SimOrder))
_HOLDING_FIELDS = tuple(f.name for f in fields(Holding))


def order_text(order: SimOrder) -> str:
    return json.dumps({name: getattr(order, name) for name in _ORDER_FIELDS}, default=str)


def order_of(text: str) -> SimOrder:
    body = json.loads(text)
    for name in _ORDER_DECIMALS:
        body[name] = None if body[name] is None else Decimal(body[name])
    body["children"] = tuple(body["children"])
    return SimOrder(**body)


def account_text(account: AccountState) -> str:
    """The account without its orders and histories, which have tables of their own."""
    body = {
        "cash": account.cash,
        "volume": account.volume,
        "requests": account.requests,
        "last_pass": account.last_pass,
        "cancel_at": account.cancel_at,
        "cancels_fired": account.cancels_fired,
        "whole_until": account.whole_until,
        "abstraction": account.abstraction,
        "spot": account.spot,
        "agents": [[agent.address, agent.name, agent.until] for agent in account.agents],
        "retired": account.retired,
        "removal_until": account.removal_until,
        "leverage": account.leverage,
        "funding_all": account.funding_all,
        "holdings": [
            {name: getattr(held, name) for name in _HOLDING_FIELDS}
            for held in account.holdings.values()
        ],
    }
    return json.dumps(body, default=str)


def account_of(address: str, text: str) -> AccountState:
    body = json.loads(text)
    account = AccountState(address, Decimal(body["cash"]), Decimal(body["volume"]))
    account.requests = body["requests"]
    account.last_pass = body["last_pass"]
    account.cancel_at = body["cancel_at"]
    _read_later_fields(account, body)
    account.leverage = {
        coin: (bool(pair[0]), int(pair[1])) for coin, pair in body["leverage"].items()
    }
    account.funding_all = {coin: Decimal(usd) for coin, usd in body["funding_all"].items()}
    for row in body["holdings"]:
        for name in _HOLDING_DECIMALS:
            row[name] = Decimal(row[name])
        account.holdings[row["coin"]] = Holding(**row)
    return account


def _read_later_fields(account: AccountState, body: dict[str, Any]) -> None:
    """What ledgers of before these fields do not have keeps its default."""
    day, fired = body.get("cancels_fired", account.cancels_fired)
    account.cancels_fired = (day, fired)
    account.whole_until = body.get("whole_until", 0)
    account.abstraction = body.get("abstraction", account.abstraction)
    account.spot = Decimal(body.get("spot", "0"))
    account.agents = [Agent(*row) for row in body.get("agents", [])]
    account.retired = body.get("retired", {})
    account.removal_until = body.get("removal_until", 0)

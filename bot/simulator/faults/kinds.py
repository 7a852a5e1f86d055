"""Every fault there is, and which words a script may say of it.

Owns names, defaults and limits; strikes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Value = str | float | int | bool

REQUESTS = (  # what a fault of requests may be `on`
    "info",
    "exchange",
    "order",
    "entry",
    "exit",
    "stop",
    "target",
    "cancel",
    "leverage",
    "account",
    "fills",
    "orderStatus",
    "prices",
)
CHANNELS = ("all", "market", "account")


class FaultKind(StrEnum):
    """What goes wrong."""

    # a request
    TOO_MANY_REQUESTS = "too_many_requests"
    GATEWAY = "gateway"
    TIMEOUT = "timeout"
    RESET = "reset"
    NONCE = "nonce"
    BUDGET = "budget"
    AGENT = "agent"
    # a frame
    DROP = "drop"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    # an order on its way to the book
    PARTIAL_ENTRY = "partial_entry"
    REDUCE_RACE = "reduce_race"
    # for a while
    SILENT_SOCKET = "silent_socket"
    STALE_PRICES = "stale_prices"
    STALE_ACCOUNT = "stale_account"
    POST_ONLY = "post_only"
    HALT = "halt"
    THIN_BOOK = "thin_book"
    FUNDING_SPIKE = "funding_spike"
    CLOCK_SKEW = "clock_skew"
    DELIST = "delist"
    OPEN_INTEREST_CAP = "open_interest_cap"
    LEAVE_TRIGGERS = "leave_triggers"
    MARK_APART = "mark_apart"
    # at one moment
    CUT_SOCKETS = "cut_sockets"
    LIQUIDATE = "liquidate"
    MARGIN_CANCEL = "margin_cancel"
    DELEVERAGE = "deleverage"
    ACCOUNT_MODE = "account_mode"
    META_DRIFT = "meta_drift"
    FOREIGN_TRADE = "foreign_trade"
    FOREIGN_ORDER = "foreign_order"


@dataclass(frozen=True, slots=True)
class Word:
    """One field of a script: its default, and what it may be."""

    default: Value
    low: float = 0.0
    high: float = float("inf")
    choices: tuple[str, ...] = ()


_F = FaultKind
OF_REQUESTS = (
    _F.TOO_MANY_REQUESTS,
    _F.GATEWAY,
    _F.TIMEOUT,
    _F.RESET,
    _F.NONCE,
    _F.BUDGET,
    _F.AGENT,
)
OF_FRAMES = (_F.DROP, _F.DUPLICATE, _F.REORDER)
OF_ORDERS = (_F.PARTIAL_ENTRY, _F.REDUCE_RACE)
OF_A_WHILE = (
    _F.SILENT_SOCKET,
    _F.STALE_PRICES,
    _F.STALE_ACCOUNT,
    _F.POST_ONLY,
    _F.HALT,
    _F.THIN_BOOK,
    _F.FUNDING_SPIKE,
    _F.CLOCK_SKEW,
    _F.OPEN_INTEREST_CAP,
    _F.DELIST,
    _F.LEAVE_TRIGGERS,
    _F.MARK_APART,
)

_TEN_DAYS_MS = 864_000_000  # nonces are taken from two days before to one after
_SECONDS = Word(0.0, 0, 86_400_000)
_EVERY = {"at_s": _SECONDS, "coin": Word("")}
_COUNTED = {"after": Word(0), "times": Word(1), "rate": Word(1.0, 0, 1), "for_s": _SECONDS}
_REQUEST = _COUNTED | {"on": Word("exchange", choices=REQUESTS)}
_FRAME = _COUNTED | {"channels": Word("account", choices=CHANNELS)}
_WHILE = {"for_s": _SECONDS}
_EXECUTED = {"executed": Word(False)}

# `at_s`, `for_s`: market seconds since the script was given, 0 of `for_s` is for ever;
# `after` so many are spared first, `times` so many are struck (0: all), each with `rate`.
WORDS: dict[FaultKind, dict[str, Word]] = {
    _F.TOO_MANY_REQUESTS: _EVERY | _REQUEST,
    _F.GATEWAY: _EVERY | _REQUEST | _EXECUTED | {"status": Word(502, 500, 599)},
    _F.TIMEOUT: _EVERY
    | _REQUEST
    | {
        "lands": Word("never", choices=("at_once", "later", "never")),
        "later_s": Word(1.0, 0, 600),  # machine time, as expiresAfter is
        "hold_s": Word(30.0, 0, 600),  # machine time after which the connection is cut
    },
    _F.RESET: _EVERY | _REQUEST | _EXECUTED,
    _F.NONCE: _EVERY
    | _REQUEST
    | _EXECUTED
    | {"says": Word("low", choices=("low", "high", "duplicate"))},
    _F.BUDGET: _EVERY | _REQUEST,
    _F.AGENT: _EVERY | _REQUEST,
    _F.DROP: _EVERY | _FRAME,
    _F.DUPLICATE: _EVERY | _FRAME,
    _F.REORDER: _EVERY | _FRAME,
    _F.PARTIAL_ENTRY: _EVERY | _COUNTED | {"fraction": Word(0.5, 0, 1)},
    _F.REDUCE_RACE: _EVERY | _COUNTED,
    _F.SILENT_SOCKET: _EVERY
    | _WHILE
    | {"channels": Word("all", choices=CHANNELS), "heartbeats": Word(True)},
    _F.STALE_PRICES: _EVERY | _WHILE | {"by_request": Word(False)},
    _F.STALE_ACCOUNT: _EVERY | _WHILE,
    _F.POST_ONLY: _EVERY | _WHILE,
    _F.HALT: _EVERY | _WHILE,
    _F.THIN_BOOK: _EVERY | _WHILE | {"depth": Word(0.0, 0, 1)},
    _F.FUNDING_SPIKE: _EVERY | _WHILE | {"hourly": Word(0.04, -0.04, 0.04)},
    _F.CLOCK_SKEW: _EVERY | _WHILE | {"skew_ms": Word(5_000, -_TEN_DAYS_MS, _TEN_DAYS_MS)},
    _F.LEAVE_TRIGGERS: _EVERY | _WHILE,
    _F.MARK_APART: _EVERY | _WHILE | {"by": Word(-0.05, -0.9, 9)},  # of the mid
    _F.OPEN_INTEREST_CAP: _EVERY | _WHILE,
    _F.DELIST: _EVERY | _WHILE | {"settle": Word(False)},
    _F.CUT_SOCKETS: _EVERY,
    _F.LIQUIDATE: _EVERY | {"method": Word("market", choices=("market", "backstop"))},
    _F.MARGIN_CANCEL: _EVERY | {"order": Word("stop", choices=("stop", "target", "book"))},
    _F.DELEVERAGE: _EVERY | {"fraction": Word(1.0, 0, 1)},
    _F.ACCOUNT_MODE: _EVERY
    | {"mode": Word("unifiedAccount", choices=("disabled", "unifiedAccount", "portfolioMargin"))},
    _F.META_DRIFT: _EVERY | {"size_decimals": Word(-1, -1, 8), "max_leverage": Word(0, 0, 100)},
    _F.FOREIGN_TRADE: _EVERY | {"usd": Word(100.0, -1e9, 1e9)},
    _F.FOREIGN_ORDER: _EVERY | {"usd": Word(100.0, 10, 1e9)},
}
NEED_A_COIN = (_F.META_DRIFT, _F.FOREIGN_TRADE, _F.FOREIGN_ORDER)

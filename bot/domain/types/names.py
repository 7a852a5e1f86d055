"""The names of things: ids, sides, times, regimes, states.

Owns the enumerations of the domain; knows no value that is built from them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Symbol = NewType("Symbol", str)  # base name: "BTC"
Ms = NewType("Ms", int)  # milliseconds since the epoch, UTC, market time
TraceId = NewType("TraceId", str)  # "{symbol}-{bar close yyyymmddThhmm}-{n}"
Cloid = NewType("Cloid", str)  # client order id: "0x" and 32 hex digits

ZERO = Decimal(0)


def trace_id(symbol: Symbol, bar_close: Ms, number: int) -> TraceId:
    """`{symbol}-{bar close yyyymmddThhmm}-{n}` (spec 05)."""
    close = datetime.fromtimestamp(bar_close / 1000, UTC)
    return TraceId(f"{symbol}-{close:%Y%m%dT%H%M}-{number}")


class Side(StrEnum):
    """The direction of a position."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def sign(self) -> int:
        return 1 if self is Side.LONG else -1

    @property
    def opposite(self) -> Side:
        return Side.SHORT if self is Side.LONG else Side.LONG


class Timeframe(StrEnum):
    """Length of a bar."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"

    @property
    def ms(self) -> int:
        return _TIMEFRAME_MS[self]


_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIMEFRAME_MS = {tf: int(tf.value[:-1]) * _UNIT_MS[tf.value[-1]] for tf in Timeframe}


class Regime(StrEnum):
    """The four states of a market; exactly one holds."""

    TRENDING_UP = "trending_up"
    TRENDING_DOWN = "trending_down"
    RANGING = "ranging"
    VOLATILE = "volatile"


class Tier(IntEnum):
    """Quality of a signal by its unified score; 1 is best."""

    TIER_1_MUST_BUY = 1
    TIER_2_STRONG_BUY = 2
    TIER_3_WATCHLIST = 3
    TIER_4_NEUTRAL = 4


class OrderStatus(StrEnum):
    """Life of an order. NEW: durable here, not sent. UNKNOWN: sent, no answer."""

    NEW = "NEW"
    SENT = "SENT"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = {
    OrderStatus.FILLED,
    OrderStatus.CANCELLED,
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
}


class Leg(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"


class ExitReason(StrEnum):
    """Why a position was closed."""

    STOP = "stop"
    TARGET = "target"
    TRAIL = "trail"
    TIME_STOP = "time_stop"
    MANUAL = "manual"
    FLATTEN = "flatten"
    UNPROTECTED = "unprotected"
    END_OF_DATA = "end_of_data"
    LIQUIDATION = "liquidation"
    VENUE = "venue"  # closed at the venue by something that is not ours


class TradingState(StrEnum):
    """What the desk may do. REDUCE_ONLY and HALTED both let exits through."""

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALTED = "HALTED"

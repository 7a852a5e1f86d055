"""The vocabularies from which traces, funnel, metrics and docs derive: Stage, Reason, CheckCode.

Knows no value that flows; a new rule starts with its code here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Stage(StrEnum):
    """Steps of the road, in order; a trace ends at one of them."""

    SCAN = "scan"
    OBSERVE = "observe"
    PROPOSE = "propose"
    SCORE = "score"
    DELIBERATE = "deliberate"
    APPROVE = "approve"
    SIZE = "size"
    CLEAR = "clear"
    EXECUTE = "execute"
    PROTECT = "protect"


class Reason(StrEnum):
    """Why a road ended, where no numeric check did it."""

    NO_NEW_CANDLE = "no_new_candle"
    NO_BARS = "no_bars"
    STALE_DATA = "stale_data"
    QUIET = "quiet"  # 24 h range under the profile's minimum
    NO_SIGNAL = "no_signal"
    CONFLICT = "conflict"  # opposite signals on one bar
    RED_FLAG = "red_flag"
    NOT_WORTH_ASKING = "not_worth_asking"  # the council would cost more than the trade may bring
    HOLD = "hold"
    NO_QUORUM = "no_quorum"
    REJECTED = "rejected"  # approval gate; the failed checks say which rule
    APPROVED = "approved"  # a person said yes; the desk has not ended it, or never could
    UNANSWERED = "unanswered"  # a person was asked; it waits, or a restart forgot it
    QUEUE_FULL = "queue_full"
    REPLACED = "replaced"  # a newer signal of the symbol took its place
    EXPIRED = "expired"
    PRICE_MOVED = "price_moved"
    UNSIZEABLE = "unsizeable"
    REFUSED = "refused"  # risk gate; the failed checks say which rule
    CLOSED_MEANWHILE = "closed_meanwhile"  # state, breaker or block came after the risk gate
    NOT_DURABLE = "not_durable"  # the intent could not be written
    VENUE_REJECTED = "venue_rejected"
    NO_FILL = "no_fill"
    UNKNOWN_OUTCOME = "unknown_outcome"
    STOPPING = "stopping"
    ERROR = "error"
    EXECUTED = "executed"


class CheckCode(StrEnum):
    """Every rule that can block a trade."""

    # approval gate
    CONFIDENCE = "confidence"
    TIER = "tier"
    REWARD_TO_RISK = "reward_to_risk"
    HARD_RED_FLAG = "hard_red_flag"
    QUORUM = "quorum"
    WORTH_ASKING = "worth_asking"  # before the council: what the trade may bring against its cost
    DECISION = "decision"  # the council's word is not the signal's side
    REGIME_FIT = "regime_fit"
    REPEATED_SIGNAL = "repeated_signal"
    RULES_MAY_TRADE = "rules_may_trade"
    APPROVER = "approver"
    # the desk's second look
    SIGNAL_AGE = "signal_age"
    PRICE_MOVED = "price_moved"
    # risk gate
    TRADING_STATE = "trading_state"
    DAILY_LOSS = "daily_loss"  # the six breakers: each holds or not, with its figure
    DRAWDOWN = "drawdown"
    LOSSES_IN_ROW = "losses_in_row"
    VOLATILITY = "volatility"
    DATA = "data"
    API_ERRORS = "api_errors"
    SYMBOL_VOLATILITY = "symbol_volatility"
    POSITION_OPEN = "position_open"
    SYMBOL_BLOCKED = "symbol_blocked"  # an unknown outcome or a foreign position
    MAX_POSITIONS = "max_positions"
    EXPOSURE = "exposure"
    CORRELATION = "correlation"
    TRADES_PER_HOUR = "trades_per_hour"
    ENTRY_SPACING = "entry_spacing"
    LEVERAGE = "leverage"
    STOP_DISTANCE = "stop_distance"
    STOP_BEFORE_LIQUIDATION = "stop_before_liquidation"
    MAX_LOSS = "max_loss"
    MIN_PROFIT = "min_profit"
    MIN_NOTIONAL = "min_notional"
    PRECISION = "precision"  # lot and tick
    MIN_MARGIN = "min_margin"
    MARGIN = "margin"
    SPREAD = "spread"
    FUNDING = "funding"
    DATA_FRESH = "data_fresh"
    VENUE_HEALTHY = "venue_healthy"
    CLOCK_SKEW = "clock_skew"
    TRACE_BACKLOG = "trace_backlog"  # decisions could not be recorded
    # exits
    REDUCES = "reduces"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule applied once: `value` against `limit` in `unit`; ok or not.

    `note` is for the reader; code never parses it.
    """

    code: CheckCode
    ok: bool
    value: float | Decimal | str | None = None
    limit: float | Decimal | str | None = None
    unit: str = ""
    note: str = ""

"""What asking a person came to: what was put before them, and their word as a check of the gate.

Owns the words of an answer and of a refusal to take one; knows no channel, no clock, no queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from bot.domain.reasons import Check, CheckCode, Reason
from bot.domain.types import Approved, Ms, Regime, Rejected, Side, Symbol, TraceId

NOBODY = "nobody"


class Said(StrEnum):
    """How a wait for a person ended; the first two are a person's word."""

    APPROVED = "approved"
    REJECTED = "rejected"
    TIMEOUT = "timeout"  # nobody answered in time: that is a no
    PRICE_MOVED = "price_moved"  # somebody said yes, too far from the price that was shown
    REPLACED = "replaced"  # a newer signal of the symbol took its place
    CROWDED_OUT = "crowded_out"  # better ones filled the places
    STOPPING = "stopping"  # Keel takes no entry any more
    UNANSWERED = "unanswered"  # it waits; after a restart: it was forgotten while it waited


REASONS = {
    Said.APPROVED: Reason.APPROVED,
    Said.REJECTED: Reason.REJECTED,
    Said.TIMEOUT: Reason.REJECTED,
    Said.PRICE_MOVED: Reason.PRICE_MOVED,
    Said.REPLACED: Reason.REPLACED,
    Said.CROWDED_OUT: Reason.QUEUE_FULL,
    Said.STOPPING: Reason.STOPPING,
    Said.UNANSWERED: Reason.UNANSWERED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One wait for a person, as the trace keeps it: an input of the decision, never recomputed."""

    id: str  # of what was asked: used once, a hash of all that was shown
    said: Said
    by: str  # who, as their channel names them; NOBODY
    asked_at: Ms
    answered_at: Ms | None = None
    wall_ms: int | None = None  # signing time of a person's word, for the audit
    waited_s: float | None = None  # machine time
    moved_r: float | None = None  # price against the one that was shown, in stop distances


def confirmed(approved: Approved, answer: Answer) -> Approved | Rejected:
    """Add the person's word to the gate's checks: the same answer gives the same verdict."""
    yes = answer.said is Said.APPROVED
    note = f"asked a person: {answer.said.value} by {answer.by}"
    check = Check(CheckCode.APPROVER, yes, answer.said.value, Said.APPROVED.value, "", note)
    checks = (*approved.checks, check)
    return Approved(checks, by=answer.by) if yes else Rejected(checks)


class Denial(StrEnum):
    """Why a person's word was not taken."""

    UNKNOWN = "unknown_approval"
    ALREADY_ANSWERED = "already_answered"
    EXPIRED = "approval_expired"
    PRICE_MOVED = "price_moved"
    NEWER_SIGNAL = "newer_signal"
    CROWDED_OUT = "crowded_out"
    STOPPING = "stopping"


DENIALS = {
    Said.APPROVED: Denial.ALREADY_ANSWERED,
    Said.REJECTED: Denial.ALREADY_ANSWERED,
    Said.TIMEOUT: Denial.EXPIRED,
    Said.PRICE_MOVED: Denial.PRICE_MOVED,
    Said.REPLACED: Denial.NEWER_SIGNAL,
    Said.CROWDED_OUT: Denial.CROWDED_OUT,
    Said.STOPPING: Denial.STOPPING,
}


@dataclass(frozen=True, slots=True)
class Denied:
    """A word that came too late, twice, or for nothing that waits."""

    code: Denial
    message: str


@dataclass(frozen=True, slots=True)
class Voice:
    """What one seat of the council said; an abstention has its kind as `said`."""

    seat: str
    said: str
    confidence: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Card:
    """All that a person sees before they decide. The size is a preview: it reserves nothing.

    `liquidation_frac` is the distance from `price` as a fraction of it. `fees_usd` is of the round
    trip at taker rates, `council_usd` what asking the models came to.
    """

    id: str
    trace_id: TraceId
    symbol: Symbol
    side: Side
    strategy: str
    why: str
    regime: Regime
    score: float
    tier: int
    confidence: float
    price: Decimal
    quantity: Decimal
    notional: Decimal
    leverage: int
    stop: Decimal
    target: Decimal | None
    risk_usd: Decimal
    reward_usd: Decimal | None
    reward_to_risk: float
    liquidation_price: Decimal | None
    liquidation_frac: float | None
    fees_usd: Decimal
    council_usd: Decimal
    voices: tuple[Voice, ...]
    flags: tuple[str, ...]
    asked_at: Ms
    expires_in_s: float

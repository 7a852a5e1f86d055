"""What is thought: a seat's opinion, the council's decision, the approval. Floats.

Knows no size and no account.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.reasons import Check
from bot.domain.types.seen import RedFlag, Score, Signal


class Action(StrEnum):
    """What a seat of the council says."""

    LONG = "LONG"
    SHORT = "SHORT"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class Question:
    """What a seat is asked: one signal with its score and its warnings."""

    signal: Signal
    score: Score
    flags: tuple[RedFlag, ...]


@dataclass(frozen=True, slots=True)
class Opinion:
    """One seat's answer. Nothing in it can name a price, a symbol or a size."""

    seat: str
    action: Action
    confidence: float  # 0 to 1 that the trade wins over the horizon
    calibrated: bool
    reasoning: str
    stop_atr: float | None = None
    target_r: float | None = None
    leverage_wish: float | None = None


@dataclass(frozen=True, slots=True)
class Abstention:
    """A seat that gave no vote, with its typed reason; never a HOLD, never a side."""

    seat: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The council's word on one signal."""

    action: Action
    confidence: float
    quorum_met: bool
    opinions: tuple[Opinion, ...]
    abstentions: tuple[Abstention, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Approved:
    """A signal that passed the approval gate, with every check it passed."""

    checks: tuple[Check, ...]
    by: str  # "auto", or who pressed the button


@dataclass(frozen=True, slots=True)
class Rejected:
    """A signal that the approval gate stopped; `checks` holds passes and failures."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

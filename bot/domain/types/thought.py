"""What is thought: a seat's opinion, the council's decision, the approval. Floats.

Knows no size and no account.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.reasons import Check
from bot.domain.types.attempts import Attempt
from bot.domain.types.names import TraceId
from bot.domain.types.seen import RedFlag, Score, Signal
from bot.domain.types.shown import Brief, Direction, Horizon, Messages


class Action(StrEnum):
    """What a seat of the council says."""

    LONG = "LONG"
    SHORT = "SHORT"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class Question:
    """What a seat is asked: one signal with its score and its warnings.

    A model sees `messages` and nothing else; `brief` is what its answer is checked against.
    `trace_id` is for the ledger of costs and never shown.
    """

    signal: Signal
    score: Score
    flags: tuple[RedFlag, ...]
    brief: Brief = Brief()
    messages: Messages = Messages()
    trace_id: TraceId = TraceId("")


@dataclass(frozen=True, slots=True)
class Cited:
    """A fact that an answer relies on, and what it reads in it."""

    key: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class Opinion:
    """One seat's answer. Nothing in it can name a price, a symbol or a size.

    `evidence_score` is the share of citations and quoted numbers that the brief bears out,
    0 to 1; None where nothing was cited or quoted. `text` is the answer as it came, from
    which the rest is computed again in replay; empty for the rules analyst.
    """

    seat: str
    action: Action
    confidence: float  # 0 to 1 that the trade wins over the horizon
    calibrated: bool
    reasoning: str
    stop_atr: float | None = None
    target_r: float | None = None
    leverage_wish: float | None = None
    attempts: tuple[Attempt, ...] = ()  # what asking came to; the last one is the answer
    evidence: tuple[Cited, ...] = ()
    red_flags: tuple[str, ...] = ()
    horizon: Horizon | None = None
    evidence_score: float | None = None
    fabricated: tuple[str, ...] = ()  # what the brief does not bear out, in words
    text: str = ""
    from_cache: bool = False  # a stored answer: nothing was asked, nothing paid


class AbstentionKind(StrEnum):
    """Why a seat gave no vote. None of these is a HOLD, none a side."""

    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    RATE_LIMIT = "rate_limit"
    REFUSAL = "refusal"
    CUT_OFF = "cut_off"
    NOT_JSON = "not_json"
    SCHEMA = "schema"
    BUDGET = "budget"
    BREAKER_OPEN = "breaker_open"
    STALE = "stale"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Abstention:
    """A seat that gave no vote, with its typed reason; never a HOLD, never a side."""

    seat: str
    kind: str  # an AbstentionKind
    detail: str
    attempts: tuple[Attempt, ...] = ()
    text: str = ""  # what came instead of an answer, bounded by the seat


@dataclass(frozen=True, slots=True)
class Decision:
    """The council's word on one signal."""

    action: Action
    confidence: float
    quorum_met: bool
    opinions: tuple[Opinion, ...]
    abstentions: tuple[Abstention, ...]
    why: str
    stand_in: bool = False  # no model was heard: the rules analyst answered in their place


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

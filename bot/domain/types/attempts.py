"""One request to a model: how it ended, its tokens, and what stands in the books for it.

Owns the row of the ledger of costs; knows no provider and no wire format.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.types.names import ZERO, TraceId

ANSWERED = "answered"  # the end of an attempt that is no abstention
ASKED = "asked"  # the request left, and nobody knows yet how it ended


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt. `cached` is a part of `input`, `reasoning` a part of `output`."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to one model. Money in USD; what nobody answered stands at its reserve.

    `cost` is what the usage of an answer comes to, 0 without one; `reserved` is what stands
    against the budgets for a request without an answer, 0 once it is settled.
    """

    trace_id: TraceId
    seat: str
    number: int  # from 1, also where nothing was sent (breaker, budget)
    kind: str  # ANSWERED, ASKED or an AbstentionKind
    asked_at: int  # wall clock, ms: providers bill in real time
    latency_ms: float = 0.0
    usage: Usage | None = None
    cost: Decimal = ZERO
    reserved: Decimal = ZERO
    price_version: str = ""
    model: str = ""  # as the endpoint names what answered
    system_fingerprint: str = ""
    detail: str = ""
    raw: str = ""  # the answer as it came
    late: bool = False  # came after the council had decided
    action: str = ""  # of a valid answer
    confidence: float | None = None

    @property
    def stands_at(self) -> Decimal:
        """What this attempt takes from the budgets."""
        return self.cost + self.reserved

"""What is put before a person: an approved wish, the id that stands for exactly it, its card.

Owns what a card shows; knows neither who is asked nor how long it waits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from bot.domain import canonical
from bot.domain.answer import Card, Voice
from bot.domain.instrument import Instrument
from bot.domain.sizing import TAKER_FEE, exact, liquidation_at_entry, reward_to_risk
from bot.domain.types import Approved, Decision, Intent, Ms, TraceId
from bot.pipeline.decide import Thought

ID_DIGITS = 16  # 64 bits: a hash of what is shown, not a secret; the token decides who may answer
SHOWN_TEXT = 400  # of a seat's reasoning; the whole stands in the trace


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """A wish that passed the gate, and everything that a person judges it by."""

    thought: Thought
    decision: Decision
    preview: Intent
    instrument: Instrument
    approved: Approved


def ident_of(asking: Asking, trace_id: TraceId) -> str:
    """A hash of all that is decided about: another price, size, vote or trace is another id."""
    about = {
        "trace": trace_id,
        "signal": asking.thought.proposal.signal,
        "score": asking.thought.score,
        "decision": asking.decision,
        "preview": asking.preview,
    }
    return hashlib.sha256(canonical.dumps(about)).hexdigest()[:ID_DIGITS]


def card_of(
    asking: Asking,
    trace_id: TraceId,
    ident: str,
    asked_at: Ms,
    left_s: float,
    council_usd: Decimal,
) -> Card:
    """What a person sees; money from the preview, which reserves nothing.

    `council_usd`: what stands in the books for asking the models about this decision, now.
    """
    thought, intent, decision = asking.thought, asking.preview, asking.decision
    signal, price = thought.proposal.signal, intent.reference
    stop = intent.stop if intent.stop is not None else price
    liquidation = liquidation_at_entry(
        intent.side, intent.quantity, price, intent.leverage, asking.instrument
    )
    return Card(
        id=ident,
        trace_id=trace_id,
        symbol=intent.symbol,
        side=intent.side,
        strategy=signal.strategy,
        why=signal.why,
        regime=thought.snapshot.regime.regime,
        score=round(thought.score.total, 2),
        tier=int(thought.score.tier),
        confidence=decision.confidence,
        price=price,
        quantity=intent.quantity,
        notional=intent.notional,
        leverage=intent.leverage,
        stop=stop,
        target=intent.target,
        risk_usd=abs(price - stop) * intent.quantity,
        reward_usd=_gain(intent),
        reward_to_risk=round(reward_to_risk(intent), 3),
        liquidation_price=liquidation,
        liquidation_frac=_distance(price, liquidation),
        fees_usd=2 * exact(TAKER_FEE) * intent.notional,
        council_usd=council_usd,
        voices=_voices(decision),
        flags=tuple(flag.code for flag in thought.flags),
        asked_at=asked_at,
        expires_in_s=round(max(0.0, left_s), 1),
    )


def _gain(intent: Intent) -> Decimal | None:
    if intent.target is None:
        return None
    return abs(intent.target - intent.reference) * intent.quantity


def _distance(price: Decimal, other: Decimal | None) -> float | None:
    return round(float(abs(price - other) / price), 5) if other is not None else None


def _voices(decision: Decision) -> tuple[Voice, ...]:
    said = [
        Voice(one.seat, one.action.value, one.confidence, one.reasoning[:SHOWN_TEXT])
        for one in decision.opinions
    ]
    silent = [
        Voice(one.seat, str(one.kind), None, one.detail[:SHOWN_TEXT])
        for one in decision.abstentions
    ]
    return (*said, *silent)

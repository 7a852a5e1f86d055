"""The decisions of the road as plain functions: the same call in live and in replay.

Owns the order in which domain rules are applied to one symbol; awaits nothing, reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from bot.domain.approval import Candidate, approve
from bot.domain.council import RULES_SEAT, convene, quorum, stands_in, weights_of
from bot.domain.instrument import Instrument
from bot.domain.portfolio import PortfolioView
from bot.domain.proposal import NoProposal, Proposal, Rule, propose
from bot.domain.reasons import Check, CheckCode, Reason
from bot.domain.red_flags import effect, find
from bot.domain.risk import RiskFacts, clear, room
from bot.domain.scoring import score
from bot.domain.sizing import Wish, reward_to_risk, size
from bot.domain.snapshot import Reader, Snapshot, observe, read
from bot.domain.types import (
    Abstention,
    Action,
    Approved,
    Bars,
    Cleared,
    Decision,
    Intent,
    Market,
    Ms,
    Opinion,
    RedFlag,
    Refused,
    Rejected,
    Score,
    Side,
    Symbol,
    Timeframe,
    TraceId,
    TradingState,
)
from bot.domain.worth import Price, worth_asking
from bot.pipeline.policies import Policies

DAY_MS = 86_400_000

# Checks of the approval gate that no answer of a model can change.
SETTLED_BEFORE = (
    CheckCode.TIER,
    CheckCode.HARD_RED_FLAG,
    CheckCode.REGIME_FIT,
    CheckCode.REPEATED_SIGNAL,
)


@dataclass(frozen=True, slots=True, eq=False)
class Thought:
    """A proposal with its warnings and its score."""

    snapshot: Snapshot
    proposal: Proposal
    flags: tuple[RedFlag, ...]
    score: Score

    @property
    def hard(self) -> bool:
        return any(flag.hard for flag in self.flags)


@dataclass(frozen=True, slots=True, eq=False)
class Silence:
    """Why a snapshot led to no proposal."""

    snapshot: Snapshot
    reason: Reason
    found: NoProposal | None = None


@dataclass(frozen=True, slots=True)
class Barred:
    """What keeps the symbol or the account from any entry now."""

    held: bool  # a position of the symbol is open
    state: TradingState
    breakers: tuple[str, ...]  # codes of those that are open


@dataclass(frozen=True, slots=True)
class Look:
    """What the desk saw when it looked again; kept by value for replay."""

    facts: RiskFacts
    view: PortfolioView
    expires_at: Ms
    decided_price: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the desk made of a wish: every check, and the permitted intent if there is one."""

    checks: tuple[Check, ...]
    reason: Reason
    intent: Intent | None = None
    cleared: Cleared | None = None


def see(
    symbol: Symbol,
    bars: Mapping[Timeframe, Bars],
    market: Market,
    policies: Policies,
    reader: Reader = read,
) -> Snapshot:
    """Compute what is known of a symbol. Raises ValueError without a decision bar."""
    wished = policies.regime_timeframe
    return observe(symbol, policies.timeframe, bars, market, wished, reader)


def think(snapshot: Snapshot, rules: Sequence[Rule], policies: Policies) -> Thought | Silence:
    """Propose, look for red flags, score."""
    if day_range(snapshot) < policies.min_range_frac:
        return Silence(snapshot, Reason.QUIET)
    proposal = propose(snapshot, rules)
    if isinstance(proposal, NoProposal):
        return Silence(snapshot, proposal.reason, proposal)
    flags = find(proposal, snapshot, policies.flags)
    return Thought(snapshot, proposal, flags, score(proposal, snapshot, policies.weights))


def day_range(snapshot: Snapshot) -> float:
    """(high - low) / low over the last 24 h of the coarsest frame seen."""
    frame = snapshot.context[-1] if snapshot.context else snapshot.timeframe
    bars = snapshot.bars[frame]
    first = int(np.searchsorted(bars.ts, snapshot.as_of - DAY_MS))
    if first == len(bars):
        return 0.0
    low = float(bars.low[first:].min())
    return (float(bars.high[first:].max()) - low) / low


def decide(
    opinions: Sequence[Opinion], abstentions: Sequence[Abstention], policies: Policies
) -> Decision:
    """Count the council's votes; where no model was heard, the rules analyst's, marked so."""
    if stands_in(opinions, policies.seats):
        alone = (RULES_SEAT,)
        said = convene(opinions, abstentions, alone, weights_of(alone), policies.council)
        return replace(said, stand_in=True, why=f"rules analyst in place of the models: {said.why}")
    weights = weights_of(policies.seats)
    return convene(opinions, abstentions, policies.seats, weights, policies.council)


def weigh(
    thought: Thought,
    preview: Intent | Refused,
    repeated: bool,
    asking_usd: Decimal,
    barred: Barred,
    policies: Policies,
    able: int | None,
) -> tuple[Check, ...]:
    """Whether a council is worth asking: what no answer can change, and the money of it.

    `preview` is the size that the signal has without a council (`unasked`). `able`: seats that
    may answer; None in traces of before this was noted.
    """
    verdict = judge(thought, unasked(thought), preview, repeated, policies)
    settled = tuple(check for check in verdict.checks if check.code in SETTLED_BEFORE)
    price = Price(asking_usd, policies.sizing.taker_fee_frac)
    worth = worth_asking(thought.score, preview, price)
    return (*settled, *_bars(barred), *_votes(able, policies), worth)


def _votes(able: int | None, policies: Policies) -> tuple[Check, ...]:
    """Whether those who can be asked could decide; with nobody the rules analyst stands in."""
    if able is None:
        return ()
    needed, note = quorum(policies.seats), "seats that can be asked now; with none the rules speak"
    possible = able == 0 or able >= needed
    return (Check(CheckCode.QUORUM, possible, able, needed, "votes", note),)


def _bars(barred: Barred) -> tuple[Check, ...]:
    """What the desk would refuse whatever a council says; it looks again all the same."""
    state, active = barred.state.value, TradingState.ACTIVE.value
    opens = state == active and not barred.breakers
    note = "open breakers: " + (", ".join(barred.breakers) or "none")
    return (
        Check(CheckCode.TRADING_STATE, opens, state, active, "", note),
        Check(CheckCode.POSITION_OPEN, not barred.held, note="one position a symbol"),
    )


def unasked(thought: Thought) -> Decision:
    """The word of a council that agrees with the signal and wishes for nothing of its own."""
    side = Action(thought.proposal.signal.side.value)
    return Decision(side, min(max(thought.score.total / 100, 0.0), 1.0), True, (), (), "")


def wish_of(thought: Thought, decision: Decision) -> Wish:
    """What the size of this trade depends on."""
    snapshot, signal = thought.snapshot, thought.proposal.signal
    levels = snapshot.levels
    swing = levels.swing_low if signal.side is Side.LONG else levels.swing_high
    voices = [voice for voice in decision.opinions if voice.action == decision.action]
    confidence = decision.confidence
    if not all(voice.calibrated for voice in voices):
        # Confidence lends leverage. An unmeasured one lends no more than the score does.
        confidence = min(confidence, unasked(thought).confidence)
    return Wish(
        signal=signal,
        confidence=confidence,
        regime=snapshot.regime.regime,
        atr=snapshot.now.atr or 0.0,
        swing=swing,
        levels=levels.prices,
        soft=effect(thought.flags),
        stop_atr=_mean([voice.stop_atr for voice in voices]),
        target_r=_mean([voice.target_r for voice in voices]),
        leverage=_mean([voice.leverage_wish for voice in voices]),
    )


def judge(
    thought: Thought,
    decision: Decision,
    preview: Intent | Refused,
    repeated: bool,
    policies: Policies,
) -> Approved | Rejected:
    """The approval gate; the preview size gives reward to risk and reserves nothing."""
    signal = thought.proposal.signal
    wished = preview if isinstance(preview, Intent) else None
    candidate = Candidate(
        signal=signal,
        score=thought.score,
        decision=decision,
        flags=thought.flags,
        regime_fits=thought.snapshot.regime.regime in thought.proposal.regimes,
        reward_to_risk=reward_to_risk(wished) if wished is not None else 0.0,
        repeated=repeated,
    )
    return approve(candidate, policies.approval)


def settle(
    wish: Wish, look: Look, instrument: Instrument, policies: Policies, trace_id: TraceId
) -> Verdict:
    """Look again, size, clear: what the desk does with an approved wish."""
    looked = look_again(wish, look, policies)
    late = next((check for check in looked if not check.ok), None)
    if late is not None:
        reason = Reason.EXPIRED if late.code is CheckCode.SIGNAL_AGE else Reason.PRICE_MOVED
        return Verdict(looked, reason)
    free = room(look.view, policies.limits)
    sized = size(
        wish,
        instrument,
        look.facts.market,
        look.view.capital,
        policies.sizing,
        trace_id,
        room=free,
    )
    if isinstance(sized, Refused):
        return Verdict((*looked, *sized.checks), Reason.UNSIZEABLE)
    cleared = clear(sized, look.view, look.facts, policies.limits, instrument)
    checks = (*looked, *cleared.checks)
    if isinstance(cleared, Refused):
        return Verdict(checks, Reason.REFUSED, sized)
    return Verdict(checks, Reason.EXECUTED, sized, cleared)


def look_again(wish: Wish, look: Look, policies: Policies) -> tuple[Check, ...]:
    """Whether the signal still lives and the price has not run away from it."""
    age_left = look.expires_at - look.facts.now
    moved = moved_r(wish, look.decided_price, look.facts.market.mark)
    return (
        Check(
            CheckCode.SIGNAL_AGE,
            age_left >= 0,
            age_left / 1000,
            0.0,
            "s",
            "life of the signal left",
        ),
        Check(
            CheckCode.PRICE_MOVED,
            moved <= policies.max_move_r,
            round(moved, 6),
            policies.max_move_r,
            "R",
            "price moved since the decision",
        ),
    )


def moved_r(wish: Wish, decided_price: float, mark: float) -> float:
    """How far `mark` is from the price that was decided on, in stop distances of the signal."""
    return abs(mark - decided_price) / (wish.signal.stop_frac * decided_price)


def _mean(wishes: Sequence[float | None]) -> float | None:
    said = [wish for wish in wishes if wish is not None]
    return sum(said) / len(said) if said else None

"""From a snapshot to one wish: which strategies may speak, which one leads.

Owns the ranking of strategies on one bar; knows no strategy by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.domain.reasons import Reason
from bot.domain.signals import SignalArray
from bot.domain.snapshot import Snapshot
from bot.domain.types import Bars, Regime, Side, Signal

SCANNER = "technical"
TRENDS = (Regime.TRENDING_UP, Regime.TRENDING_DOWN)


class Rule(Protocol):
    """A strategy variant as the road sees it; `bot.plugins.LoadedStrategy` is one."""

    @property
    def id(self) -> str: ...

    @property
    def why(self) -> str: ...

    @property
    def warm_up(self) -> int: ...

    @property
    def target_r(self) -> float: ...

    @property
    def weight(self) -> float: ...

    def sides(self, regime: Regime) -> tuple[Side, ...]:
        """The sides it may take in this regime; empty: it is silent."""
        ...

    def signals(self, bars: Bars) -> SignalArray: ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """The leading signal, and those of the same side that agree with it."""

    signal: Signal
    confluence: tuple[Signal, ...]
    considered: tuple[str, ...]  # ids that the regime and the history let speak
    regimes: tuple[Regime, ...]  # in which the leading strategy may take this side

    @property
    def signals(self) -> tuple[Signal, ...]:
        return (self.signal, *self.confluence)

    @property
    def fades(self) -> bool:
        """Whether the leading strategy trades against moves, so never in a trend."""
        return not any(regime in TRENDS for regime in self.regimes)


@dataclass(frozen=True, slots=True)
class NoProposal:
    """Why nothing is wished for: NO_SIGNAL, or CONFLICT with the signals that cancelled."""

    reason: Reason
    signals: tuple[Signal, ...]
    considered: tuple[str, ...]


def propose(snapshot: Snapshot, strategies: Sequence[Rule]) -> Proposal | NoProposal:
    """Ask every strategy that fits the regime for its wish on the last bar.

    Opposite wishes cancel each other. Among equal sides the largest weight x strength
    leads (the smaller id among equals), the rest are confluence.
    """
    regime, count = snapshot.regime.regime, len(snapshot.decision)
    considered: list[str] = []
    found: list[tuple[Signal, Rule]] = []
    for rule in strategies:
        sides = rule.sides(regime)
        if not sides or count < rule.warm_up:
            continue
        considered.append(rule.id)
        signal = _last(rule, snapshot)
        if signal is not None and signal.side in sides:
            found.append((signal, rule))
    found.sort(key=lambda pair: (-pair[0].weight * pair[0].strength, pair[0].strategy))
    signals = tuple(signal for signal, _ in found)
    if not signals:
        return NoProposal(Reason.NO_SIGNAL, (), tuple(considered))
    if any(signal.side is not signals[0].side for signal in signals):
        return NoProposal(Reason.CONFLICT, signals, tuple(considered))
    leader = found[0][1]
    fits = tuple(item for item in Regime if signals[0].side in leader.sides(item))
    return Proposal(signals[0], signals[1:], tuple(considered), fits)


def _last(rule: Rule, snapshot: Snapshot) -> Signal | None:
    """The wish on the last bar, which is all that live reads."""
    answer = rule.signals(snapshot.decision)
    if len(answer) != len(snapshot.decision):
        raise ValueError(
            f"{rule.id}: gave {len(answer)} signals for {len(snapshot.decision)} bars; "
            "a strategy answers every bar"
        )
    side = int(answer.side[-1])
    if side == 0:
        return None
    return Signal(
        symbol=snapshot.symbol,
        side=Side.LONG if side > 0 else Side.SHORT,
        strength=float(answer.strength[-1]),
        stop_frac=float(answer.stop_frac[-1]),
        target_r=rule.target_r,
        strategy=rule.id,
        scanner=SCANNER,
        weight=rule.weight,
        why=rule.why,
    )

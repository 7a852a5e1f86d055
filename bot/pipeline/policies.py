"""Every number that a decision depends on, in one value; its hash is the fingerprint.

Owns the grouping; knows neither where the numbers come from nor what they do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain import canonical
from bot.domain.approval import ApprovalPolicy
from bot.domain.breakers import BreakerLimits
from bot.domain.council import CouncilPolicy
from bot.domain.protection import ProtectionPolicy
from bot.domain.red_flags import FlagPolicy
from bot.domain.risk import RiskLimits
from bot.domain.scoring import ScoreWeights
from bot.domain.sizing import SizingPolicy
from bot.domain.types import Timeframe

WINDOW_BARS = 500  # bars of each timeframe that a decision sees


@dataclass(frozen=True, slots=True)
class Policies:
    """Stored once by fingerprint, so that a trace can be replayed under the same numbers."""

    timeframe: Timeframe
    context: tuple[Timeframe, ...]
    regime_timeframe: Timeframe
    strategies: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, object]]
    seats: tuple[str, ...]
    flags: FlagPolicy
    weights: ScoreWeights
    council: CouncilPolicy
    approval: ApprovalPolicy
    sizing: SizingPolicy
    limits: RiskLimits
    protection: ProtectionPolicy
    breakers: BreakerLimits
    window_bars: int = WINDOW_BARS
    prompt: str = ""  # version of the council's prompt; empty: no model is asked
    min_range_frac: float = 0.0  # 24 h range, (high - low) / low; scalper 0.03
    max_move_r: float = 0.5  # spec 05: price moved since the decision, in stop distances
    models: tuple[
        str, ...
    ] = ()  # seat, model, endpoint and hash of parameters of every model asked

    @property
    def timeframes(self) -> tuple[Timeframe, ...]:
        """The decision frame and the coarser context frames, finest first."""
        coarser = {frame for frame in self.context if frame.ms > self.timeframe.ms}
        return (self.timeframe, *sorted(coarser, key=lambda frame: frame.ms))


def fingerprint(policies: Policies) -> str:
    """Name a configuration by everything that decides: 16 hex digits.

    Paths, ports, keys and log levels are no part of it: evidence gathered under one
    fingerprint holds wherever the same rules run.
    """
    return hashlib.sha256(canonical.dumps(policies)).hexdigest()[:16]

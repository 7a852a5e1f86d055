"""What the rules of the gate look at: limits, facts, and the one entry before them.

Knows no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.instrument import Instrument
from bot.domain.portfolio import PortfolioView
from bot.domain.sizing import TAKER_FEE, exact
from bot.domain.types import ZERO, Intent, Market, Ms


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What the account may bear. Fractions, not percent; `_x` times equity."""

    max_positions: int
    max_notional_x: float
    max_correlated: int  # same-side positions over the bound, the new one included
    max_leverage: int
    min_stop_frac: float
    max_stop_frac: float
    min_profit_usd: Decimal
    min_margin_usd: Decimal = ZERO
    correlation_bound: float = 0.85
    trades_per_hour: int = 20
    entry_spacing_ms: int = 60_000
    max_loss_frac: float = 0.10  # of capital, one trade
    liquidation_buffer: float = 1.25  # liquidation at least this many stop distances away
    profit_cost_multiple: float = 0.0  # profit at target over the cost of the round trip
    max_spread_bps: float = 20.0
    max_funding_hourly: float = 0.0005  # fraction an hour, paid by our side
    max_mark_age_s: float = 10.0
    max_bar_ages: float = 2.0  # candle lengths
    max_clock_skew_ms: int = 1_000  # spec 05; machine time
    max_trace_backlog: int = 10_000
    max_volatility_x: float = 3.0  # spec 05: 1h ATR % over its median
    taker_fee_frac: float = TAKER_FEE


@dataclass(frozen=True, slots=True)
class RiskFacts:
    """What the world says at the moment of clearing.

    `bar_age_ms` counts from the close of the newest bar. `clock_skew_ms` None: not checked,
    which is right in lockstep only; `clock_known` False: checked, and no answer for too long.
    """

    now: Ms
    market: Market
    mark_confirmed_age_s: float
    bar_age_ms: int
    bar_length_ms: int
    venue_healthy: bool
    clock_skew_ms: int | None
    trace_backlog: int = 0
    volatility_x: float | None = None  # of this symbol; None while there are too few bars
    clock_known: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """One entry before the gate, with all that the rules look at."""

    intent: Intent
    view: PortfolioView
    facts: RiskFacts
    limits: RiskLimits
    instrument: Instrument

    @property
    def fee(self) -> Decimal:
        return exact(self.limits.taker_fee_frac)

    @property
    def stop_distance(self) -> Decimal:
        """From reference to stop on the losing side; negative on the wrong side."""
        stop = self.intent.stop
        if stop is None:
            return ZERO
        return (self.intent.reference - stop) * self.intent.side.sign

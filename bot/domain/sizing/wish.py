"""What a size depends on: the wish, the policy, and the way from float to Decimal.

Knows no arithmetic of sizing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.types import Regime, Signal, SoftEffect

ENTRY_SLIPPAGE = 0.005  # spec 05, "Slippage bound"
EXIT_SLIPPAGE = (0.02, 0.05, 0.10)  # spec 05: by attempt 0, 1, 2 and later
TRIGGER_SLIPPAGE = Decimal("0.10")  # spec 05: a market trigger's limit lies 10 % beyond it
TAKER_FEE = 0.00045  # hyperliquid.md 1.3, userFees "cross"


@dataclass(frozen=True, slots=True)
class SizingPolicy:
    """Bounds of size. Fractions, not percent; `_usd` in quote currency; `_x` times capital."""

    risk_frac: float
    min_stop_frac: float
    max_stop_frac: float
    max_leverage: int
    max_notional_x: float
    min_reward_to_risk: float
    min_margin_usd: Decimal | None = None
    max_margin_usd: Decimal | None = None
    entry_slippage_frac: float = ENTRY_SLIPPAGE
    taker_fee_frac: float = TAKER_FEE
    min_target_r: float = 1.0
    max_target_r: float = 5.0
    stop_atr: float = 1.5  # least distance of a stop, in ATR, before the bounds
    level_gap_atr: float = 0.25  # spec 10: off any level or round number
    high_confidence: float = 0.80  # spec 10, prompt: 80 to 89 strong
    top_confidence: float = 0.90  # spec 10, prompt: 90 to 100 rare perfect set-up
    trending_leverage: int = 5
    ranging_leverage: int = 3
    volatile_leverage: int = 2
    liquidation_buffer: float = 1.25  # liquidation at least this many stop distances away


@dataclass(frozen=True, slots=True)
class Wish:
    """An approved signal with what its size depends on; prices and ATR in quote currency.

    `swing` is the nearest swing low (LONG) or high (SHORT); `levels` are support and
    resistance prices. `stop_atr`, `target_r` and `leverage` are what the council wished for;
    each is clamped.
    """

    signal: Signal
    confidence: float
    regime: Regime
    atr: float
    swing: float | None = None
    levels: tuple[float, ...] = ()
    soft: SoftEffect = SoftEffect()
    stop_atr: float | None = None
    target_r: float | None = None
    leverage: float | None = None


def exact(value: float) -> Decimal:
    """The decimal a float prints as; the only way from float to Decimal."""
    return Decimal(repr(float(value)))

"""Whether a council is worth its price: what a trade may bring against what asking costs.

Owns the estimate; knows no model and no account.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.reasons import Check, CheckCode
from bot.domain.sizing import exact
from bot.domain.types import Intent, Refused, Score


@dataclass(frozen=True, slots=True)
class Price:
    """What the trade must bring back: the answers' cost in USD, the fee of each way."""

    asking_usd: Decimal
    taker_fee_frac: float


def worth_asking(score: Score, preview: Intent | Refused, price: Price) -> Check:
    """Compare the expected gain in USD with the cost of asking and of the round trip.

    The score is taken for the share of such trades that win. That flatters the trade (a score
    is no measured rate), and is meant to: the gate stops what does not pay even then.
    """
    if isinstance(preview, Refused):
        failed = ", ".join(check.code.value for check in preview.checks if not check.ok)
        return Check(CheckCode.WORTH_ASKING, False, note=f"no size fits: {failed}")
    gain = expected_gain(score, preview)
    cost = price.asking_usd + 2 * exact(price.taker_fee_frac) * preview.notional
    return Check(
        CheckCode.WORTH_ASKING,
        gain > cost,
        float(round(gain, 6)),
        float(round(cost, 6)),
        "USD",
        "expected gain at the score as win rate, against asking and the round trip",
    )


def expected_gain(score: Score, preview: Intent) -> Decimal:
    """Win rate x target minus loss rate x stop, in USD, before costs."""
    if preview.stop is None or preview.target is None:
        return Decimal(0)
    wins = exact(min(max(score.total / 100, 0.0), 1.0))
    reward = abs(preview.target - preview.reference) * preview.quantity
    risk = abs(preview.reference - preview.stop) * preview.quantity
    return wins * reward - (1 - wins) * risk

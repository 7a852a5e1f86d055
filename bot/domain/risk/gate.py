"""The gate itself: every rule runs, all that fail are told.

The only module that calls `Cleared(...)`.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from bot.domain.errors import InvariantBroken
from bot.domain.instrument import Instrument
from bot.domain.portfolio import PortfolioView
from bot.domain.reasons import Check, CheckCode
from bot.domain.risk import account, trade
from bot.domain.risk.case import Case, RiskFacts, RiskLimits
from bot.domain.sizing import exact
from bot.domain.types import ZERO, Cleared, Intent, Leg, Refused

RULES = (*account.RULES, *trade.RULES)


def clear(
    intent: Intent,
    view: PortfolioView,
    facts: RiskFacts,
    limits: RiskLimits,
    instrument: Instrument,
) -> Cleared | Refused:
    """Judge an entry by every check. Raises InvariantBroken for a leg that is no entry."""
    if intent.leg is not Leg.ENTRY:
        raise InvariantBroken(f"{intent.trace_id}: a {intent.leg} reached the gate of entries")
    case = Case(intent, view, facts, limits, instrument)
    checks = tuple(rule(case) for rule in RULES)
    return Cleared(intent, checks) if all(check.ok for check in checks) else Refused(checks)


def clear_exit(intent: Intent, held: Decimal) -> Cleared | Refused:
    """Let an exit through, clamped to what is held. `held`: signed, base units.

    Refused only when nothing is held or the intent would not reduce it; no limit, breaker or
    halt is asked.
    """
    reduces = intent.reduce_only and held * intent.side.sign > 0
    check = Check(
        CheckCode.REDUCES,
        reduces,
        held,
        intent.quantity,
        "base",
        f"{intent.leg.value} of a {intent.side.value}",
    )
    if not reduces:
        return Refused((check,))
    quantity = min(intent.quantity, abs(held))
    return Cleared(replace(intent, quantity=quantity), (check,))


def room(view: PortfolioView, limits: RiskLimits) -> Decimal:
    """Notional that is still free under the exposure cap, USD; never negative."""
    return max(ZERO, exact(limits.max_notional_x) * view.equity - view.exposure())

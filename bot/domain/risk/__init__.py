"""The risk gate: can the account bear it? Every check runs, and all that fail are told.

The one place where an `Intent` becomes `Cleared`; knows no venue, clock or model.
"""

from bot.domain.risk.case import RiskFacts, RiskLimits
from bot.domain.risk.gate import clear, clear_exit, room

__all__ = ["RiskFacts", "RiskLimits", "clear", "clear_exit", "room"]

"""Faults of the simulated exchange: what goes wrong, when, and how often; scripted and seeded.

Owns the words of a fault script; without one the venue is honest and pays nothing for this.
"""

from bot.simulator.faults.kinds import FaultKind
from bot.simulator.faults.plan import NO_FAULTS, Fault, FaultPlan, load_plan, plan_of

__all__ = ["NO_FAULTS", "Fault", "FaultKind", "FaultPlan", "load_plan", "plan_of"]

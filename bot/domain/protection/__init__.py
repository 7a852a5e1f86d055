"""What care does for an open position, and the proof that a stop covers it.

Knows no venue and sends nothing.
"""

from bot.domain.protection.guard import (
    CloseNow,
    Guard,
    Hold,
    MoveStop,
    ProtectionPolicy,
    Step,
    guard_for,
    guard_from_mapping,
    guard_to_mapping,
    moved,
    next_step,
    rested,
    stop_reason,
)
from bot.domain.protection.proof import Proof, StopProof, protected

__all__ = [
    "CloseNow",
    "Guard",
    "Hold",
    "MoveStop",
    "Proof",
    "ProtectionPolicy",
    "Step",
    "StopProof",
    "guard_for",
    "guard_from_mapping",
    "guard_to_mapping",
    "moved",
    "next_step",
    "protected",
    "rested",
    "stop_reason",
]

"""The trading state: how it tightens by itself, and that only a person loosens it.

Owns the order of the three states and what each lets through; knows no reason for a change.

ACTIVE: entries and exits. REDUCE_ONLY: nothing grows or flips. HALTED: the same, and Keel no
longer trusts its own picture; exits, stops and care go on in every state.
"""

from __future__ import annotations

from bot.domain.types import TradingState

STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCE_ONLY: 1, TradingState.HALTED: 2}


def tightened(now: TradingState, wish: TradingState) -> TradingState:
    """The stricter of both: what Keel does of itself never loosens the state."""
    return wish if STRICTNESS[wish] > STRICTNESS[now] else now


def lets_open(state: TradingState) -> bool:
    """Whether a position may be opened (there is no adding and no flipping at all)."""
    return state is TradingState.ACTIVE

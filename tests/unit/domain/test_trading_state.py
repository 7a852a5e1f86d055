"""The three states: Keel tightens, a person loosens, only one lets a position be opened."""

from __future__ import annotations

import pytest

from bot.domain.trading_state import STRICTNESS, lets_open, tightened
from bot.domain.types import TradingState

ACTIVE, REDUCE_ONLY, HALTED = TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.HALTED


@pytest.mark.parametrize("now", list(TradingState))
@pytest.mark.parametrize("wish", list(TradingState))
def test_keel_itself_never_loosens_the_state(now: TradingState, wish: TradingState) -> None:
    """The stricter of both stands."""
    after = tightened(now, wish)
    assert after in (now, wish)
    assert STRICTNESS[after] == max(STRICTNESS[now], STRICTNESS[wish])


def test_only_active_lets_a_position_be_opened() -> None:
    """REDUCE_ONLY and HALTED alike: there is no adding and no flipping at all."""
    assert [state for state in TradingState if lets_open(state)] == [ACTIVE]
    assert STRICTNESS[ACTIVE] < STRICTNESS[REDUCE_ONLY] < STRICTNESS[HALTED]

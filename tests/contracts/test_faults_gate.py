"""What the desk makes of a venue that misbehaves: a fresh signal is refused, and by which check.

The real adapter, the acting half and the risk gate; docs/faults.md in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.reasons import Reason
from bot.domain.types import TradingState
from bot.pipeline.blocks import BlockKind
from tests.acting import ETH, SOL, acting

MISLED_S, CALM_S = 40.0, 100.0


@dataclass(frozen=True)
class Case:
    """A script, what the desk refuses while it lasts, and what mends it but its end."""

    check: str
    script: tuple[Mapping[str, object], ...]
    mends: tuple[Mapping[str, object], ...] = ()


CASES = {
    "price frames lost and no question answered": Case(
        "data_fresh",
        (
            {"kind": "silent_socket", "channels": "market"},
            {"kind": "too_many_requests", "on": "info", "times": 0},
        ),
    ),
    "one coin's frames lost and no question answered": Case(
        "data_fresh",
        (
            {"kind": "stale_prices", "coin": "ETH"},
            {"kind": "gateway", "on": "info", "times": 0},
        ),
    ),
    "clocks apart": Case("clock_skew", ({"kind": "clock_skew", "skew_ms": 5_000},)),
    "funding spike": Case("funding", ({"kind": "funding_spike", "coin": "ETH"},)),
    "somebody else holds it": Case(
        "symbol_blocked",
        ({"kind": "foreign_trade", "coin": "ETH", "usd": 500},),
        ({"kind": "foreign_trade", "coin": "ETH", "usd": -500},),
    ),
    "a mode that cannot be read": Case(
        "trading_state", ({"kind": "account_mode", "mode": "portfolioMargin", "at_s": 0},)
    ),
}
BY_HAND = ("trading_state",)


@pytest.mark.parametrize("name", CASES)
async def test_a_signal_is_refused_while_the_venue_misbehaves_and_taken_after_it(
    tmp_path: Path, name: str
) -> None:
    """By the check that is for it; a state stays until a person resumes."""
    case = CASES[name]
    async with acting(tmp_path) as half:
        await half.play(5)
        assert half.refused() == set()
        half.faults(*case.script)
        half.move(ETH=3_001.0)
        await half.play(MISLED_S if case.check not in BY_HAND else 400)
        assert case.check in half.refused()
        half.faults(*case.mends)
        half.move(ETH=3_001.0)
        await half.play(CALM_S)
        if case.check in BY_HAND:
            assert case.check in half.refused()
            half.books.safety.set_state(TradingState.ACTIVE, "by hand")
        else:
            assert half.refused() == set()


async def test_an_entry_that_gets_429_or_no_match_leaves_nothing_behind(tmp_path: Path) -> None:
    """Not executed: no doubt, no exposure kept, no order, and no other try of its own."""
    for script, reason in (
        ({"kind": "too_many_requests", "on": "entry"}, Reason.VENUE_REJECTED),
        ({"kind": "thin_book", "coin": "ETH"}, Reason.NO_FILL),
    ):
        async with acting(tmp_path / reason.value, script) as half:
            assert await half.enter() is reason
            assert not half.books.reservations and not half.books.safety.blocked
            await half.play(40)
            assert half.account.holdings == {}
            assert half.struck() == [1]
            half.faults()
            assert half.refused() == set()
            await half.in_order()


async def test_a_halted_market_is_left_alone_for_a_minute(tmp_path: Path) -> None:
    """Entries there are refused by the venue once, then by us; elsewhere they go on."""
    async with acting(tmp_path) as half:
        await half.play(5)
        half.faults({"kind": "halt", "coin": "SOL", "for_s": 30})
        assert await half.enter(SOL) is Reason.VENUE_REJECTED
        kinds = [block.kind for block in half.books.safety.blocks.of(SOL)]
        assert kinds == [BlockKind.MARKET_SHUT]
        assert "symbol_blocked" in half.refused(SOL)
        assert half.refused(ETH) == set()
        await half.play(100)
        assert half.refused(SOL) == set()
        assert await half.enter(SOL) is Reason.EXECUTED
        await half.in_order()

"""What proving the stops costs of the venue's request budget, weighed and not timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.request_budget import LIMIT_PERCENT, MODES, measure


@pytest.mark.parametrize("mode", MODES)
async def test_proving_twenty_stops_takes_a_tenth_of_the_budget_at_most(
    tmp_path: Path, mode: str
) -> None:
    """Stop proof, reconciliation and transfers together, wherever the collateral lies."""
    spent = await measure(tmp_path, mode)
    asked = set(spent.by_question)
    assert {"clearinghouseState", "frontendOpenOrders", "userFillsByTime"} < asked
    assert "userNonFundingLedgerUpdates" in asked
    assert ("spotClearinghouseState" in asked) == (mode == "unifiedAccount")
    assert spent.percent <= LIMIT_PERCENT, spent.by_question
    assert spent.actions == 0

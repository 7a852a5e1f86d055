"""One demo on invented prices, from a healthy daemon to a closed trade.

Owns what a first trade is; knows neither seeds nor who counts them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.daemon import POLL_S, Daemon

TRADE_LIMIT_S = 90.0  # from healthy to a closed trade
CENT = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class FirstTrade:
    """A closed trade whose stop was seen resting while it was open."""

    seconds: float  # from healthy
    row: Mapping[str, Any]  # as /status shows it

    def __str__(self) -> str:
        row = self.row
        return (
            f"{row['trace_id']} {row['side']} {row['entry_price']} -> {row['exit_price']} "
            f"({row['exit_reason']}) net {row['net_pnl']} after {self.seconds:.1f} s"
        )


def first_trade(daemon: Daemon, limit_s: float = TRADE_LIMIT_S) -> FirstTrade:
    """Watch a healthy daemon until a trade closed whose stop was seen resting.

    Raises AssertionError after `limit_s`, or when its P&L is not what its parts say.
    """
    start = time.monotonic()
    guarded: set[str] = set()
    closed: list[Mapping[str, Any]] = []
    while time.monotonic() - start < limit_s:
        assert daemon.alive, f"the daemon ended: {daemon.output()}"
        status = daemon.status()
        guarded |= {row["trace_id"] for row in status.get("positions", ()) if row["stop_rests"]}
        closed = status.get("recent_trades", [])
        for row in reversed(closed):
            if row["trace_id"] in guarded:
                judge_pnl(row)
                return FirstTrade(time.monotonic() - start, row)
        time.sleep(POLL_S)
    raise AssertionError(
        f"no trade with a stop seen resting closed within {limit_s:g} s of healthy; "
        f"stops seen: {sorted(guarded)}; closed: {[row['trace_id'] for row in closed]}"
    )


def judge_pnl(row: Mapping[str, Any]) -> None:
    """The trade's P&L is what entry, exit, fees and funding make it."""
    sign = 1 if row["side"] == "LONG" else -1
    entry, leave = Decimal(row["entry_price"]), Decimal(row["exit_price"])
    gross = (leave - entry) * Decimal(row["quantity"]) * sign
    assert abs(gross - Decimal(row["gross_pnl"])) <= CENT, f"gross P&L is not {gross}: {row}"
    assert Decimal(row["fees"]) > 0, f"a trade without fees: {row}"
    net = Decimal(row["gross_pnl"]) - Decimal(row["fees"]) + Decimal(row["funding"])
    assert abs(net - Decimal(row["net_pnl"])) <= CENT, f"net P&L is not {net}: {row}"

"""Orders that outlive their trade: a venue that leaves stop and target standing.

The real adapter and the acting half; docs/faults.md in tests.
"""

from __future__ import annotations

from pathlib import Path

from bot.domain.reasons import Reason
from bot.domain.types import ExitReason, Leg
from tests.acting import ETH, acting

LEAVES = {"kind": "leave_triggers"}


async def test_what_outlives_its_trade_is_looked_for_at_once(tmp_path: Path) -> None:
    """Flat, and stop and target still rest: gone within seconds, not at the next half minute."""
    async with acting(tmp_path, LEAVES) as half:
        await half.enter()
        await half.play(5)
        half.desk.close(ETH, ExitReason.MANUAL)
        await half.play(0.5)
        assert half.books.positions == {}
        assert len(half.account.open_orders(ETH)) == 2
        await half.play(3)
        assert half.account.open_orders(ETH) == []
        await half.in_order()


async def test_a_stop_that_outlives_its_trade_is_cancelled_and_guards_no_other(
    tmp_path: Path,
) -> None:
    """The next position stands at once: the earlier stop goes, its own stop and target stay."""
    async with acting(tmp_path, LEAVES) as half:
        await half.enter()
        await half.play(5)
        assert await half.execution.leave(ETH, ExitReason.MANUAL)
        assert await half.enter() is Reason.EXECUTED
        await half.play(5)
        trace = half.books.positions[ETH].trace_id
        left = {order.cloid for order in half.account.open_orders(ETH)}
        ours = {o.cloid: o for o in half.books.orders.values()}
        assert {(ours[cloid].trace_id, ours[cloid].leg) for cloid in left} == {
            (trace, Leg.STOP),
            (trace, Leg.TARGET),
        }
        await half.in_order()

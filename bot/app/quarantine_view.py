"""What /status says of reconciliation: how it stands, and what is not as it is meant to be.

Owns that one shape; reads memory only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.app.clock_view import clock_status
from bot.app.parts import Parts
from bot.pipeline.blocks import Block, BlockKind


def not_in_step(parts: Parts) -> Mapping[str, object]:
    """The rows of /status about it: blocks, reconciliation, the clocks, wishes to close."""
    safety = parts.books.safety
    return {
        "foreign_orders": parts.reconcile.foreign_orders,
        "reconciliation": reconciliation_of(parts),
        "venue_clock": clock_status(parts),
        "blocked": dict(safety.blocked),
        "blocks": safety.blocks.all(),
        "closing": list(parts.closing.standing()),
    }


def reconciliation_of(parts: Parts) -> Mapping[str, object]:
    """Age in machine seconds; drift is looks in a row; gap is the venue's equity less ours."""
    reconcile, books = parts.reconcile, parts.books
    at = reconcile.last_at
    age_s = None if at is None else round(parts.world.clock.monotonic() - at, 1)
    blocks = books.safety.blocks.all()
    unknown = [order.cloid for order in books.open_orders() if order.status.value == "UNKNOWN"]
    return {
        "age_s": age_s,
        "in_step": reconcile.in_step,
        "drifting": dict(reconcile.comparison.drifting),
        "balance_gap_usd": reconcile.comparison.balance_gap,
        "unknown_orders": unknown,
        "foreign_orders": reconcile.foreign_orders,
        # The verdict of that look: what was ours then, and is closed since, is not somebody else's.
        "foreign_positions": sorted(s for s, standing in blocks.items() if _foreign(standing)),
        "gone": sorted(books.gone),
        "dust": sorted(books.dust),
        "without_stop": sorted(reconcile.prover.naked),
    }


def _foreign(standing: Iterable[Block]) -> bool:
    return any(block.kind is BlockKind.FOREIGN_POSITION for block in standing)

"""What an entry on its way means for the position it will open.

Owns the plan and its durable form; knows no order.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pydantic import TypeAdapter

from bot.domain.errors import InvariantBroken
from bot.domain.types import Cloid, Intent, Symbol, TraceId


@dataclass(frozen=True, slots=True)
class Plan:
    """Kept from before the entry is sent until its position is flat."""

    trace_id: TraceId
    symbol: Symbol
    strategy: str
    stop: Decimal
    target: Decimal | None
    entry_cloid: Cloid
    atr: float
    leverage: int

    @staticmethod
    def of(intent: Intent, strategy: str, atr: float) -> Plan:
        if intent.stop is None:
            raise InvariantBroken(f"entry {intent.trace_id} has no stop")
        return Plan(
            trace_id=intent.trace_id,
            symbol=intent.symbol,
            strategy=strategy,
            stop=intent.stop,
            target=intent.target,
            entry_cloid=intent.cloid,
            atr=atr,
            leverage=intent.leverage,
        )


_PLAN = TypeAdapter(Plan)


def plan_to_mapping(plan: Plan) -> dict[str, object]:
    """JSON-able form, decimals as text."""
    return dict(_PLAN.dump_python(plan, mode="json"))


def plan_from_mapping(stored: object) -> Plan:
    """Read a plan back. Raises InvariantBroken when it is not one."""
    try:
        return _PLAN.validate_python(stored)
    except ValueError as error:
        raise InvariantBroken(f"stored plan cannot be read: {error}") from error

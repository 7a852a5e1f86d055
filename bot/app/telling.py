"""Facts as log lines: what the operator reads on the console.

Owns which fact is worth which level; changes nothing.
"""

from __future__ import annotations

import structlog

from bot.pipeline.facts import Fact

log = structlog.get_logger(__name__)

# Said by whoever found them, with more to tell.
SAID_ELSEWHERE = ("trading_state", "symbol_blocked", "symbol_unblocked", "breaker")


def log_fact(fact: Fact) -> None:
    """One line a fact; a cycle in which nothing was new is for the file only when debugging."""
    if fact.name in SAID_ELSEWHERE:
        return
    idle = fact.name == "cycle_done" and not fact.figures.get("new_candles")
    tell = log.debug if idle else log.info
    tell(fact.name, **fact.figures)

"""A configuration in which nothing can ever trade is a mistake, and is said before it runs.

Owns the question at start-up; the answer is `domain.reachability`'s.
"""

from __future__ import annotations

import structlog

from bot.app.parts import Parts
from bot.app.policies import universe_of
from bot.domain.errors import ConfigError, TransientError
from bot.domain.reachability import reachable
from bot.domain.types import Refused
from bot.pipeline.scan import choose

log = structlog.get_logger(__name__)


async def refuse_dead(parts: Parts) -> None:
    """Raise ConfigError when no coin's smallest possible trade passes sizing and risk gate."""
    try:
        markets = await parts.hyperliquid.feed.markets()
    except TransientError as error:
        log.warning("reachability_not_checked", error=str(error))
        return
    universe = choose(universe_of(parts.settings), parts.instruments, markets)
    if not universe.symbols and markets:
        why = ", ".join(f"{symbol}: {reason}" for symbol, reason in universe.skipped.items())
        raise ConfigError(
            f"there is nothing to trade: {why[:400]}; "
            f"change SYMBOLS, EXCLUDE_SYMBOLS, MIN_VOLUME_24H_USD, PROFILE or DEMO_CANDLES"
        )
    refused: Refused | None = None
    for symbol, market in sorted(markets.items()):
        instrument = parts.instruments.get(symbol)
        if instrument is None or symbol not in universe.symbols:
            continue
        reach = reachable(
            parts.policies.sizing,
            parts.policies.limits,
            instrument,
            parts.settings.risk.initial_capital,
            market.mark,
        )
        if not isinstance(reach, Refused):
            log.info(
                "reachable",
                symbol=symbol,
                smallest_move=f"{reach.move_frac:.3%}",
                notional=str(round(reach.notional, 2)),
                margin=str(round(reach.margin, 2)),
            )
            return
        refused = reach
    if refused is not None:
        rules = ", ".join(
            f"{check.code.value} ({check.value} against {check.limit} {check.unit})".strip()
            for check in refused.failed
        )
        raise ConfigError(
            f"no trade can pass with these settings: {rules}; "
            f"change INITIAL_CAPITAL, the stop bounds, MIN_PROFIT_USD or the limits named"
        )

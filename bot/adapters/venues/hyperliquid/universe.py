"""The venue's coins as last told: trading rules and asset ids by symbol.

Owns the one copy that feed and venue share; knows no request.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import structlog

from bot.adapters.venues.hyperliquid.parse_market import instruments
from bot.domain.errors import TransientError
from bot.domain.instrument import Instrument
from bot.domain.types import Symbol

log = structlog.get_logger(__name__)


class Universe:
    """Instruments by symbol, replaced as a whole with each `meta`."""

    def __init__(self) -> None:
        self._instruments: Mapping[Symbol, Instrument] = MappingProxyType({})

    @property
    def instruments(self) -> Mapping[Symbol, Instrument]:
        return self._instruments

    def update(self, meta: object) -> Mapping[Symbol, Instrument]:
        """Take a new `meta`; an asset id that moved is said aloud."""
        fresh = instruments(meta)
        for symbol, known in self._instruments.items():
            now = fresh.get(symbol)
            if now is None or now.asset_id != known.asset_id:
                log.error(
                    "asset_id_changed",
                    symbol=symbol,
                    was=known.asset_id,
                    found=now.asset_id if now is not None else None,
                )
        self._instruments = MappingProxyType(fresh)
        return self._instruments

    def instrument(self, symbol: Symbol) -> Instrument:
        """Rules of one symbol. Raises TransientError when the venue never named it."""
        found = self._instruments.get(symbol)
        if found is None:
            raise TransientError(
                f"hyperliquid: no instrument {symbol!r} among {len(self._instruments)}; "
                "nothing was sent"
            )
        return found

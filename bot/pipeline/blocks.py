"""Why nothing may be opened in a symbol: every cause by itself, each lifted by its own end.

Owns the causes of the moment and what is said of them; finds none and lifts none by itself.
They are not durable: recovery and reconciliation find them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from bot.domain.types import Symbol
from bot.pipeline.facts import Facts
from bot.ports import Clock

log = structlog.get_logger(__name__)


class BlockKind(StrEnum):
    """What a block is for, and so what ends it."""

    UNKNOWN_ENTRY = "unknown_entry"  # until the venue has told what became of that order
    FOREIGN_FILL = "foreign_fill"  # until positions agree again
    FOREIGN_POSITION = "foreign_position"  # the same
    POSITION_DRIFT = "position_drift"  # the same
    NOT_FOLDED = "not_folded"  # a fill that fits no position: until a restart
    MARKET_SHUT = "market_shut"  # the venue refused an entry for the market's sake: for a while
    DUST = "dust"  # less than a lot is held: until it is gone, or a lot is less
    DELISTED = "delisted"  # until the venue lists it again
    LEAVING = "leaving"  # until what a person wished closed is closed, or the wish withdrawn
    OTHER = "other"  # until lifted by whoever put it


OF_POSITIONS = (BlockKind.FOREIGN_FILL, BlockKind.FOREIGN_POSITION, BlockKind.POSITION_DRIFT)


@dataclass(frozen=True, slots=True)
class Block:
    """One cause; `key` tells causes of a kind apart (a client id), `since` is machine s."""

    kind: BlockKind
    why: str
    key: str = ""
    since: float = 0.0


class Blocks:
    """Causes by symbol, oldest first."""

    def __init__(self, clock: Clock, facts: Facts) -> None:
        self._clock = clock
        self._facts = facts
        self._of: dict[Symbol, dict[tuple[BlockKind, str], Block]] = {}

    def of(self, symbol: Symbol) -> tuple[Block, ...]:
        """What stands against this symbol."""
        return tuple(self._of.get(symbol, {}).values())

    def shared(self, symbol: Symbol) -> bool:
        """Whether somebody else may hold some of it, as positions that differ tell."""
        return any(block.kind in OF_POSITIONS for block in self.of(symbol))

    def all(self) -> Mapping[Symbol, tuple[Block, ...]]:
        """Every symbol that is blocked, and why."""
        return {symbol: tuple(blocks.values()) for symbol, blocks in self._of.items()}

    def texts(self) -> dict[Symbol, str]:
        """The same in words."""
        return {s: "; ".join(block.why for block in found) for s, found in self.all().items()}

    def put(self, symbol: Symbol, kind: BlockKind, why: str, key: str = "") -> None:
        """Add a cause, or give one that stands other words; said when it is news."""
        blocks = self._of.setdefault(symbol, {})
        known = blocks.get((kind, key))
        if known is not None and known.why == why:
            return
        blocks[kind, key] = Block(kind, why, key, self._clock.monotonic())
        log.warning("symbol_blocked", symbol=symbol, kind=kind.value, why=why)
        self._tell("symbol_blocked", symbol, kind=kind.value, why=why)

    def lift(self, symbol: Symbol, block: Block) -> None:
        """Take off one cause, unless another has taken its place."""
        blocks = self._of.get(symbol, {})
        if blocks.get((block.kind, block.key)) != block:
            return
        del blocks[block.kind, block.key]
        if blocks:
            left = [other.kind.value for other in blocks.values()]
            log.warning("block_lifted", symbol=symbol, kind=block.kind.value, left=left)
            return
        del self._of[symbol]
        log.warning("symbol_unblocked", symbol=symbol, kind=block.kind.value, was=block.why)
        self._tell("symbol_unblocked", symbol, kind=block.kind.value, was=block.why)

    def lift_kind(self, symbol: Symbol, *kinds: BlockKind) -> None:
        """Take off every cause of these kinds."""
        for block in self.of(symbol):
            if block.kind in kinds:
                self.lift(symbol, block)

    def _tell(self, name: str, symbol: Symbol, **figures: object) -> None:
        self._facts.tell(name, self._clock.now(), symbol=symbol, **figures)

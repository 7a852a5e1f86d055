"""Causes for which a symbol is closed: several at once, each lifted by its own end."""

from __future__ import annotations

from bot.domain.types import Symbol
from bot.pipeline.blocks import BlockKind
from tests.unit.pipeline.given import BTC, kit


def test_a_symbol_opens_only_when_its_last_cause_has_ended() -> None:
    """A foreign position that goes does not settle an unknown entry."""
    made = kit()
    safety = made.books.safety
    safety.block(BTC, "unknown outcome of entry 0x1", BlockKind.UNKNOWN_ENTRY, "0x1")
    safety.block(BTC, "foreign position: 2", BlockKind.FOREIGN_POSITION)
    assert safety.blocked[BTC] == "unknown outcome of entry 0x1; foreign position: 2"
    safety.blocks.lift_kind(BTC, BlockKind.FOREIGN_POSITION)
    assert safety.blocked[BTC] == "unknown outcome of entry 0x1"
    assert safety.shut(BTC)
    safety.blocks.lift_kind(BTC, BlockKind.UNKNOWN_ENTRY)
    assert not safety.blocked and not safety.shut(BTC)
    names = [fact.name for fact in made.told]
    assert names == ["symbol_blocked", "symbol_blocked", "symbol_unblocked"]


def test_causes_of_one_kind_are_told_apart_by_their_key() -> None:
    """Two unknown entries, one settled: the other still stands."""
    blocks = kit().books.safety.blocks
    for number in ("0x1", "0x2"):
        blocks.put(BTC, BlockKind.UNKNOWN_ENTRY, f"entry {number}", number)
    blocks.lift(BTC, blocks.of(BTC)[0])
    assert [block.key for block in blocks.of(BTC)] == ["0x2"]


def test_a_cause_that_was_replaced_meanwhile_is_not_lifted() -> None:
    """Who judged the old one knows nothing of the new one."""
    blocks = kit().books.safety.blocks
    blocks.put(BTC, BlockKind.FOREIGN_FILL, "fill 1")
    (old,) = blocks.of(BTC)
    blocks.put(BTC, BlockKind.FOREIGN_FILL, "fill 2")
    blocks.lift(BTC, old)
    assert blocks.texts() == {Symbol("BTC"): "fill 2"}

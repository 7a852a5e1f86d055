"""A start takes up what the journal says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from bot.app.daemon import _recover
from bot.domain.types import ExitReason
from bot.ports import Changes
from tests.unit.app.given import parts
from tests.unit.pipeline.given import BTC


async def test_a_start_takes_up_what_a_person_wished_closed() -> None:
    """Not ended when the process did: it stands again, and its symbol is closed to entries."""
    made, _, _, clock = parts()
    cast(Any, made.hyperliquid).nonces = SimpleNamespace(keep=lambda *_: None)
    row = {"reason": "flatten", "by": "ada", "asked_at": int(clock.now())}
    cast(Any, made.store.journal).written.append(Changes(state={"leave:BTC": row}))
    await _recover(made, await made.store.journal.recover(), None)
    (wish,) = made.closing.standing()
    assert (wish.symbol, wish.reason, wish.by) == (BTC, ExitReason.FLATTEN, "ada")
    assert made.books.safety.shut(BTC) == "is being closed by hand"

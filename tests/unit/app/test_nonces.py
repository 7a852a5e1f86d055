"""The nonce's mark over restarts: a clock set back repeats none."""

from __future__ import annotations

from bot.adapters.venues.hyperliquid.signing import NonceSource
from bot.app.nonces import AHEAD_MS, NonceKeeper
from tests.unit.pipeline.given import kit

NOW = 1_790_000_000_000


async def test_after_a_restart_with_the_clock_set_back_nonces_go_on_above() -> None:
    """An hour back: the first nonce of the new life lies above the last of the old."""
    made = kit()
    first = NonceSource(lambda: NOW)
    keeper = NonceKeeper(made.rows)
    first.keep(keeper.recover({}), keeper.used)
    used = [first.next() for _ in range(3)]
    await made.rows.step()
    state = (await made.journal.recover()).state
    again, other = NonceSource(lambda: NOW - 3_600_000), NonceKeeper(made.rows)
    again.keep(other.recover(state), other.used)
    assert again.next() > max(used)


async def test_the_mark_is_written_once_for_many() -> None:
    """A row for each nonce would be a row for each order."""
    made = kit()
    keeper, wall = NonceKeeper(made.rows), NOW
    for _ in range(100):
        keeper.used(wall)
        wall += AHEAD_MS // 50
    await made.rows.step()
    assert len(made.journal.written) <= 3

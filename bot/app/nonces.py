"""The last nonce of the signing key, kept over restarts: a clock set back must not repeat one.

Owns how far ahead of use it is written down; knows no signature.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.pipeline.rows import Rows
from bot.ports import Changes

STATE = "nonce"  # key of its row
AHEAD_MS = 5_000  # written once for so many: a row for each would be a row an order


class NonceKeeper:
    """Writes a mark that every nonce in use lies below."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._mark = 0

    def recover(self, state: Mapping[str, object]) -> int:
        """The mark of the life before; nonces must be larger. 0 at a first start."""
        self._mark = int(str(state.get(STATE) or 0))
        return self._mark

    def used(self, nonce: int) -> None:
        """Note a nonce that is about to be signed; the row follows."""
        if nonce < self._mark:
            return
        self._mark = nonce + AHEAD_MS
        self._rows.behind(Changes(state={STATE: self._mark}))

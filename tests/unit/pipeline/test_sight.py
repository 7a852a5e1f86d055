"""Sight: a window is read once, never told from memory when it is another one, and forgotten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.domain.folding import fold
from bot.domain.snapshot import Snapshot, observe, window_hash
from bot.domain.types import Bars, Symbol, Timeframe
from bot.pipeline.sight import Sight
from tests.series import market, walk

BTC, ETH = Symbol("BTC"), Symbol("ETH")
M5, H1 = Timeframe.M5, Timeframe.H1
BARS = walk(900, seed=5)
COARSE = fold(BARS, M5, H1)


def copied(bars: Bars) -> Bars:
    return Bars(*(getattr(bars, name).copy() for name in Bars.__slots__))


def look(sight: Sight | None, fine: Bars, coarse: Bars = COARSE, symbol: Symbol = BTC) -> Snapshot:
    frames = {M5: fine, H1: coarse}
    if sight is None:
        return observe(symbol, M5, frames, market(fine), H1)
    return observe(symbol, M5, frames, market(fine), H1, sight.reader(symbol))


def figures(snapshot: Snapshot) -> list[object]:
    """Everything that was computed."""
    return [
        snapshot.indicators,
        snapshot.regime,
        snapshot.context_regimes,
        snapshot.levels,
        snapshot.regime_timeframe,
    ]


def test_memory_gives_the_same_to_the_last_bit() -> None:
    """Bar after bar, with and without memory."""
    sight = Sight()
    for end in range(860, 900):
        fine = BARS[end - 500 : end]
        assert figures(look(sight, fine)) == figures(look(None, fine))
    # The hour's window changes once an hour, as far as it is closed.
    assert (sight.read, sight.remembered) == (40 + 4, 36)


def test_a_new_bar_is_read_anew() -> None:
    """The key is the window itself, not its symbol."""
    sight = Sight()
    look(sight, BARS[:-1], COARSE[:-1])
    look(sight, BARS, COARSE)
    assert (sight.read, sight.remembered) == (4, 0)


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_a_corrected_bar_is_read_anew(column: str) -> None:
    """The same times and another price, anywhere in the window, is another window."""
    sight = Sight()
    look(sight, BARS)
    corrected = copied(COARSE)
    getattr(corrected, column)[7] += 1e-9
    corrected = replace(  # the high and low around whatever body that gives
        corrected,
        high=np.maximum(corrected.high, np.maximum(corrected.open, corrected.close)),
        low=np.minimum(corrected.low, np.minimum(corrected.open, corrected.close)),
    )
    seen = look(sight, BARS, corrected)
    assert figures(seen) == figures(look(None, BARS, corrected))
    assert sight.read == 3
    assert sight.digest(BTC, H1, corrected) == window_hash(corrected) != window_hash(COARSE)


def test_an_equal_window_in_other_arrays_is_known() -> None:
    """A feed that builds its columns anew costs a comparison, not a reading."""
    sight = Sight()
    first = look(sight, BARS)
    again = look(sight, copied(BARS), copied(COARSE))
    assert (sight.read, sight.remembered) == (2, 2)
    assert again.now is first.now


def test_symbols_do_not_see_each_other() -> None:
    """Two coins with equal hours are read twice."""
    sight = Sight()
    look(sight, BARS)
    look(sight, BARS, symbol=ETH)
    assert sight.read == 4


def test_a_hash_is_that_of_the_window_asked_for() -> None:
    """Kept for the window that was read; any other is hashed as it is."""
    sight = Sight()
    look(sight, BARS)
    for _ in range(2):
        assert sight.digest(BTC, M5, BARS) == window_hash(BARS)
    assert sight.digest(BTC, M5, BARS[:-1]) == window_hash(BARS[:-1])
    assert sight.digest(ETH, M5, BARS) == window_hash(BARS)
    nothing = replace(BARS, volume=BARS.volume * 0.0)
    signed = replace(BARS, volume=-nothing.volume)  # equal as numbers, not as bytes
    look(sight, nothing)
    assert sight.digest(BTC, M5, signed) == window_hash(signed) != window_hash(nothing)


def test_memory_has_a_bound_and_forgets_what_was_not_looked_at_for_longest() -> None:
    """A changing universe must not grow the process."""
    sight = Sight(capacity=4)
    for name in ("A", "B", "A", "C"):
        look(sight, BARS, symbol=Symbol(name))
    assert len(sight) == 4
    before = sight.read
    look(sight, BARS, symbol=Symbol("A"))
    assert sight.read == before
    look(sight, BARS, symbol=Symbol("B"))
    assert sight.read == before + 2

"""Snapshot: what was closed, on which frame the regime is read, and that replay can redo it."""

from __future__ import annotations

import pytest

from bot.domain import regime
from bot.domain.folding import fold
from bot.domain.snapshot import Snapshot, observe, window_hash
from bot.domain.types import Bars, Symbol, Timeframe
from tests.series import market, scaled, walk

M5, M15, H1 = Timeframe.M5, Timeframe.M15, Timeframe.H1
BARS = walk(900, seed=2)
FRAMES = {M5: BARS, M15: fold(BARS, M5, M15), H1: fold(BARS, M5, H1)}


def look(bars: dict[Timeframe, Bars], regime_timeframe: Timeframe = H1) -> Snapshot:
    return observe(Symbol("BTC"), M5, bars, market(BARS), regime_timeframe)


def test_it_is_as_of_the_close_of_the_last_decision_bar() -> None:
    """Times are closes, context is what is coarser, finest first."""
    snapshot = look({H1: FRAMES[H1], M15: FRAMES[M15], M5: BARS, Timeframe.M1: BARS})
    assert snapshot.as_of == int(BARS.ts[-1]) + M5.ms
    assert snapshot.context == (M15, H1)
    assert set(snapshot.indicators) == {M5, M15, H1}
    assert snapshot.now is snapshot.indicators[M5]
    assert snapshot.decision is BARS


def test_context_that_closes_later_is_left_out() -> None:
    """A bar of the future, as of the decision bar, never reaches a judgement."""
    early = {**FRAMES, M5: BARS[:-13]}
    snapshot = look(early)
    for frame in snapshot.context:
        assert int(snapshot.bars[frame].ts[-1]) + frame.ms <= snapshot.as_of
    assert len(snapshot.bars[H1]) == len(FRAMES[H1]) - 2
    exact = look({M5: BARS[:-13], M15: FRAMES[M15][:-5], H1: FRAMES[H1][:-2]})
    assert exact.indicators == snapshot.indicators


def test_the_regime_is_read_on_the_wished_frame() -> None:
    """The profile's context frame decides what market this is."""
    snapshot = look(FRAMES)
    assert snapshot.regime_timeframe is H1
    assert snapshot.regime == regime.classify(FRAMES[H1]) == snapshot.context_regimes[H1]


def test_a_frame_with_too_few_bars_leaves_the_regime_to_the_decision_frame() -> None:
    """EMA 50 and five bars before it need 55 bars."""
    assert look({**FRAMES, H1: FRAMES[H1][-55:]}).regime_timeframe is H1
    short = look({**FRAMES, H1: FRAMES[H1][-54:]})
    assert short.regime_timeframe is M5
    assert short.regime == regime.classify(BARS)
    assert look({M5: BARS}).regime_timeframe is M5


def test_the_same_bars_give_the_same_snapshot() -> None:
    """There is no hidden state: replay gets every figure to the last bit."""
    copies = {frame: Bars.of(rows(bars)) for frame, bars in FRAMES.items()}
    one, other = look(FRAMES), look(copies)
    assert one.indicators == other.indicators
    assert one.regime == other.regime
    assert one.context_regimes == other.context_regimes
    assert one.levels == other.levels


def test_without_a_decision_bar_there_is_no_snapshot() -> None:
    """The message names symbol and timeframe."""
    with pytest.raises(ValueError, match="BTC has no closed 5m bar"):
        look({H1: FRAMES[H1]})
    with pytest.raises(ValueError, match="BTC has no closed 5m bar"):
        look({M5: Bars.empty()})


def test_the_hash_of_a_window_is_that_of_its_values() -> None:
    """Equal bars, also as a view into longer ones, hash alike; any other value does not."""
    tail = BARS[-100:]
    assert window_hash(tail) == window_hash(Bars.of(rows(tail)))
    assert window_hash(tail) != window_hash(BARS[-101:])
    assert window_hash(tail) != window_hash(scaled(tail, 1.0 + 1e-15))
    assert len(window_hash(Bars.empty())) == 64


def rows(bars: Bars) -> list[tuple[int, float, float, float, float, float]]:
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return list(zip(*(column.tolist() for column in columns)))
